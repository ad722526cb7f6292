"""Scores on cases that a model was trained on are told to be too good."""

import json

import pytest

from lightm_unet.evaluation.evaluate import evaluate
from lightm_unet.evaluation.seen_cases import warn_of_seen_cases
from lightm_unet.inference.record import RECORD_NAME

VOXEL = {1: [(1, 1, 1)], 2: [(2, 2, 2)]}
SPLIT = {"training": ["a"], "validation": ["b"], "test": ["c"], "seed": 0}


@pytest.fixture
def dataset(save_dataset):
    return save_dataset({name: VOXEL for name in "abc"})


@pytest.fixture
def save_run(tmp_path, save_mask, dataset):
    """Write a run, masks of the data set's cases by its model, and their record."""

    def save(images=None):
        (tmp_path / "run" / "model").mkdir(parents=True)
        (tmp_path / "run" / "run.json").write_text(
            json.dumps({"format": 2, "dataset": str(dataset)})
        )
        (tmp_path / "run" / "split.json").write_text(json.dumps(SPLIT))
        for name in "abc":
            save_mask(f"pred/{name}.nii.gz", VOXEL)
        folder = images or dataset / "imagesTr"
        cases = [{"name": n, "input": str(folder / f"{n}_0000.nii.gz")} for n in "abc"]
        record = {"model": str(tmp_path / "run" / "model"), "cases": cases}
        (tmp_path / "pred" / RECORD_NAME).write_text(json.dumps(record))
        return tmp_path / "pred"

    return save


def test_the_record_beside_the_masks_leads_to_the_split_of_the_run(save_run, dataset, caplog):
    evaluate(save_run(), dataset)
    (line,) = [text for text in caplog.messages if "trained" in text]
    assert line.startswith("2 of 3 cases trained or selected this model")
    assert "run --part test`" in line


def test_cases_of_the_test_and_of_other_data_sets_are_not_counted(save_run, dataset, tmp_path):
    masks = save_run()
    assert warn_of_seen_cases(masks, dataset, ["c"]) == ""
    assert warn_of_seen_cases(masks, dataset, ["a", "c"]).startswith("1 of 2 cases")


def test_another_data_sets_case_of_the_same_name_is_unseen(save_run, dataset, tmp_path):
    assert warn_of_seen_cases(save_run(tmp_path / "other"), dataset, ["a", "b", "c"]) == ""


def test_without_a_record_the_split_of_the_data_set_tells(save_mask, dataset, tmp_path):
    save_mask("pred/a.nii.gz", VOXEL)
    assert warn_of_seen_cases(tmp_path / "pred", dataset, ["a"]) == ""
    (dataset / "split.json").write_text(json.dumps(SPLIT))
    line = warn_of_seen_cases(tmp_path / "pred", dataset, ["a", "c"])
    assert line.startswith("1 of 2 cases are in the training or validation part of ")


@pytest.mark.parametrize("text", ["{", "[]", '{"model": 3}', '{"model": null, "cases": 1}'])
def test_an_unrelated_record_is_passed_over(save_mask, dataset, tmp_path, text):
    save_mask("pred/a.nii.gz", VOXEL)
    (tmp_path / "pred" / RECORD_NAME).write_text(text)
    assert warn_of_seen_cases(tmp_path / "pred", dataset, ["a"]) == ""
