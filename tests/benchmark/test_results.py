"""The arithmetic, on numbers made by hand."""

import pytest

from lightm_unet.benchmark.contestants import Contestant
from lightm_unet.benchmark.results import Result, Spread, growths, round_ratios


def test_the_ratio_is_the_median_of_the_ratios_round_by_round(make_result):
    # The machine slowed down threefold for the second round: the ratios do not show it.
    result = make_result(seconds=(2.0, 9.0, 5.0), first=(1.0, 3.0, 2.0))
    assert result.ratio == Spread(median=2.5, min=2.0, max=3.0)


def test_rounds_that_do_not_match_are_not_compared():
    with pytest.raises(ValueError, match="shorter"):
        round_ratios([1.0, 2.0], [1.0])


def test_there_is_no_ratio_without_a_first_contestant(make_result):
    assert make_result(first=()).ratio is None


def test_throughput_counts_the_images_of_a_batch_and_their_voxels(make_result):
    result = make_result(seconds=(1.0, 2.0, 9.0), size=(10, 20), batch=4)
    assert result.images_per_second == 2.0
    assert result.voxels_per_second == 400.0
    assert result.peak_above_idle == 700


def test_growth_is_2_for_time_in_proportion_and_4_for_its_square(make_result):
    results = [
        make_result("a", (8, 8), (1.0,)),
        make_result("a", (32, 16), (8.0,)),  # 8 times the voxels
        make_result("a", (16, 16), (4.0,)),  # in between, named last
        make_result("b", (8, 8), (1.0,)),
        make_result("b", (16, 8), (4.0,)),
        make_result("alone", (8, 8), (1.0,)),
    ]
    a, b = growths(results)
    assert (a.name, a.sizes) == ("a", ("8x8", "16x16", "32x16"))
    assert a.steps == pytest.approx((2.0, 2.0))
    assert a.overall == pytest.approx(2.0)
    assert b.overall == pytest.approx(4.0)


def test_2d_and_3d_and_failed_contestants_are_not_one_series(make_result):
    failed = Result(Contestant("a", (16, 16)), error="too large")
    assert growths([make_result("a", (8, 8)), make_result("a", (8, 8, 8)), failed]) == []


def test_json_holds_who_what_and_the_numbers_that_follow(make_result):
    fields = make_result(seconds=(1.0, 2.0, 4.0), first=(1.0, 1.0, 1.0)).to_json()
    assert fields["network"] == "lightm-unet"
    assert fields["latency"] == {"median": 2.0, "min": 1.0, "max": 4.0}
    assert fields["ratio_to_first"] == {"median": 2.0, "min": 1.0, "max": 4.0}
    assert fields["peak_above_idle"] == 700
    failed = Result(Contestant("a", (8, 8)), error="why").to_json()
    assert failed["error"] == "why"
    assert "latency" not in failed
