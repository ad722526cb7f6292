"""The machine's limits: the best of the turns, threads that exist, what needs the kernels."""

import json

import pytest
import torch

from lightm_unet.benchmark import limits
from lightm_unet.benchmark.limits import bench_limits, measure_rate, multiply_add_limit
from lightm_unet.benchmark.limits_report import Limit, LimitsReport
from lightm_unet.benchmark.limits_table import markdown, remarks, table_rows
from lightm_unet.errors import UsageError
from lightm_unet.ops.dispatch import native

MACHINE = {"devices": {"cpu": "a processor"}, "instruction_sets": {"torch": "AVX2"}}


@pytest.fixture
def small(monkeypatch):
    """Work that takes no time, on a machine with 4 cores."""
    monkeypatch.setattr(limits, "PROBE_SECONDS", 1e-6)
    monkeypatch.setattr(limits, "STREAM_FLOATS", 1000)
    monkeypatch.setattr(limits, "PRODUCTS", ((4, 3, 2),))
    monkeypatch.setattr("os.cpu_count", lambda: 4)


def test_work_grows_until_it_takes_long_enough_and_then_its_best_time_counts():
    asked = []

    def work(times, threads):
        asked.append((times, threads))
        return 10 * times

    ticks = iter([0.0, 0.002, 1.0, 1.004, 2.0, 2.02, 3.0, 3.01])
    assert measure_rate(work, 3, 2, lambda: next(ticks)) == pytest.approx(40 / 0.01)
    assert asked == [(1, 3), (2, 3), (4, 3), (4, 3)]


@pytest.mark.usefixtures("small")
def test_the_best_round_counts_and_each_measurement_rests_first(monkeypatch):
    rates = iter([5.0, 7.0, 6.0])
    monkeypatch.setattr(limits, "_works", lambda: {"it": ("FLOP/s", lambda times, threads: 1)})
    monkeypatch.setattr(limits, "measure_rate", lambda work, threads: next(rates))
    rests = []
    report = bench_limits(threads=[1], rounds=3, rest=rests.append)
    assert report.limits == (Limit("it", "FLOP/s", {1: 7.0}),)
    assert rests == [limits.REST_SECONDS] * 3


@pytest.mark.usefixtures("small")
@pytest.mark.skipif(native is None, reason="the extension is not built")
def test_every_limit_is_measured_with_one_thread_and_with_the_wanted_ones(tmp_path):
    before = torch.get_num_threads()
    report = bench_limits(tmp_path / "out", threads=[3, 2], rounds=1, rest=lambda _: None)
    assert torch.get_num_threads() == before
    assert report.threads == (1, 2, 3)
    assert [limit.unit for limit in report.limits] == ["FLOP/s", "exp/s", "B/s", "FLOP/s"]
    assert all(limit.rates[count] > 0 for limit in report.limits for count in (1, 2, 3))
    stored = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert stored["machine"]["instruction_sets"]["native kernels"] == native.instruction_set()
    assert stored["limits"][0]["rates"]["2"] == report.limits[0].rates[2]
    assert (tmp_path / "out" / "table.md").read_text() == markdown(report)


@pytest.mark.usefixtures("small")
def test_without_the_kernels_torchs_products_are_measured_alone(monkeypatch):
    monkeypatch.setattr(limits, "native", None)
    report = bench_limits(threads=[1], rounds=1, rest=lambda _: None)
    rows = table_rows(report)
    assert [row[2] == "–" for row in rows] == [True, True, True, False]
    assert "needs the native kernels" in remarks(report)[-1]


@pytest.mark.skipif(native is None, reason="the extension is not built")
def test_threads_beyond_the_cores_have_the_limit_of_the_cores(monkeypatch):
    asked = []
    monkeypatch.setattr(limits, "measure_rate", lambda work, threads: asked.append(threads))
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    for threads in (1, 4, 1000):
        multiply_add_limit(threads)
    assert asked == [1, 4, 4]


def test_rates_are_shown_in_billions():
    report = LimitsReport(MACHINE, 5, (1, 2), (Limit("it", "B/s", {1: 12.34e9, 2: 2e10}),))
    assert table_rows(report) == [("it", "GB/s", "12.3", "20.0")]
    assert "Machine: a processor" in remarks(report)
    assert "Instruction sets: torch AVX2" in remarks(report)
    assert "| it | GB/s | 12.3 | 20.0 |" in markdown(report)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"threads": [5]}, "threads needs at most 4, the cores of this machine, got 5"),
        ({"threads": [0]}, "threads needs a whole number from 1 up"),
        ({"threads": 2}, "threads needs a list such as"),
        ({"rounds": 0}, "rounds needs a whole number from 1 up"),
    ],
)
def test_a_wrong_request_is_refused_and_nothing_is_written(tmp_path, request_, message):
    with pytest.raises(UsageError, match=message):
        bench_limits(tmp_path / "out", **request_)
    assert list(tmp_path.iterdir()) == []
