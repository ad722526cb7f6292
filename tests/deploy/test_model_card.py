import pytest

from lightm_unet.deploy.model_card import card_html, markdown_html
from lightm_unet.models.model_folder import load_model


def test_tables_become_tables():
    html = markdown_html("| a | b |\n| --- | --- |\n| 1 | 2 |\n")
    assert "<td>1</td>" in html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[a](javascript:alert(1))",
        "[a](data:text/html;base64,PHNjcmlwdD4=)",
        "![a](https://example.org/a.png)",
        "<https://example.org/><b>",
    ],
)
def test_a_card_brings_no_program_and_no_picture(text):
    html = markdown_html(text)
    for part in ("<script", "<img", "<b>", 'href="javascript', 'href="data'):
        assert part not in html


def test_a_model_without_a_card_has_none(tmp_path):
    lungs = load_model("lungs")
    assert "<h1>lungs: the lungs in frontal chest X-rays</h1>" in card_html(lungs)
    assert card_html(type(lungs)(**{**vars(lungs), "path": tmp_path})) == ""
