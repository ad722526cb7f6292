import json
import shutil

import numpy as np
import pytest

from lightm_unet.datasets.dataset import (
    list_dataset,
    open_case_images,
    open_case_labels,
    open_dataset,
    write_dataset_json,
)
from lightm_unet.errors import DataError
from lightm_unet.imaging.nifti import write_nifti
from lightm_unet.imaging.picture import write_picture


def edit(root, **changes):
    """Change keys of dataset.json; None removes one."""
    path = root / "dataset.json"
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def test_cases_labels_and_channels_are_listed_as_dataset_json_names_them(make_dataset):
    dataset = open_dataset(make_dataset(cases=3, patients={"case_0": "p", "case_1": "p"}))
    assert dataset.name == "Blocks"
    assert dataset.channel_names == ("CT",)
    assert dataset.label_names == ("background", "block")
    assert [case.name for case in dataset.training] == ["case_0", "case_1", "case_2"]
    assert [case.patient for case in dataset.training] == ["p", "p", "case_2"]
    assert dataset.test == ()
    labels = open_case_labels(dataset, dataset.training[0])
    assert labels.dtype == np.uint8
    assert labels.sum() == 27


def test_test_cases_need_no_labels(make_dataset):
    root = make_dataset(cases=2)
    (root / "imagesTs").mkdir()
    shutil.move(root / "imagesTr" / "case_1_0000.nii.gz", root / "imagesTs")
    dataset = open_dataset(root)
    assert [case.name for case in dataset.test] == ["case_1"]
    assert dataset.test[0].labels is None
    with pytest.raises(DataError, match="without its label map"):
        open_case_labels(dataset, dataset.test[0])


def test_two_channel_files_make_one_case(make_dataset):
    root = make_dataset(cases=1)
    first = root / "imagesTr" / "case_0_0000.nii.gz"
    shutil.copy(first, root / "imagesTr" / "case_0_0001.nii.gz")
    edit(root, channel_names={"0": "T1", "1": "T2"})
    dataset = open_dataset(root)
    assert len(dataset.training) == 1
    assert open_case_images(dataset, dataset.training[0]).array.shape == (2, 6, 7, 8)


def test_a_colour_picture_is_one_file_with_three_channels(tmp_path):
    from PIL import Image as Picture

    (tmp_path / "imagesTr").mkdir()
    Picture.fromarray(np.zeros((4, 5, 3), np.uint8)).save(tmp_path / "imagesTr" / "a_0000.png")
    write_picture(np.zeros((4, 5)), tmp_path / "labelsTr" / "a.png")
    write_dataset_json(
        tmp_path,
        name="Colour",
        channel_names=["R", "G", "B"],
        label_names=["background", "cell"],
        training_cases=1,
        file_ending=".png",
    )
    dataset = open_dataset(tmp_path)
    assert open_case_images(dataset, dataset.training[0]).array.shape == (3, 4, 5)


def test_an_image_without_its_label_map_is_named(make_dataset):
    root = make_dataset(cases=3)
    (root / "labelsTr" / "case_1.nii.gz").unlink()
    with pytest.raises(DataError, match=r"case_1_0000.*without its label map.*labelsTr/case_1"):
        open_dataset(root)
    dataset, problems = list_dataset(root)
    assert len(dataset.training) == 3
    assert [name for name, _ in problems] == ["case_1"]


def test_a_missing_channel_is_named(make_dataset):
    root = make_dataset(cases=2)
    shutil.copy(root / "imagesTr" / "case_0_0000.nii.gz", root / "imagesTr" / "case_0_0001.nii.gz")
    edit(root, channel_names={"0": "a", "1": "b", "2": "c"})
    with pytest.raises(DataError, match=r"0000.*0001.*; expected .*0002"):
        open_dataset(root)


def test_a_value_that_dataset_json_does_not_name_is_refused(make_dataset):
    root = make_dataset(cases=1)
    values = np.zeros((6, 7, 8), np.uint8)
    values[0, 0] = 7
    write_nifti(values, np.diag([1.0, 2, 3, 1]), root / "labelsTr" / "case_0.nii.gz")
    dataset = open_dataset(root)
    with pytest.raises(
        DataError, match=r"case_0\.nii\.gz: found the label value\(s\) 7; .* 0 to 1"
    ):
        open_case_labels(dataset, dataset.training[0])


@pytest.mark.parametrize(
    ("shape", "spacing", "message"),
    [((6, 7, 9), 3.0, r"shape \(6, 7, 9\) against"), ((6, 7, 8), 4.0, "an affine")],
)
def test_a_label_map_on_another_grid_is_refused(make_dataset, shape, spacing, message):
    root = make_dataset(cases=1)
    path = root / "labelsTr" / "case_0.nii.gz"
    write_nifti(np.zeros(shape, np.uint8), np.diag([1.0, 2, spacing, 1]), path)
    dataset = open_dataset(root)
    with pytest.raises(DataError, match=message):
        open_case_labels(dataset, dataset.training[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channel_names": None}, "channel_names None"),
        ({"channel_names": ["CT"]}, "channel_names"),
        ({"channel_names": {"1": "CT"}}, "channel_names"),
        ({"channel_names": None, "modality": {"0": "CT"}}, "import-dataset"),
        ({"labels": None}, "labels None"),
        ({"labels": {"background": 0}}, "without a gap"),
        ({"labels": {"background": 0, "liver": 2}}, "without a gap"),
        ({"labels": {"background": 0, "liver": "x"}}, "without a gap"),
        ({"labels": {"background": 0, "liver": 1.5}}, "without a gap"),
        ({"labels": {"background": 0, "liver": True}}, "without a gap"),
        ({"labels": {"background": 0, "liver": 1, "spleen": 1}}, "without a gap"),
        ({"labels": {"0": "background", "1": "liver"}}, "each name before its value"),
        ({"labels": {"liver": 1, "spleen": 2}}, "no label of value 0"),
        ({"labels": {"liver": 0, "Background": 1}}, "another value than 0"),
        ({"labels": {"background": 0, "whole": [1, 2]}}, "regions"),
        ({"labels": {"background": 0, "liver": 1, "ignore": 2}}, "ignore"),
        ({"file_ending": "../x"}, "file_ending"),
        ({"file_ending": ".nii"}, "no image named CASE_0000.nii"),
        ({"patients": ["a"]}, "patients"),
    ],
)
def test_a_wrong_dataset_json_says_what_is_wrong(make_dataset, changes, message):
    root = make_dataset(cases=1)
    edit(root, **changes)
    with pytest.raises(DataError, match=message):
        open_dataset(root)


def test_the_background_may_have_any_name(make_dataset):
    root = make_dataset(cases=1)
    edit(root, labels={"block": 1, "Hintergrund": "0"})
    assert open_dataset(root).label_names == ("Hintergrund", "block")


def test_white_is_label_1_only_where_there_is_one_label(tmp_path):
    """The rule of `read_mask`, with the number of labels that dataset.json says."""
    for names, expected in ((["a"], [0, 1]), (["a", "b"], None)):
        root = tmp_path / str(len(names))
        write_picture(np.zeros((1, 2)), root / "imagesTr" / "x_0000.png")
        write_picture(np.array([[0, 255]]), root / "labelsTr" / "x.png")
        write_dataset_json(
            root,
            name="White",
            channel_names=["grey"],
            label_names=["background", *names],
            training_cases=1,
            file_ending=".png",
        )
        dataset = open_dataset(root)
        if expected:
            assert open_case_labels(dataset, dataset.training[0]).ravel().tolist() == expected
        else:
            with pytest.raises(DataError, match="255 often means ignore"):
                open_case_labels(dataset, dataset.training[0])


def test_a_folder_that_is_no_data_set_says_what_one_looks_like(tmp_path):
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(DataError, match=r"nnU-Net|no such folder"):
            open_dataset(path)
