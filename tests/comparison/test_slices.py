import math

import pytest

from lightm_unet.comparison.slices import mean_scores


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
