import numpy as np
import pytest

from lightm_unet.reporting.overlay import HATCHING, PERIOD_PX, TINT, overlay
from lightm_unet.reporting.palette import BLACK, ORANGE, SKY_BLUE

COLOURS = {1: ORANGE, 2: SKY_BLUE}
SIDE = 4 * PERIOD_PX
INNER = (slice(PERIOD_PX, 2 * PERIOD_PX), slice(PERIOD_PX, 2 * PERIOD_PX))
"""A part that no outline touches and that holds whole periods of the hatching."""


def square(value):
    return np.full((SIDE, SIDE), value, dtype=np.uint8)


def over(grey, *layers):
    for colour, opacity in layers:
        grey = np.round((1 - opacity) * np.asarray(grey) + opacity * np.asarray(colour))
    return tuple(int(channel) for channel in np.broadcast_to(grey, 3))


def found(pred, ref, grey=100):
    """The colours within a region, each with its share of the area."""
    inner = overlay(square(grey), square(pred), square(ref), COLOURS)[INNER].reshape(-1, 3)
    colours, counts = np.unique(inner, axis=0, return_counts=True)
    return {tuple(map(int, c)): n / len(inner) for c, n in zip(colours, counts, strict=True)}


def test_without_a_label_there_is_only_the_image():
    assert found(0, 0) == {(100, 100, 100): 1}


def test_what_is_predicted_and_right_is_tinted():
    assert found(1, 1) == {over(100, (ORANGE, TINT)): 1}


@pytest.mark.parametrize("label", [1, 2])
def test_what_is_missed_is_hatched_and_the_image_shows_between_the_lines(label):
    share = found(0, label)
    assert share.keys() == {(100, 100, 100), over(100, (COLOURS[label], HATCHING))}
    assert share[100, 100, 100] > 0.7


def test_what_is_added_is_tinted_and_hatched():
    tinted = over(100, (ORANGE, TINT))
    share = found(1, 0)
    assert share.keys() == {tinted, over(tinted, (ORANGE, HATCHING))}
    assert share[tinted] > 0.7


def test_missed_and_added_differ_by_the_direction_of_their_lines():
    missed = overlay(square(0), square(0), square(1), {1: ORANGE})[INNER].any(axis=-1)
    added = overlay(square(0), square(1), square(0), {1: ORANGE})[INNER][..., 0] > 100
    for lines, other in (
        (missed, missed[1:, :-1] == missed[:-1, 1:]),
        (added, added[1:, 1:] == added[:-1, :-1]),
    ):
        assert 0 < lines.mean() < 0.3
        assert other.all()


def test_another_label_shows_both():
    grey = over(100, (SKY_BLUE, TINT))
    assert len(found(2, 1)) == 4  # tint, either hatching, and where they cross
    assert grey in found(2, 1)


def test_the_border_of_the_reference_is_a_line_and_that_of_the_prediction_is_not():
    ref, pred = square(0), square(0)
    ref[10:20, 10:20] = 1
    pred[10:20, 25:34] = 1
    shown = overlay(square(0), pred, ref, {1: ORANGE})
    solid = (shown == ORANGE).all(axis=-1)
    assert solid[10, 10:20].all()
    assert not solid[:, 22:].any()
    assert tuple(shown[5, 5]) == BLACK


def test_a_label_without_a_colour_is_not_drawn():
    assert (overlay(square(50), square(9), square(9), COLOURS) == 50).all()
