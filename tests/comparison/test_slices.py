import math

import numpy as np
import pytest

from lightm_unet.comparison.slices import (
    ADDED,
    AGREED,
    CONFUSED,
    MISSED,
    OPACITY,
    STRONG_TINT,
    TINT,
    mark_differences,
    mean_scores,
)


def test_every_kind_of_pixel_has_its_own_mark():
    ref = np.array([[0, 1, 2, 1, 0, 1]])
    pred = np.array([[0, 1, 2, 0, 1, 2]])
    picture = mark_differences(np.full((1, 6), 100, np.uint8), pred, ref)
    assert picture[0, 0].tolist() == [100, 100, 100]
    for place, colour, opacity in (
        (1, AGREED, TINT),
        (2, AGREED, STRONG_TINT),
        (3, MISSED, OPACITY),
        (4, ADDED, OPACITY),
        (5, CONFUSED, OPACITY),
    ):
        expected = np.round(100 * (1 - opacity) + opacity * np.array(colour))
        assert picture[0, place].tolist() == expected.tolist()


def test_a_cases_score_is_the_mean_over_the_networks_that_have_one():
    scores = {
        "a": {"x": 0.9, "y": 0.2, "z": math.nan},
        "b": {"x": 0.1, "y": math.nan, "z": math.nan},
    }
    means = mean_scores(scores)
    assert means.pop("x") == pytest.approx(0.5)
    assert means.pop("y") == pytest.approx(0.2)
    assert math.isnan(means.pop("z"))
    assert means == {}
