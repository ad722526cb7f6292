import dataclasses
import os
import warnings

import numpy as np
import pytest
import torch

from lightm_unet.datasets.dataset import open_case_images, open_case_labels, open_dataset
from lightm_unet.errors import DataError
from lightm_unet.imaging.nifti import write_nifti
from lightm_unet.preprocessing.apply import preprocess_image, preprocess_labels
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.training.prepared_cases import PreparedCases

PATCHES = Preprocessing(spatial_dims=3, channels=1, roi_size=(4, 4, 4))
AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])


@pytest.fixture
def dataset(make_dataset):
    return open_dataset(make_dataset(cases=2))


def test_an_item_is_the_preprocessed_case(dataset, tmp_path):
    image, labels, name = PreparedCases(dataset, ["case_1"], PATCHES, tmp_path / "cache")[0]
    case = dataset.case("case_1")
    expected, record = preprocess_image(open_case_images(dataset, case), PATCHES)
    assert name == "case_1"
    torch.testing.assert_close(image, expected, rtol=0, atol=0)
    expected_labels = preprocess_labels(open_case_labels(dataset, case), record)
    torch.testing.assert_close(labels, expected_labels, rtol=0, atol=0)


def test_a_case_is_read_once(dataset, tmp_path, monkeypatch):
    cases = PreparedCases(dataset, ["case_0", "case_1"], PATCHES, tmp_path / "cache")
    cases.prepare()
    monkeypatch.setattr("lightm_unet.training.prepared_cases.open_case_images", None)
    again = PreparedCases(dataset, ["case_0", "case_1"], PATCHES, tmp_path / "cache")
    assert again[0][2] == "case_0"


def test_another_preprocessing_is_not_confused(dataset, tmp_path):
    PreparedCases(dataset, ["case_0"], PATCHES, tmp_path / "cache").prepare()
    coarse = dataclasses.replace(PATCHES, spacing_mm=(2.0, 4.0, 6.0))
    image, _, _ = PreparedCases(dataset, ["case_0"], coarse, tmp_path / "cache")[0]
    assert image.shape == (1, 3, 4, 4)


def test_a_changed_file_is_prepared_again(dataset, tmp_path):
    cases = PreparedCases(dataset, ["case_0"], PATCHES, tmp_path / "cache")
    assert cases[0][1].sum() == 27
    file = dataset.case("case_0").labels
    write_nifti(np.ones((6, 7, 8), np.uint8), AFFINE, file)
    os.utime(file, ns=(0, 12345))
    assert cases[0][1].sum() == 6 * 7 * 8


def test_writing_into_an_item_changes_neither_the_file_nor_gives_a_warning(dataset, tmp_path):
    cases = PreparedCases(dataset, ["case_0"], PATCHES, tmp_path / "cache")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image, _, _ = cases[0]
        before = image.clone()
        image.zero_()
    torch.testing.assert_close(cases[0][0], before)


def test_foreground_places_are_voxels_of_their_label(dataset, tmp_path):
    cases = PreparedCases(dataset, ["case_0"], PATCHES, tmp_path / "cache")
    places = cases.foreground(0)
    labels = cases[0][1].numpy()
    assert places.shape == (27, 4)
    assert (labels[tuple(places[:, 1:].T)] == places[:, 0]).all()


def test_a_case_without_foreground_has_no_places(dataset, tmp_path):
    write_nifti(np.zeros((6, 7, 8), np.uint8), AFFINE, dataset.case("case_0").labels)
    assert len(PreparedCases(dataset, ["case_0"], PATCHES, tmp_path / "cache").foreground(0)) == 0


def test_a_broken_case_is_a_data_error_and_leaves_no_file(dataset, tmp_path):
    dataset.case("case_0").images[0].write_bytes(b"\x1f\x8b broken")
    with pytest.raises(DataError, match="case_0_0000"):
        PreparedCases(dataset, ["case_0"], PATCHES, tmp_path / "cache")[0]
    assert not list(tmp_path.glob("cache/*"))


def test_a_name_the_data_set_does_not_have_is_a_data_error(dataset, tmp_path):
    with pytest.raises(DataError, match=r"no case \.\./x"):
        PreparedCases(dataset, ["../x"], PATCHES, tmp_path / "cache")


@pytest.mark.parametrize("kind", ["image", "labels", "foreground"])
@pytest.mark.parametrize("how", ["truncated", "changed", "empty", "deleted"])
def test_a_damaged_file_is_prepared_again_to_the_same_bytes(kind, how, dataset, tmp_path):
    PreparedCases(dataset, ["case_0"], PATCHES, tmp_path / "cache").prepare()
    (file,) = (tmp_path / "cache").glob(f"*.{kind}.npy")
    before = file.read_bytes()
    if how == "deleted":
        file.unlink()
    else:
        changed = before[:200] + bytes([before[200] ^ 1]) + before[201:]
        file.write_bytes({"truncated": before[:-1], "changed": changed, "empty": b""}[how])
    PreparedCases(dataset, ["case_0"], PATCHES, tmp_path / "cache").prepare()
    assert file.read_bytes() == before


def test_new_content_of_the_same_size_and_time_is_seen(dataset, tmp_path):
    PreparedCases(dataset, ["case_0"], PATCHES, tmp_path / "cache").prepare()
    file = dataset.case("case_0").labels.with_suffix("").with_suffix(".nii.gz")
    before = file.stat()
    write_nifti(np.ones((6, 7, 8), np.uint8), AFFINE, file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    again = PreparedCases(dataset, ["case_0"], PATCHES, tmp_path / "cache")
    assert again[0][1].sum() == 6 * 7 * 8


def test_once_prepared_a_run_does_not_look_at_the_source_files(dataset, tmp_path):
    cases = PreparedCases(dataset, ["case_0"], PATCHES, tmp_path / "cache")
    cases.prepare()
    dataset.case("case_0").labels.unlink()
    assert cases[0][1].sum() == 27
