import json
import math

import pytest

from lightm_unet.comparison.plan import Run
from lightm_unet.comparison.results import (
    DIVERGED,
    FAILED,
    RunResult,
    read_result,
    run_folder,
    write_result,
)
from lightm_unet.errors import DataError
from lightm_unet.evaluation.scores import FailedCase, LabelScores


def test_a_result_survives_its_file_with_infinite_distances(make_result, tmp_path):
    result = make_result("nnu-net", {"d": (0.5, 0.25)})
    empty = LabelScores(0.0, 0.0, math.inf, 0.0, 0, 7)
    result.evaluation.cases[0].labels[2] = empty
    write_result(result, tmp_path)
    read = read_result(tmp_path, result.run)
    assert read.settled
    assert read.best_dice == 0.9
    assert read.evaluation.cases == result.evaluation.cases
    assert read.evaluation.label_names == {1: "left", 2: "right"}
    assert read.evaluation.failed == ()


def test_cases_that_could_not_be_predicted_are_kept_with_their_reason(make_result, tmp_path):
    from dataclasses import replace

    result = make_result("nnu-net", {"d": (0.5, 0.25)})
    lost = replace(result.evaluation, failed=(FailedCase("e", "too large"),))
    write_result(replace(result, evaluation=lost), tmp_path)
    assert read_result(tmp_path, result.run).evaluation.failed == lost.failed


@pytest.mark.parametrize(("status", "settled"), [(DIVERGED, True), (FAILED, False)])
def test_divergence_is_final_and_other_failures_are_tried_again(tmp_path, status, settled):
    run = Run("unetr", 3)
    write_result(RunResult(run, status, "why"), tmp_path)
    read = read_result(tmp_path, run)
    assert (read.error, read.evaluation, read.settled) == ("why", None, settled)
    assert math.isnan(read.best_dice)
    json.loads((run_folder(tmp_path, run) / "result.json").read_text(), parse_constant=pytest.fail)


def test_a_result_names_no_place_on_the_disk_and_is_found_where_it_was_copied_to(
    make_result, tmp_path
):
    result = make_result("lightm-unet:width=16", {"d": (0.5, 0.25)})
    write_result(result, tmp_path / "here")
    path = tmp_path / "here" / "runs" / "lightm-unet_width=16" / "seed-0" / "result.json"
    content = json.loads(path.read_text())
    assert list(content)[:4] == ["format", "network", "seed", "status"]
    assert content["network"] == "lightm-unet:width=16"
    assert {"predictions", "references"}.isdisjoint(content["evaluation"])
    (tmp_path / "here").rename(tmp_path / "there")
    read = read_result(tmp_path / "there", result.run)
    assert read.run == result.run
    assert read.evaluation.predictions == tmp_path.joinpath("there", *path.parts[-4:-1], "masks")
    assert read.evaluation.references == tmp_path / "there" / "data"


def test_a_run_without_a_result_has_none(tmp_path):
    assert read_result(tmp_path, Run("unetr", 0)) is None


def test_a_result_in_another_run_s_folder_is_a_data_error(tmp_path):
    write_result(RunResult(Run("unetr", 0), FAILED, "why"), tmp_path)
    own = run_folder(tmp_path, Run("unetr", 0))
    own.rename(own.with_name("seed-1"))
    with pytest.raises(DataError, match=r"cannot be used \(it belongs to unetr, seed 0\)"):
        read_result(tmp_path, Run("unetr", 1))


def test_a_damaged_result_is_a_data_error(tmp_path):
    run = Run("unetr", 0)
    write_result(RunResult(run, FAILED, "why"), tmp_path)
    (run_folder(tmp_path, run) / "result.json").write_text("{}")
    with pytest.raises(DataError, match=r"a result that cannot be used .*lacks status"):
        read_result(tmp_path, run)
