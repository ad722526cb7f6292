import numpy as np
import pytest
from PIL import Image as Picture

from lightm_unet.errors import DataError, UsageError
from lightm_unet.evaluation.evaluate import evaluate
from lightm_unet.imaging.nifti import write_nifti
from lightm_unet.system.progress import ProgressEvent

LINE = {1: [(1, 1, 1), (1, 1, 2), (1, 1, 3)]}
SHORTER = {1: [(1, 1, 1), (1, 1, 2)]}


def save_picture(path, values):
    path.parent.mkdir(exist_ok=True)
    dtype = np.uint8 if np.max(values) <= 255 else np.uint16
    Picture.fromarray(np.array(values, dtype=dtype)).save(path)


def save_volume(path, values):
    dtype = np.uint8 if np.max(values) <= 255 else np.uint16
    write_nifti(np.array([values, values], dtype=dtype), np.eye(4), path)


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


@pytest.mark.parametrize(("one", "other"), [(1, 255), (65535, 1), (255, 65535)])
def test_a_black_and_white_picture_is_a_mask_of_label_1(tmp_path, one, other):
    save_picture(tmp_path / "pred" / "a.png", [[0, one, one], [0, 0, 0]])
    save_picture(tmp_path / "ref" / "a.png", [[0, other, other], [0, 0, 0]])
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


@pytest.mark.parametrize("white", [255, 65535])
@pytest.mark.parametrize(("one", "other"), [("white", 1), (1, "white"), ("white", "white")])
def test_without_names_white_in_a_volume_is_refused(tmp_path, one, other, white):
    for folder, value in (("pred", one), ("ref", other)):
        value = white if value == "white" else value
        save_volume(tmp_path / folder / "a.nii", [[0, value], [0, 0]])
    with pytest.raises(DataError, match=f"{white} often means ignore.*save it as 0 and 1"):
        evaluate(tmp_path / "pred", tmp_path / "ref")


def test_255_of_more_than_255_labels_is_one_of_them(tmp_path):
    for folder in ("pred", "ref"):
        save_volume(tmp_path / folder / "a.nii", [[0, 255], [300, 0]])
    result = evaluate(tmp_path / "pred", tmp_path / "ref", tmp_path / "out")
    assert {n: s.dice for n, s in result.cases[0].labels.items()} == {255: 1, 300: 1}


def test_a_picture_of_0_and_255_beside_cases_of_300_labels_is_refused(tmp_path):
    for folder in ("pred", "ref"):
        save_picture(tmp_path / folder / "a.png", [[0, 255]])
        save_picture(tmp_path / folder / "b.png", [[0, 300]])
    result = evaluate(tmp_path / "pred", tmp_path / "ref")
    assert [case.name for case in result.failed] == ["a"]


def test_named_labels_are_drawn_as_they_are_scored(tmp_path):
    for folder in ("pred", "ref"):
        save_volume(tmp_path / folder / "a.nii", [[0, 255], [0, 0]])
    names = [f"structure {n}" for n in range(1, 256)]
    result = evaluate(tmp_path / "pred", tmp_path / "ref", tmp_path / "out", labels=names)
    assert result.cases[0].of(255).dice == 1


@pytest.mark.parametrize("values", [(128, 1), (2, 1)])
def test_label_values_without_one_in_common_are_told(tmp_path, caplog, values):
    for folder, value in zip(("pred", "ref"), values, strict=True):
        save_picture(tmp_path / folder / "a.png", [[0, value]])
    evaluate(tmp_path / "pred", tmp_path / "ref")
    assert f"hold the label values {values[0]}, the references {values[1]}" in caplog.text


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


@pytest.mark.parametrize("endings", [(".png", ".nii"), (".nii", ".png")])
def test_a_picture_and_a_volume_are_no_pair(tmp_path, endings):
    """The axes of an array of a picture are rows and columns, those of NIfTI are i and j."""
    paths = [tmp_path / f"a{ending}" for ending in endings]
    for path in paths:
        if path.suffix == ".png":
            save_picture(path, [[0, 1], [0, 0]])
        else:
            write_nifti(np.array([[[0], [1]], [[0], [0]]], np.uint8), np.eye(4), path)
    with pytest.raises(UsageError, match="axes run differently"):
        evaluate(*paths)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *(("tolerance_mm", value) for value in (-1.0, float("nan"), float("inf"), 10**400)),
        *(("tolerance_mm", value) for value in ("2", None, True, [2])),
        *(("labels", value) for value in ("liver", ["a", "a"], [""], [None], [], {"a": 1}, 3)),
        *(("images", value) for value in ("", 3)),
        *(("output", value) for value in ("", 3, b"out")),
    ],
)
def test_an_argument_of_another_kind_is_refused_by_name(tmp_path, argument, value):
    with pytest.raises(UsageError, match=f"^{argument} needs "):
        evaluate(tmp_path, tmp_path, **{argument: value})


def test_a_folder_of_images_in_place_of_masks_is_asked_about(tmp_path):
    mask = np.zeros((16, 16), np.uint8)
    mask[4:8, 4:8] = 255
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for folder, picture in (("masks", mask), ("images", image)):
        (tmp_path / folder).mkdir()
        Picture.fromarray(picture).save(tmp_path / folder / "a.png")
    with pytest.raises(DataError, match=r"256 different values.*is .*images the folder of images"):
        evaluate(tmp_path / "masks", tmp_path / "images")
