import json

import numpy as np
import pytest

from lightm_unet.datasets.check import check_dataset
from lightm_unet.errors import DataError
from lightm_unet.imaging.nifti import write_nifti

AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])


def test_a_good_data_set_is_described(make_dataset):
    events = []
    report = check_dataset(make_dataset(cases=3), events.append)
    assert report.ok
    assert report.cases == 3
    assert report.shapes.min == report.shapes.median == report.shapes.max == (6, 7, 8)
    assert report.spacings_mm.median == (1, 2, 3)
    assert report.label_voxels == {"background": 3 * (336 - 27), "block": 3 * 27}
    assert report.label_cases == {"background": 3, "block": 3}
    assert report.intensity_range[0] < 0 < 100 < report.intensity_range[1]
    assert [(event.done, event.total, event.item) for event in events] == [
        (0, 3, "case_0"),
        (1, 3, "case_1"),
        (2, 3, "case_2"),
        (3, 3, ""),
    ]


def test_shapes_and_spacings_are_compared_in_canonical_order(make_dataset):
    root = make_dataset(cases=1)
    turned = np.eye(4)[[2, 0, 1, 3]] * [4, 5, 6, 1]  # array axes run along z, x... in turn
    for folder, name in (("imagesTr", "case_0_0000"), ("labelsTr", "case_0")):
        write_nifti(np.ones((2, 3, 4), np.uint8), turned, root / folder / f"{name}.nii.gz")
    report = check_dataset(root)
    order = [int(np.flatnonzero(turned[axis, :3])[0]) for axis in range(3)]
    assert report.shapes.median == tuple((2, 3, 4)[axis] for axis in order)
    assert report.spacings_mm.median == tuple((4, 5, 6)[axis] for axis in order)


def test_all_problems_are_listed_each_with_its_case(make_dataset):
    root = make_dataset(cases=6)
    (root / "labelsTr" / "case_0.nii.gz").unlink()
    (root / "imagesTr" / "case_1_0000.nii.gz").write_bytes(b"")
    write_nifti(np.full((6, 7, 8), 9, np.uint8), AFFINE, root / "labelsTr" / "case_2.nii.gz")
    write_nifti(np.zeros((6, 7, 9), np.uint8), AFFINE, root / "labelsTr" / "case_3.nii.gz")
    write_nifti(np.zeros((6, 7, 8), np.uint8), AFFINE, root / "labelsTr" / "orphan.nii.gz")
    report = check_dataset(root)
    assert sorted(problem.case for problem in report.problems) == [
        "case_0",
        "case_1",
        "case_2",
        "case_3",
        "orphan",
    ]
    assert all("\n" not in problem.message for problem in report.problems)
    assert report.cases == 6
    assert report.label_cases["block"] == 2


def test_a_wrong_number_of_cases_and_a_wrong_split_are_problems_of_the_whole(make_dataset):
    root = make_dataset(cases=2)
    content = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps({**content, "numTraining": 5}))
    (root / "split.json").write_text('{"training": ["x"], "validation": [], "test": []}')
    messages = [problem.message for problem in check_dataset(root).problems]
    assert len(messages) == 2
    assert "numTraining 5" in messages[0]
    assert "split.json" in messages[1]


def test_an_image_under_a_name_that_is_passed_over_is_a_problem(make_dataset):
    root = make_dataset(cases=1)
    for name in ("case_9.nii.gz", "case_8_0000.nii"):
        (root / "imagesTr" / name).write_bytes(b"x")
    report = check_dataset(root)
    assert report.cases == 1
    assert [problem.message.count("no case uses") for problem in report.problems] == [1, 1]


def test_2d_and_3d_mixed_is_a_problem(make_dataset):
    root = make_dataset(cases=2)
    for folder, name in (("imagesTr", "case_0_0000"), ("labelsTr", "case_0")):
        write_nifti(np.ones((6, 7, 1), np.uint8), AFFINE, root / folder / f"{name}.nii.gz")
    report = check_dataset(root)
    assert "1 image(s) are 2D and 1 are 3D" in report.problems[0].message
    assert report.shapes is None


def test_a_label_that_no_case_holds_is_a_problem(make_dataset):
    root = make_dataset(cases=1)
    write_nifti(np.zeros((6, 7, 8), np.uint8), AFFINE, root / "labelsTr" / "case_0.nii.gz")
    (problem,) = check_dataset(root).problems
    assert "no case holds the label block" in problem.message


def test_a_folder_without_dataset_json_is_a_data_error(tmp_path):
    with pytest.raises(DataError):
        check_dataset(tmp_path)
