import csv
import io

import pytest

from lightm_unet.reporting.text_tables import csv_table, markdown_table, read_csv


def test_markdown_holds_together_whatever_is_in_a_cell():
    lines = markdown_table(["size", "name", "n"], [["1", "a|b", "2"], ["3", "two\nlines", "4"]])
    assert lines[1] == "| --- | ---: | ---: |"
    assert lines[2] == r"| 1 | a\|b | 2 |"
    assert lines[3] == "| 3 | two lines | 4 |"
    assert markdown_table(["a", "b"], [], texts=2)[1] == "| --- | --- |"


def test_csv_comes_back_as_it_was():
    rows = [["a,b", 'say "x"', "two\nlines"], ["", "1.5", "–"]]
    text = csv_table(["x", "y", "z"], rows)
    assert list(csv.reader(io.StringIO(text))) == [["x", "y", "z"], *rows]


@pytest.mark.parametrize("name", ["=1+1", "+a", "-x|y", "@SUM(A1)", "\tx", "'=1", "＝1"])
def test_a_spreadsheet_runs_no_name_and_the_name_is_read_back(name):
    text = csv_table(["case", name], [[name, "-0.5"]])
    for line in csv.reader(io.StringIO(text)):
        assert not any(cell.startswith(tuple("=+@\t＝")) or cell == name for cell in line)
    assert read_csv(text) == [{"case": name, name: "-0.5"}]


def test_numbers_and_plain_names_stay_as_they_are():
    cells = ["-0.5", "+1e-3", "a=b", "'quoted'", "it's", ""]
    text = csv_table(list("uvwxyz"), [cells])
    assert next(iter(csv.reader(io.StringIO(text.split("\n", 1)[1])))) == cells
    assert list(read_csv(text)[0].values()) == cells
