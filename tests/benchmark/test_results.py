"""The arithmetic, on numbers made by hand."""

from dataclasses import replace

import pytest

from lightm_unet.benchmark.bench_case import BenchCase
from lightm_unet.benchmark.results import Result, Spread, growths, read_results, round_ratios
from lightm_unet.errors import DataError
from lightm_unet.system.records import write_record


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


def test_the_share_of_the_limit_is_taken_at_the_median(make_result):
    result = replace(make_result(seconds=(1.0, 2.0, 9.0)), flops=30, flops_limit=50.0)
    assert result.share_of_limit == pytest.approx(0.3)
    assert result.to_json()["share_of_limit"] == pytest.approx(0.3)
    for unknown in (replace(result, flops=None), replace(result, flops_limit=None)):
        assert unknown.share_of_limit is None
        assert unknown.to_json()["share_of_limit"] is None


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
    assert (a.name, a.sizes) == ("a", ((8, 8), (16, 16), (32, 16)))
    assert a.steps == pytest.approx((2.0, 2.0))
    assert a.overall == pytest.approx(2.0)
    assert b.overall == pytest.approx(4.0)
    assert a.to_json()["sizes"] == ["8x8", "16x16", "32x16"]


def test_2d_and_3d_and_failed_contestants_are_not_one_series(make_result):
    failed = Result(BenchCase("a", (16, 16)), error="too large")
    assert growths([make_result("a", (8, 8)), make_result("a", (8, 8, 8)), failed]) == []


def test_results_survive_a_bench_json(make_result, tmp_path):
    results = (
        make_result("lightm-unet:width=16", (8, 8, 8), threads=2),
        Result(BenchCase("nnu-net", (8, 8)), error="too large"),
    )
    write_record({"results": [result.to_json() for result in results]}, tmp_path / "bench.json")
    first, second = read_results(tmp_path / "bench.json")
    assert first == replace(results[0], first_of_session=())
    assert second == results[1]


@pytest.mark.parametrize(
    ("results", "message"),
    [
        (None, "results is None, expected list"),
        ([{"network": "nnu-net"}], "case lacks size"),
        ([{"network": "nnu-net", "size": [8, 8], "parameters": "many"}], "parameters is 'many'"),
    ],
    ids=str,
)
def test_a_damaged_bench_json_is_a_data_error(tmp_path, results, message):
    write_record({"results": results}, tmp_path / "bench.json")
    with pytest.raises(DataError, match=f"a report of `bench` that cannot be used .*{message}"):
        read_results(tmp_path / "bench.json")


def test_json_holds_who_what_and_the_numbers_that_follow(make_result):
    fields = make_result(seconds=(1.0, 2.0, 4.0), first=(1.0, 1.0, 1.0)).to_json()
    assert fields["network"] == "lightm-unet"
    assert fields["latency"] == {"median": 2.0, "min": 1.0, "max": 4.0}
    assert fields["ratio_to_first"] == {"median": 2.0, "min": 1.0, "max": 4.0}
    assert fields["peak_above_idle"] == 700
    failed = Result(BenchCase("a", (8, 8)), error="why").to_json()
    assert failed["error"] == "why"
    assert "latency" not in failed
