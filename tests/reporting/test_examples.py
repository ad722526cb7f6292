import math

import pytest

from lightm_unet.reporting.examples import pick_examples

NAN = math.nan


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({}, []),
        ({"a": 0.5}, [("The only case", "a")]),
        ({"a": NAN}, []),
        ({"a": 0.5, "b": NAN}, [("The only case with a score", "a")]),
        ({"a": 0.5, "b": 0.6}, [("Best", "b"), ("Worst", "a")]),
        ({"a": 0.5, "b": 0.6, "c": NAN}, [("Best", "b"), ("Worst", "a")]),
        ({"a": 1, "b": 3, "c": 2}, [("Best", "b"), ("Median", "c"), ("Worst", "a")]),
        # Of an even number, the lower of the two in the middle.
        ({"a": 4, "b": 3, "c": 2, "d": 1}, [("Best", "a"), ("Median", "c"), ("Worst", "d")]),
    ],
)
def test_few_cases_and_cases_without_a_score(scores, expected):
    assert pick_examples(scores) == expected


def test_equal_scores_are_ordered_by_name_however_they_came():
    expected = [("Best", "a"), ("Median", "b"), ("Worst", "c")]
    assert pick_examples({"c": 0.5, "a": 0.5, "b": 0.5}) == expected
    assert pick_examples({"b": 0.5, "c": 0.5, "a": 0.5}) == expected
