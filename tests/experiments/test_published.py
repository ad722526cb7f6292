"""Results survive publication: written, read and restored they are the same."""

import dataclasses
import math

import pytest

from lightm_unet.benchmark.bench_case import BenchCase
from lightm_unet.benchmark.results import Result
from lightm_unet.comparison.plan import PLAN, Plan, plan_runs
from lightm_unet.comparison.results import DONE, FAILED, RunResult, write_result
from lightm_unet.datasets.splits import Split
from lightm_unet.evaluation.scores import CaseScores, Evaluation, FailedCase, LabelScores
from lightm_unet.system.files import write_json
from lightm_unet.training.settings import TrainingSettings
from published import read_published, restore, write_published

NETWORKS = ("lightm-unet:encoder_layers=[1,1]", "nnu-net")


@pytest.fixture
def comparison(tmp_path):
    """Four runs: one with scores and a case without, one failed, two not made yet; and a bench."""
    folder = tmp_path / "runs" / "lungs"
    plan = Plan(
        dataset="Lungs, both",
        label_names=("background", "left", "right"),
        split=Split(("a", "b"), ("c",), ("d", "e"), seed=0),
        training_cases=2,
        channels=1,
        size=(32, 48),
        settings=TrainingSettings(epochs=3, size=(32, 48)),
    ).with_runs(plan_runs(NETWORKS, (0, 1)))
    case = CaseScores(
        "d",
        {
            1: LabelScores(2 / 3, 0.5, 1.5, 0.25, 10, 20),
            2: LabelScores(0.0, 0.0, math.inf, 0.0, 0, 7),
        },
        (0.5, 0.5),
    )
    without_left = CaseScores("=f", {2: LabelScores(1.0, 1.0, 0.0, 1.0, 3, 3)}, (0.5, 0.5))
    evaluation = Evaluation(
        {1: "left", 2: "right"},
        (case, without_left),
        (FailedCase("e", 'no mask; "e", they say'),),
        "mm",
        2.0,
        folder,
        folder,
        1.25,
    )
    write_json(plan.to_json_dict(), folder / PLAN)
    write_result(RunResult(plan.runs[0], DONE, None, 0.75, 60.5, evaluation), folder)
    write_result(RunResult(plan.runs[1], FAILED, "out of memory"), folder)
    results = [
        Result(BenchCase(NETWORKS[0], (32, 48)), None, 1000, (0.25, 0.5), 0.75, 10, 30),
        Result(BenchCase(NETWORKS[1], (32, 48)), error="out of memory"),
    ]
    bench = {"rounds": 2, "results": [result.to_json() for result in results], "growth": []}
    write_json(bench, folder / "bench" / "bench.json")
    return folder


def publish(comparison, target):
    """With the costs, which the tables of a comparison hold."""
    write_published(comparison, target)
    costs = "network,parameters,macs,scan_flops\n" + "".join(f'"{n}",7,8,9\n' for n in NETWORKS)
    (target / "networks.csv").write_text(costs)
    return target


def test_what_is_read_is_what_was_written(comparison, tmp_path):
    found = read_published(publish(comparison, tmp_path / "published"))
    assert found.plan.split.test == ("d", "e")
    assert found.plan.settings.size == (32, 48)
    first, second, *_ = found.plan.runs
    assert list(found.results) == [first, second]
    assert (found.results[second].status, found.results[second].error) == (FAILED, "out of memory")
    assert math.isnan(found.results[second].best_dice)
    done = found.results[first]
    assert (done.best_dice, done.seconds) == (0.75, 60.5)
    assert done.evaluation.failed == (FailedCase("e", 'no mask; "e", they say'),)
    case, without_left = done.evaluation.cases
    assert case.of(1) == LabelScores(0.666667, 0.5, 1.5, 0.25, 10, 20)
    assert case.of(2) == LabelScores(0.0, 0.0, math.inf, 0.0, 0, 7)
    assert without_left.name == "=f"
    assert not without_left.occurs(1)
    assert math.isnan(without_left.of(1).dice)
    measured, unmeasured = found.speeds.values()
    assert measured.case == BenchCase(NETWORKS[0], (32, 48))
    assert measured.seconds == (0.25, 0.5)
    assert measured.peak_above_idle == 20
    assert unmeasured.error == "out of memory"
    assert [dataclasses.astuple(cost) for cost in found.costs.values()] == [(7, 8, 9)] * 2


def test_what_is_restored_is_published_as_the_same_bytes(comparison, tmp_path):
    published = publish(comparison, tmp_path / "published")
    restore(published, tmp_path / "restored")
    again = publish(tmp_path / "restored", tmp_path / "again")
    names = sorted(file.name for file in published.iterdir())
    assert names == sorted(file.name for file in again.iterdir())
    assert "bench.csv" in names
    for name in names:
        assert (again / name).read_bytes() == (published / name).read_bytes()


def test_without_a_race_there_are_no_times(comparison, tmp_path):
    (comparison / "bench" / "bench.json").unlink()
    found = read_published(publish(comparison, tmp_path / "published"))
    assert found.speeds == {}
    assert not (tmp_path / "published" / "machine.json").exists()
