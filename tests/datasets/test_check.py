import json

import numpy as np
import pytest

from lightm_unet.datasets.check import check_dataset
from lightm_unet.datasets.dataset import open_dataset, spatial_dims
from lightm_unet.errors import DataError
from lightm_unet.imaging.nifti import read_nifti, write_nifti

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


@pytest.mark.parametrize("shape", [(6, 7, 1), (1, 7, 8), (6, 7), (1, 1, 1)])
def test_a_single_slice_among_volumes_is_a_volume(make_dataset, shape):
    root = make_dataset(cases=2)
    for folder, name in (("imagesTr", "case_0_0000"), ("labelsTr", "case_0")):
        write_nifti(np.ones(shape, np.uint8), AFFINE, root / folder / f"{name}.nii.gz")
    report = check_dataset(root)
    assert report.ok
    assert report.shapes.max == (6, 7, 8)
    assert report.shapes.min == (*shape, 1)[:3]
    assert spatial_dims(open_dataset(root)) == 3


def test_single_slices_alone_are_flat(make_dataset):
    root = make_dataset(cases=2)
    for case in range(2):
        for folder, name in (("imagesTr", f"case_{case}_0000"), ("labelsTr", f"case_{case}")):
            write_nifti(
                np.eye(6, 8, dtype=np.uint8)[:, None], AFFINE, root / folder / f"{name}.nii.gz"
            )
    report = check_dataset(root)
    assert report.ok
    assert report.shapes.max == (8, 6)  # a coronal slice's rows run from top to bottom
    assert spatial_dims(open_dataset(root)) == 2


def test_a_label_that_no_case_holds_is_a_problem(make_dataset):
    root = make_dataset(cases=1)
    write_nifti(np.zeros((6, 7, 8), np.uint8), AFFINE, root / "labelsTr" / "case_0.nii.gz")
    (problem,) = check_dataset(root).problems
    assert "no case holds the label block" in problem.message


def test_a_folder_without_dataset_json_is_a_data_error(tmp_path):
    with pytest.raises(DataError):
        check_dataset(tmp_path)


def test_test_cases_are_read_too(make_dataset):
    root = make_dataset(cases=3)
    good = (root / "imagesTr" / "case_0_0000.nii.gz").read_bytes()
    for folder in ("imagesTs", "labelsTs"):
        (root / folder).mkdir()
    for name in ("value", "shape", "no_labels"):
        (root / "imagesTs" / f"{name}_0000.nii.gz").write_bytes(good)
    write_nifti(np.full((6, 7, 8), 7, np.uint8), AFFINE, root / "labelsTs" / "value.nii.gz")
    write_nifti(np.zeros((6, 7, 9), np.uint8), AFFINE, root / "labelsTs" / "shape.nii.gz")
    write_nifti(np.zeros((6, 7, 8), np.uint8), AFFINE, root / "labelsTs" / "orphan.nii.gz")
    (root / "imagesTs" / "rubbish_0000.nii.gz").write_bytes(b"rubbish")
    (root / "imagesTs" / "unused.nii.gz").write_bytes(good)
    report = check_dataset(root)
    assert sorted(problem.case for problem in report.problems) == [
        "", "orphan", "rubbish", "shape", "value",
    ]  # fmt: skip
    assert (report.cases, report.test_cases) == (3, 4)


def store_split(root, **parts):
    (root / "split.json").write_text(json.dumps(parts))


def test_a_patient_in_two_parts_is_a_problem(make_dataset):
    patients = {"case_0": "p", "case_1": "p", "case_2": "q", "case_3": "q", "case_4": 7}
    root = make_dataset(cases=5, patients=patients)
    store_split(
        root, training=["case_0", "case_2"], validation=["case_1"], test=["case_3", "case_4"]
    )
    messages = [problem.message for problem in check_dataset(root).problems]
    assert len(messages) == 1
    assert "patient p in training and in validation, q in training and in test" in messages[0]


@pytest.mark.parametrize("patients", [None, {"case_0": "p", "new": "p"}])
def test_a_patient_in_training_and_test_folder_is_a_problem(make_dataset, patients):
    """Where the data set names no patients, a case's name is its patient."""
    root = make_dataset(cases=3, patients=patients)
    (root / "imagesTs").mkdir()
    name = "new" if patients else "case_0"
    write_nifti(np.eye(6)[None], AFFINE, root / "imagesTs" / f"{name}_0000.nii.gz")
    (problem,) = check_dataset(root).problems
    assert f"patient {'p' if patients else 'case_0'} in imagesTr and in imagesTs" in problem.message


def copy_case(root, source, name, part="Tr"):
    for folder, ending in (("images", "_0000"), ("labels", "")):
        target = root / f"{folder}{part}" / f"{name}{ending}.nii.gz"
        target.parent.mkdir(exist_ok=True)
        original = root / f"{folder}Tr" / f"{source}{ending}.nii.gz"
        # other bytes, the same voxels
        array, affine, _ = read_nifti(original)
        write_nifti(array.astype(np.float64), affine, target)


@pytest.mark.parametrize(
    ("split", "part", "patients", "words"),
    [
        (True, "Tr", None, ["case_0 (training)", "case_3 (test)", "too good"]),
        (False, "Tr", None, ["case_0 (imagesTr)", "case_3 (imagesTr)", 'under "patients"']),
        (False, "Tr", {"case_0": "p", "case_3": "p"}, ["case_3 (imagesTr): remove one"]),
        (False, "Ts", None, ["case_0 (imagesTr)", "twin (imagesTs)", "too good"]),
    ],
)
def test_one_image_under_two_names_is_warned_of(make_dataset, split, part, patients, words):
    root = make_dataset(cases=4, patients=patients)
    copy_case(root, "case_0", "case_3" if part == "Tr" else "twin", part)
    if split:
        store_split(root, training=["case_0", "case_1"], validation=["case_2"], test=["case_3"])
    report = check_dataset(root)
    assert report.ok
    (warning,) = report.warnings
    assert all(word in warning for word in words)


def test_blank_images_are_no_twins(make_dataset):
    root = make_dataset(cases=3)
    for name in ("case_0", "case_1"):
        image = np.full((6, 7, 8), 5.0)
        write_nifti(image, AFFINE, root / "imagesTr" / f"{name}_0000.nii.gz")
    assert check_dataset(root).warnings == ()


def test_a_label_that_the_training_or_test_part_lacks_is_told(make_dataset):
    root = make_dataset(cases=4)
    empty = np.zeros((6, 7, 8), np.uint8)
    write_nifti(empty, AFFINE, root / "labelsTr" / "case_0.nii.gz")
    store_split(root, training=["case_1", "case_2"], validation=["case_3"], test=["case_0"])
    report = check_dataset(root)
    assert report.ok
    assert "no test case of the split holds the label(s) block" in report.warnings[0]
    store_split(root, training=["case_0"], validation=["case_3"], test=["case_1", "case_2"])
    (problem,) = check_dataset(root).problems
    assert "no training case of the split holds the label(s) block" in problem.message


def test_patients_of_cases_that_are_not_there_are_warned_of(make_dataset):
    root = make_dataset(cases=3, patients={"case_0": "p", "cse_1": "p"})
    (warning,) = check_dataset(root).warnings
    assert '"patients" names 1 case(s) that are not there, such as cse_1' in warning


def test_sides_in_the_labels_names_are_told(make_dataset):
    root = make_dataset(cases=3)
    assert check_dataset(root).mirroring == ""
    content = json.loads((root / "dataset.json").read_text())
    content["labels"] = {"background": 0, "left block": 1}
    (root / "dataset.json").write_text(json.dumps(content))
    expected = "not left-right (the label left block names a side)"
    assert check_dataset(root).mirroring == expected
