import re
from xml.etree import ElementTree

from lightm_unet.reporting.charts import LONGEST_NAME, ChartRow, nice_ticks, strip_chart
from lightm_unet.reporting.palette import Colour


def test_dots_stand_where_their_values_are():
    row = ChartRow("liver", [("a", 0.0), ("b", 0.5), ("c", 1.0)], Colour(1, 2, 3))
    chart = strip_chart([row], "Dice", 0.0, 1.0)
    left, middle, right = (float(x) for x in re.findall(r'cx="([\d.]+)"', chart))
    assert middle == (left + right) / 2
    assert [left, right] == [14, 386]  # the margins of a chart 400 wide


def test_names_cannot_break_out_of_the_chart():
    row = ChartRow("<script>", [('"/><b>', 0.5)], Colour(1, 2, 3))
    chart = strip_chart([row], 'a "title" & more', 0.0, 1.0)
    texts = "".join(ElementTree.fromstring(chart).itertext())
    assert "<script>" in texts  # as text
    assert "<script>" not in chart
    assert "<b>" not in chart


def test_a_class_without_values_says_so():
    assert "no values" in strip_chart([ChartRow("tumour", [], Colour(1, 2, 3))], "HD95", 0.0, 1.0)


def test_equal_values_have_one_tick():
    assert nice_ticks(3.0, 3.0) == [3.0]


def test_a_long_name_is_cut_where_the_chart_ends():
    chart = strip_chart([ChartRow("n" * 300, [], Colour(1, 2, 3))], "HD95", 0.0, 1.0)
    assert "n" * (LONGEST_NAME - 1) + "…" in chart
    assert "n" * LONGEST_NAME not in chart
