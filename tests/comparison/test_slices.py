import numpy as np

from lightm_unet.comparison.slices import (
    ADDED,
    AGREED,
    CONFUSED,
    MISSED,
    OPACITY,
    STRONG_TINT,
    TINT,
    mark_differences,
    pick_cases,
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


def test_cases_are_picked_by_the_mean_over_all_networks():
    scores = {"a": {"x": 0.9, "y": 0.2, "z": 0.5}, "b": {"x": 0.1, "y": 0.4, "z": 0.8}}
    assert pick_cases(scores) == [("Best", "z"), ("Median", "x"), ("Worst", "y")]


def test_one_case_is_the_only_one_and_none_is_none():
    assert pick_cases({"a": {"x": 0.9}}) == [("The only", "x")]
    assert pick_cases({}) == []
