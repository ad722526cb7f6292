import json

import pytest

from lightm_unet.datasets.importers.legend import read_legend
from lightm_unet.errors import DataError

EXPECTED = {0: "background", 0xFF0000: "liver", 0x00FF00: "tumour"}


@pytest.mark.parametrize(
    "text",
    [
        "#ff0000,liver\n#00ff00,tumour\n",
        "colour,label\n#000000,background\n#FF0000,liver\n#00ff00,tumour\n",
        "255,0,0,liver\n0,255,0,tumour",
        "name;r;g;b\nliver;255;0;0\ntumour;0;255;0\n\n",
        "\ufeffliver\t#ff0000\ntumour\t#00ff00\n",
        '"255,0,0",liver\n"(0, 255, 0)",tumour\n',
    ],
)
def test_csv_in_the_usual_forms(tmp_path, text):
    (tmp_path / "legend.csv").write_text(text)
    assert read_legend(tmp_path / "legend.csv") == EXPECTED


@pytest.mark.parametrize(
    "content",
    [
        {"#ff0000": "liver", "#00ff00": "tumour"},
        {"255,0,0": "liver", "(0, 255, 0)": "tumour", "0": "background"},
        {"liver": [255, 0, 0], "tumour": "#00ff00"},
    ],
)
def test_json_in_the_usual_forms(tmp_path, content):
    (tmp_path / "legend.json").write_text(json.dumps(content))
    assert read_legend(tmp_path / "legend.json") == EXPECTED


def test_grey_values_and_several_colours_of_a_label(tmp_path):
    (tmp_path / "l.csv").write_text("50,a\n100,b\n150,a\n")
    legend = read_legend(tmp_path / "l.csv")
    assert legend == {0: "background", 0x323232: "a", 0x646464: "b", 0x969696: "a"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#ff0000,liver\nred,tumour\n", "line 2: red, tumour"),
        ("#ff0000,liver\n#ff0000,tumour\n", "#ff0000 for liver and for tumour"),
        ("#000000,background\n", "no label but the background"),
        ("#ff0000,liver\n300,0,0,tumour\n", "line 2"),
    ],
)
def test_a_line_that_names_no_colour_is_refused(tmp_path, text, message):
    (tmp_path / "legend.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_legend(tmp_path / "legend.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"#ff0000": "liver", "#ff0000": "tumour"}', 'two values for the key "#ff0000"'),
        ('{"#ff0000": "liver", "255,0,0": "tumour"}', "#ff0000 for liver and for tumour"),
        ('{"liver": "#ff0000", "liver": "#00ff00"}', 'two values for the key "liver"'),
        ('{"liver": "#ff0000", "tumour": [255, 0, 0]}', "#ff0000 for liver and for tumour"),
    ],
)
def test_json_that_names_a_colour_or_a_label_twice_is_refused(tmp_path, text, message):
    (tmp_path / "legend.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_legend(tmp_path / "legend.json")
