import itertools

import pytest

from lightm_unet.reporting import palette
from lightm_unet.reporting.palette import Colour, label_colour, on_grey, read_colour

HUES = (*palette.LABELS, palette.BLACK)


def linear(colour):
    return [(((c / 255) + 0.055) / 1.055) ** 2.4 if c > 10 else c / 255 / 12.92 for c in colour]


def contrast(a, b):
    """As the Web's guidelines (WCAG 2) define it."""
    light = [
        sum(w * x for w, x in zip((0.2126, 0.7152, 0.0722), linear(colour), strict=True))
        for colour in (a, b)
    ]
    return (max(light) + 0.05) / (min(light) + 0.05)


def test_the_hues_are_okabe_and_itos():
    assert [colour.css for colour in HUES] == [
        *("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"),
        "#000000",
    ]


def test_labels_have_seven_colours_in_turn_and_the_background_is_black():
    colours = [label_colour(value) for value in range(10)]
    assert colours[0] == (0, 0, 0)
    assert len(set(colours[:8])) == 8
    assert colours[8:] == colours[1:3]


@pytest.mark.parametrize("colour", [*HUES, Colour(0, 0, 255), Colour(255, 0, 0), Colour(1, 0, 0)])
def test_on_grey_every_colour_is_seen(colour):
    assert contrast(on_grey(colour), (51, 51, 51)) > 3.2
    assert max(on_grey(colour)) <= 255


def test_on_grey_light_colours_stay_and_all_stay_apart():
    shown = [on_grey(colour) for colour in palette.LABELS]
    assert shown[:4] == list(palette.LABELS[:4])
    for a, b in itertools.combinations(shown, 2):
        assert sum(abs(x - y) for x, y in zip(a, b, strict=True)) >= 82  # orange, vermilion
    assert [on_grey(colour) for colour in shown] == shown  # lightening twice changes nothing


@pytest.mark.parametrize("value", [None, 3, "red", [1, 2], [1, 2, 3, 4], [-1, 0, 0], [0.5, 0, 0]])
def test_what_is_no_colour_is_refused(value):
    with pytest.raises(ValueError, match="three whole numbers from 0 to 255"):
        read_colour(value)
