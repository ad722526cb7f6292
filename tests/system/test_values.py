from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lightm_unet.errors import SettingError
from lightm_unet.system import values


def test_what_is_meant_is_accepted():
    assert values.whole_number("n", np.int64(3)) == 3
    assert values.whole_number("n", -3, None) == -3
    assert values.number("n", np.float32(0.5)) == values.number("n", Fraction(1, 2)) == 0.5
    assert values.yes_or_no("n", False) is False
    assert values.listed("n", np.array([1, 2]), "[1]") == (1, 2)
    assert values.words("n", (word for word in "ab")) == ("a", "b")
    assert values.path("n", "a/b") == values.path("n", Path("a/b")) == Path("a/b")
    assert values.text("n", "CT", "CT") == "CT"


@pytest.mark.parametrize(
    ("check", "given"),
    [
        *((values.whole_number, v) for v in (None, "3", 3.0, True, -1, 2**31, [3])),
        *((values.number, v) for v in (None, "2", True, -0.1, float("nan"), float("inf"), 10**400)),
        *((values.yes_or_no, v) for v in (None, "yes", 1, np.array([True]))),
        *((values.words, v) for v in (None, "ab", b"ab", [], [""], [" "], [1], ["a", "A"], {"a"})),
        *((values.path, v) for v in (None, "", 3, b"a", "a\0b", ["a"])),
    ],
)
def test_anything_else_is_one_line_that_names_it(check, given):
    with pytest.raises(SettingError, match=r"^name needs [^\n]+, got [^\n]+$"):
        check("name", given)


@pytest.mark.parametrize("given", ["ab", None, 3, {}, {1: 2}, {1}, [], np.array(3)])
def test_what_is_no_list_is_refused(given):
    with pytest.raises(SettingError, match=r"^name needs a list such as \[1\], got "):
        values.listed("name", given, "[1]")


@pytest.mark.parametrize("given", [None, "", " ", 3])
def test_what_is_no_text_is_refused(given):
    with pytest.raises(SettingError, match=r"^name needs a text such as CT, got "):
        values.text("name", given, "CT")


def test_a_long_value_is_shown_in_short():
    for given in (10**5000, [10**5000], "x" * 10**5, np.zeros(10**4)):
        shown = values.show(given)
        assert len(shown) < 400
        assert "\n" not in shown
