"""Ratios between jobs and numbers of threads, on times made by hand."""

import pytest

from lightm_unet.benchmark.bench_case import BenchCase
from lightm_unet.benchmark.ratios import ratios
from lightm_unet.benchmark.results import Result


def shown(results):
    return [(ratio.name, ratio.size, ratio.of, ratio.value) for ratio in ratios(results)]


def test_a_training_step_is_divided_by_the_inference_of_the_same_size_and_threads(make_result):
    results = [
        make_result("a", (8, 8), (1.0, 2.0, 9.0)),
        make_result("a", (8, 8), (10.0, 9.0, 8.0), job="train"),
        make_result("a", (8, 8, 8), (5.0,), job="train"),  # no inference of that size
        make_result("b", (8, 8), (3.0,)),
    ]
    assert shown(results) == [("a", (8, 8), "training step / inference", 4.5)]


def test_one_thread_is_compared_with_each_larger_number(make_result):
    results = [make_result("a", threads=n, seconds=(s,)) for n, s in ((1, 6.0), (2, 4.0), (4, 2.0))]
    assert shown(results) == [
        ("a", (8, 8), "1 thread / 2 threads", 1.5),
        ("a", (8, 8), "1 thread / 4 threads", 3.0),
    ]


def test_both_kinds_name_what_tells_them_apart(make_result):
    results = [
        make_result("a", seconds=(s,), job=job, threads=n)
        for job, n, s in (("forward", 1, 2.0), ("forward", 2, 1.0), ("train", 1, 8.0))
    ]
    results.append(Result(BenchCase("a", (8, 8), job="train", threads=2), error="out of memory"))
    assert shown(results) == [
        ("a, 1 thread", (8, 8), "training step / inference", 4.0),
        ("a, inference", (8, 8), "1 thread / 2 threads", 2.0),
    ]


def test_one_job_with_one_number_of_threads_has_none(make_result):
    assert ratios([make_result("a"), make_result("b")]) == []
    assert ratios([]) == []


def test_json_holds_the_size_as_it_is_typed(make_result):
    (ratio,) = ratios([make_result("a", seconds=(2.0,)), make_result("a", job="train")])
    assert ratio.to_json()["size"] == "8x8"
    assert ratio.to_json()["value"] == pytest.approx(1.0)
