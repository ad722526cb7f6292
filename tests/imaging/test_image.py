import re
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest

from lightm_unet.errors import DataError, UsageError
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import (
    has_spacing,
    image_files,
    read_image,
    read_labels,
    read_mask,
    split_ending,
    stored_dims,
    write_labels,
)
from lightm_unet.imaging.nifti import write_nifti
from lightm_unet.imaging.picture import write_picture

AFFINE = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -7], [0, 0, 3, 11], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.b.nii.gz", ("a.b", ".nii.gz")),
        ("x/scan.NII.GZ", ("scan", ".nii.gz")),
        ("a.nii", ("a", ".nii")),
        ("a.jpeg", ("a", ".jpeg")),
        ("a.DCM", ("a", ".dcm")),
    ],
)
def test_endings_may_have_two_dots_and_capitals(name, parts):
    assert split_ending(name) == parts


@pytest.mark.parametrize("name", ["dcm", "a.gz", "nii.gz", ".nii.gz", "a", "a.mhd"])
def test_other_endings_are_a_data_error(name):
    with pytest.raises(DataError, match="name ending in"):
        split_ending(name)


def test_a_folder_gives_its_images_sorted_and_no_hidden_or_other_file(tmp_path):
    for name in ("b.png", "a.nii.gz", "._a.nii.gz", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "c.png").mkdir()
    assert [file.name for file in image_files(tmp_path)] == ["a.nii.gz", "b.png"]
    assert image_files(tmp_path / "b.png") == [tmp_path / "b.png"]


def test_a_missing_path_an_empty_folder_and_a_wrong_file_are_data_errors(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    for path in (tmp_path / "gone", tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(DataError):
            image_files(path)


def test_a_volume_has_one_channel_and_keeps_its_axes(tmp_path):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    write_nifti(array, AFFINE, tmp_path / "a.nii.gz")
    image = read_image(tmp_path / "a.nii.gz")
    assert image.array.dtype == np.float32
    np.testing.assert_array_equal(image.array, array[None])
    np.testing.assert_array_equal(image.geometry.affine, AFFINE)
    assert image.geometry.shape == (2, 3, 4)


@pytest.mark.parametrize(
    ("stored", "channels", "read"),
    [
        ((4, 5, 1), None, (1, 4, 5)),
        ((4, 5), None, (1, 4, 5)),
        ((4, 5, 6, 1), None, (1, 4, 5, 6)),
        ((4, 5, 6, 2), 2, (2, 4, 5, 6)),
        ((4, 5, 1, 3), 3, (3, 4, 5)),
        ((1, 4, 5), None, (1, 4, 5)),
        ((4, 1, 5), None, (1, 4, 5)),
        ((4, 1, 1), None, (1, 4, 1)),
        ((1, 1, 1), None, (1, 1, 1)),
        ((1, 4, 5, 3), 3, (3, 4, 5)),
        ((4, 5, 6, 1, 1), 1, (1, 4, 5, 6)),
    ],
)
def test_axes_of_length_one_are_left_out_and_channels_taken_when_asked_for(
    tmp_path, stored, channels, read
):
    write_nifti(np.ones(stored, np.uint8), np.eye(4), tmp_path / "a.nii")
    image = read_image(tmp_path / "a.nii", channels=channels)
    assert image.array.shape == read
    labels = np.ones(image.geometry.shape, np.uint8)
    write_labels(labels, image.geometry, tmp_path / "mask.nii")
    spatial = stored[:3] if channels and channels > 1 else stored
    assert nibabel.load(tmp_path / "mask.nii").shape == spatial


@pytest.mark.parametrize(
    ("stored", "dims"),
    [((4, 5, 6), 3), ((4, 5, 6, 2), 3), ((4, 5), 2), ((4, 1, 6), 2), ((1, 5, 6, 2), 2), ((4,), 2)],
)
def test_a_single_slice_has_two_dimensions_and_more_have_three(tmp_path, stored, dims):
    write_nifti(np.ones(stored, np.uint8), np.eye(4), tmp_path / "a.nii.gz")
    assert stored_dims(tmp_path / "a.nii.gz") == dims


def test_a_picture_has_two_dimensions_without_being_read():
    assert stored_dims(Path("missing.png")) == 2


@pytest.mark.parametrize(("stored", "channels"), [((4, 5, 6, 2), None), ((4, 5, 6, 2), 3)])
def test_a_series_of_volumes_is_refused(tmp_path, stored, channels):
    write_nifti(np.ones(stored, np.uint8), np.eye(4), tmp_path / "a.nii")
    with pytest.raises(DataError, match=r"shape \(4, 5, 6, 2\)"):
        read_image(tmp_path / "a.nii", channels=channels)


def test_several_files_become_channels_in_order_on_one_grid(tmp_path):
    paths = [tmp_path / f"a_{i}.nii" for i in range(2)]
    for value, path in enumerate(paths):
        write_nifti(np.full((2, 3, 4), value, np.uint8), np.eye(4), path)
    image = read_image(paths)
    assert image.array[:, 0, 0, 0].tolist() == [0, 1]
    assert image.path == paths[0]
    write_nifti(np.zeros((2, 3, 4), np.uint8), AFFINE, paths[1])
    with pytest.raises(DataError, match=r"a_1\.nii: found an affine"):
        read_image(paths)


def test_another_number_of_channels_than_asked_for_is_a_data_error(tmp_path):
    write_picture(np.zeros((3, 4)), tmp_path / "a.png")
    with pytest.raises(DataError, match=r"1 channel\(s\)"):
        read_image(tmp_path / "a.png", channels=3)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_voxels_that_float32_cannot_hold_are_a_data_error(tmp_path, value):
    array = np.zeros((2, 3, 4))
    array[1, 1, 1] = value
    write_nifti(array, np.eye(4), tmp_path / "a.nii")
    with pytest.raises(DataError, match="1 NaN or infinite voxels"):
        read_image(tmp_path / "a.nii")


def test_labels_keep_their_values_and_fractions_are_refused(tmp_path):
    path = tmp_path / "a.nii"
    for values, dtype in (([0, 255], np.uint8), ([-1, 1], np.int64), ([0, 300], np.int64)):
        write_nifti(np.array(values, np.float32).reshape(1, 1, 2), np.eye(4), path)
        labels, _ = read_labels(path)
        assert labels.ravel().tolist() == values
        assert labels.dtype == dtype
    for value in (0.5, np.nan, np.inf, 1e30):
        write_nifti(np.array([0, value], np.float32).reshape(1, 1, 2), np.eye(4), path)
        with pytest.raises(DataError, match="label value"):
            read_labels(path)


def test_a_label_beyond_int64_is_refused(tmp_path):
    labels = np.array([[[0, 2**63 + 1]]], dtype=np.uint64)
    write_nifti(labels, np.eye(4), tmp_path / "a.nii")
    with pytest.raises(DataError, match="the label value 9223372036854775809"):
        read_labels(tmp_path / "a.nii")


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".png", ".tif", ".bmp"])
def test_written_labels_come_back_on_the_same_grid(tmp_path, ending):
    volume = ending.startswith(".nii")
    shape = (3, 4, 5) if volume else (3, 4)
    labels = np.random.default_rng(0).integers(0, 256, shape)
    geometry = Geometry(shape, AFFINE if volume else np.eye(4))
    write_labels(labels, geometry, tmp_path / f"a{ending}")
    read, read_geometry = read_labels(tmp_path / f"a{ending}")
    np.testing.assert_array_equal(read, labels)
    assert geometry.difference(read_geometry) is None


def test_labels_that_uint8_jpeg_or_the_grid_cannot_hold_are_refused(tmp_path):
    geometry = Geometry((2, 2), np.eye(4))
    for labels, name in (
        (np.full((2, 2), 256), "a.png"),
        (np.full((2, 2), -1), "a.png"),
        (np.zeros((2, 3), int), "a.png"),
        (np.zeros((2, 2), int), "a.jpg"),
    ):
        with pytest.raises(UsageError):
            write_labels(labels, geometry, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


READABLE = {
    "dicom_seg/liver_seg.nrrd": (1, 512, 512, 3),
    "dicom_seg/liver_spine_gapped_seg.nrrd": (1, 512, 512, 3),
    "dicom_seg/liver_spine_seg.nrrd": (1, 512, 512, 3),
    "odd/nibabel/anatomical.nii": (1, 33, 41, 25),
    "odd/nibabel/reoriented_anat_moved.nii": (1, 21, 26, 22),
    "odd/nibabel/standard.nii.gz": (1, 4, 5, 7),
    "ct/low_res_3mm/example_ct.nii.gz": (1, 122, 101, 112),
    "ct/mr/example_mr_sm.nii.gz": (1, 117, 91, 20),
    "ct/dicom_series/seg/example_seg_dicom.nii.gz": (1, 512, 512, 20),
    "odd/nibabel/0.dcm": (1, 256, 256),
    "odd/nibabel/1.dcm": (1, 256, 256),
    "odd/pydicom/693_J2KI.dcm": (1, 512, 512),
    "odd/pydicom/CT_small.dcm": (1, 128, 128),
    "odd/pydicom/ExplVR_BigEnd.dcm": (3, 60, 80),
    "odd/pydicom/JPEG-lossy.dcm": (1, 1024, 256),
    "odd/pydicom/JPGExtended.dcm": (1, 1024, 256),
    "odd/pydicom/SC_rgb_jpeg.dcm": (3, 256, 256),
    "odd/pydicom/examples_overlay.dcm": (1, 484, 300),
    "dicom_seg/01.dcm": (1, 512, 512),
    "dicom_seg/02.dcm": (1, 512, 512),
    "dicom_seg/03.dcm": (1, 512, 512),
    **dict.fromkeys(
        (
            f"odd/pydicom/MR_small{kind}.dcm"
            for kind in (
                *("", "_bigendian", "_expb", "_implicit", "_jp2klossless", "_jpeg_ls_lossless"),
                "_padded",
            )
        ),
        (1, 64, 64),
    ),
}


@pytest.mark.parametrize("folder", ["odd/nibabel", "odd/pydicom", "dicom_seg", "ct"])
def test_every_real_odd_file_is_read_or_refused_in_one_line(shared_data, folder):
    for path in sorted((shared_data / folder).rglob("*")):
        if not path.is_file():
            continue
        expected = READABLE.get(str(path.relative_to(shared_data)))
        if expected is not None:
            assert read_image(path).array.shape == expected
        elif path.parent.name == "CT":
            assert read_image(path).array.shape == (1, 512, 512)
        elif path.name not in ("example_liver.nii.gz", "example_organs9.nii.gz"):
            with pytest.raises(DataError) as caught:
                read_image(path)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 255, 255], [0, 1, 1]),
        ([255, 255, 255], [1, 1, 1]),
        ([0, 1, 255], [0, 1, 255]),
        ([0, 1, 2], [0, 1, 2]),
        ([0, 0, 0], [0, 0, 0]),
    ],
)
def test_a_picture_of_0_and_255_alone_is_a_mask_of_label_1(tmp_path, values, expected):
    array = np.array([values], dtype=np.uint8)
    write_picture(array, tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png")[0].tolist() == [expected]


def test_in_a_volume_255_is_a_label(tmp_path):
    write_nifti(np.array([[[0, 255]]], dtype=np.uint8), np.eye(4), tmp_path / "a.nii")
    assert read_mask(tmp_path / "a.nii")[0].ravel().tolist() == [0, 255]


@pytest.mark.parametrize(
    ("values", "classes", "message"),
    [
        ([0, 255], 3, "255 in 1 of 2 voxels; expected the values 0 to 2"),
        ([0, 1, 255], 2, "255 often means ignore"),
        ([0, 1, 2, 255], 3, "255 often means ignore"),
        ([255, 255], 255, "255 often means ignore"),
        ([0, 1, 65535], 2, "65535 often means ignore"),
        ([0, 255, 65535], 2, "255 in 1 of 3 voxels"),
        ([0, 65535], 256, "65535 often means ignore"),
    ],
)
def test_255_that_is_no_label_is_refused(tmp_path, values, classes, message):
    dtype = np.uint8 if max(values) < 256 else np.uint16
    write_picture(np.array([values], dtype), tmp_path / "a.png")
    with pytest.raises(DataError, match=message):
        read_mask(tmp_path / "a.png", classes)
    write_nifti(np.array([[values]], dtype), np.eye(4), tmp_path / "a.nii")
    with pytest.raises(DataError, match=message):
        read_mask(tmp_path / "a.nii", classes)


def test_255_is_label_1_of_one_label_and_itself_of_255_labels(tmp_path):
    write_picture(np.array([[0, 255]]), tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png", 2)[0].tolist() == [[0, 1]]
    assert read_mask(tmp_path / "a.png", 256)[0].tolist() == [[0, 255]]
    write_nifti(np.array([[[0, 255]]], dtype=np.uint8), np.eye(4), tmp_path / "a.nii")
    with pytest.raises(DataError, match="import-dataset --kind pairs"):
        read_mask(tmp_path / "a.nii", 2)


@pytest.mark.parametrize("value", [0.99999994, 1.0005, 1.9995, -0.0004])
def test_values_near_a_whole_number_are_rounded_and_told_once(tmp_path, caplog, value):
    path = tmp_path / "a.nii"
    write_nifti(np.array([[[0, value]]], np.float32), np.eye(4), path)
    for _ in range(2):
        assert read_labels(path)[0].ravel().tolist() == [0, round(value)]
    assert caplog.text.count(f"{path}: 1 label value(s) rounded") == 1


def test_a_scaling_by_1_over_255_is_rounded(tmp_path):
    data = bytearray(nibabel.Nifti1Image(np.full((1, 1, 2), 255, np.uint8), np.eye(4)).to_bytes())
    struct.pack_into("<ff", data, 112, 1 / 255, 0)  # scl_slope, scl_inter
    (tmp_path / "a.nii").write_bytes(data)
    assert read_labels(tmp_path / "a.nii")[0].ravel().tolist() == [1, 1]


@pytest.mark.parametrize("value", [0.998, 0.5, 1.002, np.inf, 1e12])
def test_the_message_shows_the_value_that_is_no_label(tmp_path, value):
    write_nifti(np.array([[[0, value]]]), np.eye(4), tmp_path / "a.nii")
    with pytest.raises(DataError, match=re.escape(f"the label value {value:g}")):
        read_labels(tmp_path / "a.nii")


def test_only_volumes_store_a_voxel_size():
    assert has_spacing("a.NII.gz")
    assert not has_spacing("a.tif")
    with pytest.raises(DataError):
        has_spacing("a.txt")
