import numpy as np
import pytest
from PIL import Image as Picture

from lightm_unet.errors import DataError, UsageError
from lightm_unet.evaluation.evaluate import evaluate
from lightm_unet.system.progress import ProgressEvent

LINE = {1: [(1, 1, 1), (1, 1, 2), (1, 1, 3)]}
SHORTER = {1: [(1, 1, 1), (1, 1, 2)]}


def save_picture(path, values):
    path.parent.mkdir(exist_ok=True)
    Picture.fromarray(np.array(values, dtype=np.uint8)).save(path)


def test_scores_worked_out_by_hand_in_mm(save_mask, tmp_path):
    # The third axis is 4 mm per voxel: the last voxel of the line is 4 mm from the prediction.
    save_mask("pred/a.nii", SHORTER)
    save_mask("ref/a.nii", LINE)
    result = evaluate(tmp_path / "pred", tmp_path / "ref", tolerance_mm=3.0)
    scores = result.cases[0].of(1)
    assert scores.dice == pytest.approx(4 / 5)
    assert scores.iou == pytest.approx(2 / 3)
    assert scores.hd95 == pytest.approx(0.95 * 2 * 4 - 4)  # between the 2nd and 3rd of 0, 0, 4
    assert scores.nsd == pytest.approx(4 / 5)
    assert result.unit == "mm"
    assert result.label_names == {1: "label 1"}


def test_one_bad_case_does_not_stop_the_others(save_mask, tmp_path):
    for name in ("a", "b", "c", "d"):
        save_mask(f"pred/{name}.nii", LINE)
        save_mask(f"ref/{name}.nii", LINE)
    save_mask("pred/b.nii", LINE, shape=(6, 6, 5))
    (tmp_path / "ref" / "c.nii").write_bytes(b"no image")
    shifted = np.diag([1.0, 2.0, 4.0, 1.0])
    shifted[0, 3] = 3.0
    save_mask("pred/d.nii", LINE, affine=shifted)

    result = evaluate(tmp_path / "pred", tmp_path / "ref", tmp_path / "out")

    assert [case.name for case in result.cases] == ["a"]
    assert [case.name for case in result.failed] == ["b", "c", "d"]
    assert "shape (6, 6, 5) against (6, 6, 6)" in result.failed[0].error
    assert "3 mm away" in result.failed[2].error
    assert all("\n" not in case.error for case in result.failed)
    report = (tmp_path / "out" / "report.html").read_text()
    assert "shape (6, 6, 5) against (6, 6, 6)" in report


def test_progress_names_each_case_in_turn(save_mask, tmp_path):
    for name in ("a", "b"):
        save_mask(f"pred/{name}.nii", LINE)
        save_mask(f"ref/{name}.nii", LINE)
    events = []
    evaluate(tmp_path / "pred", tmp_path / "ref", progress=events.append)
    assert events == [
        ProgressEvent("evaluate", 0, 2, "a"),
        ProgressEvent("evaluate", 1, 2, "b"),
        ProgressEvent("evaluate", 2, 2),
    ]


def test_a_single_bad_pair_raises_and_writes_nothing(save_mask, tmp_path):
    pred, ref = save_mask("a.nii", LINE), save_mask("b.nii", LINE, shape=(6, 6, 5))
    with pytest.raises(DataError, match="found shape"):
        evaluate(pred, ref, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_dataset_names_its_classes_even_those_nowhere_found(save_mask, save_dataset, tmp_path):
    root = save_dataset({"a": LINE})
    save_mask("pred/a.nii.gz", LINE)
    result = evaluate(tmp_path / "pred", root)
    assert result.label_names == {1: "liver", 2: "tumour"}
    assert result.mean("dice") == 1


def test_a_value_that_a_dataset_does_not_name_fails_its_case(save_mask, save_dataset, tmp_path):
    root = save_dataset({"a": LINE, "b": LINE})
    save_mask("pred/a.nii.gz", LINE)
    save_mask("pred/b.nii.gz", {3: [(0, 0, 0)]})
    result = evaluate(tmp_path / "pred", root)
    assert "the label value 3; expected 0 to 2 (liver, tumour)" in result.failed[0].error


def test_given_names_are_used_in_order(save_mask, tmp_path):
    save_mask("pred/a.nii", {1: [(0, 0, 0)], 2: [(1, 1, 1)]})
    save_mask("ref/a.nii", LINE)
    result = evaluate(tmp_path / "pred", tmp_path / "ref", labels=["front", "back"])
    assert result.label_names == {1: "front", 2: "back"}


def test_pictures_are_measured_in_pixels(save_mask, tmp_path):
    save_mask("pred/a.png", {1: [(2, 2)]}, shape=(8, 8))
    save_mask("ref/a.png", {1: [(2, 5)]}, shape=(8, 8))
    result = evaluate(tmp_path / "pred", tmp_path / "ref")
    assert (result.unit, result.cases[0].of(1).hd95) == ("px", 3)


def test_a_black_and_white_picture_is_a_mask_of_label_1(tmp_path):
    save_picture(tmp_path / "pred" / "a.png", [[0, 1, 1], [0, 0, 0]])
    save_picture(tmp_path / "ref" / "a.png", [[0, 255, 255], [0, 0, 0]])
    result = evaluate(tmp_path / "pred", tmp_path / "ref")
    assert result.label_names == {1: "label 1"}
    assert result.mean("dice") == 1


@pytest.mark.parametrize("side", ["pred", "ref"])
def test_without_names_other_labels_anywhere_make_255_no_label(tmp_path, side):
    """In one mask of a pair, in the other mask, or in another case."""
    plain, white, two = [[0, 1, 1]], [[0, 255, 255]], [[0, 1, 2]]
    other = "ref" if side == "pred" else "pred"
    for name, one, another in (
        ("other_case", white, plain),
        ("other_mask", white, two),
        ("same_mask", [[0, 1, 255]], plain),
        ("sound", two, two),
    ):
        save_picture(tmp_path / side / f"{name}.png", one)
        save_picture(tmp_path / other / f"{name}.png", another)
    result = evaluate(tmp_path / "pred", tmp_path / "ref")
    assert [case.name for case in result.cases] == ["sound"]
    assert [case.name for case in result.failed] == ["other_case", "other_mask", "same_mask"]
    assert all("255 often means ignore" in case.error for case in result.failed)


def test_names_say_whether_255_is_a_label(tmp_path):
    save_picture(tmp_path / "pred" / "a.png", [[0, 1, 1]])
    save_picture(tmp_path / "ref" / "a.png", [[0, 255, 255]])
    assert evaluate(tmp_path / "pred", tmp_path / "ref", labels=["lung"]).mean("dice") == 1
    with pytest.raises(DataError, match="255 often means ignore"):
        evaluate(tmp_path / "pred", tmp_path / "ref", labels=["lung", "heart"])


def test_255_in_a_volume_is_no_label_of_a_data_set(save_mask, save_dataset, tmp_path):
    root = save_dataset({"a": {1: [(0, 0, 0)], 255: [(1, 1, 1)]}})
    save_mask("pred/a.nii.gz", LINE)
    with pytest.raises(DataError, match="255 often means ignore"):
        evaluate(tmp_path / "pred", root)


def test_pixels_and_mm_are_not_mixed(save_mask, tmp_path):
    for folder in ("pred", "ref"):
        save_mask(f"{folder}/a.nii", LINE)
        save_mask(f"{folder}/b.png", {1: [(1, 1)]}, shape=(4, 4))
    with pytest.raises(UsageError, match="cannot be averaged"):
        evaluate(tmp_path / "pred", tmp_path / "ref")


@pytest.mark.parametrize("tolerance", [-1.0, float("nan")])
def test_a_tolerance_below_0_is_refused(tmp_path, tolerance):
    with pytest.raises(UsageError, match="tolerance"):
        evaluate(tmp_path, tmp_path, tolerance_mm=tolerance)
