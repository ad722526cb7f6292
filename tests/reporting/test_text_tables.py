import csv
import io

from lightm_unet.reporting.text_tables import csv_table, markdown_table


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
