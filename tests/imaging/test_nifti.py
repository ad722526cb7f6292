import gzip
import struct

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightm_unet.errors import DataError
from lightm_unet.imaging.nifti import read_nifti, write_nifti
from strategies import affines, shapes

AFFINE = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -7], [0, 0, 3, 11], [0, 0, 0, 1]])


@pytest.fixture
def volume(tmp_path):
    array = np.random.default_rng(0).integers(-1000, 1000, (9, 10, 11)).astype(np.int16)
    path = tmp_path / "volume.nii.gz"
    write_nifti(array, AFFINE, path)
    return path, array


def set_bytes(path, offset, values):
    """Overwrite header bytes inside a compressed file."""
    data = bytearray(gzip.decompress(path.read_bytes()))
    data[offset : offset + len(values)] = values
    path.write_bytes(gzip.compress(bytes(data)))


def test_voxels_type_and_affine_come_back_as_written(volume):
    path, array = volume
    read, affine, _ = read_nifti(path)
    np.testing.assert_array_equal(read, array)
    assert read.dtype == np.int16
    np.testing.assert_array_equal(affine, AFFINE)


def test_other_tools_find_both_transforms_and_millimetres(volume):
    header = nibabel.load(volume[0]).header
    np.testing.assert_allclose(header.get_sform(), AFFINE)
    np.testing.assert_allclose(header.get_qform(), AFFINE, atol=1e-5)
    assert (header["sform_code"], header["qform_code"]) == (1, 1)
    assert header.get_xyzt_units()[0] == "mm"


def test_a_sheared_affine_is_kept_and_the_quaternion_marked_unused(tmp_path):
    sheared = np.eye(4)
    sheared[0, 1] = 0.5
    write_nifti(np.zeros((3, 4, 5), np.uint8), sheared, tmp_path / "a.nii")
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii")[1], sheared)
    assert nibabel.load(tmp_path / "a.nii").header["qform_code"] == 0


@given(affines(largest_shear=2.0), shapes())
def test_any_affine_that_can_be_inverted_is_kept(tmp_path_factory, affine, shape):
    path = tmp_path_factory.getbasetemp() / "any_affine.nii"
    write_nifti(np.zeros(shape, np.uint8), affine, path)
    array, read, _ = read_nifti(path)
    assert array.shape == shape
    np.testing.assert_allclose(read, affine, rtol=1e-6, atol=1e-6)
    header = nibabel.load(path).header
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    np.testing.assert_allclose(header.get_zooms(), spacing, rtol=1e-6)
    if header["qform_code"]:  # tools that prefer it see the same grid
        np.testing.assert_allclose(header.get_qform(), affine, rtol=0, atol=2e-3)


def test_the_same_volume_gives_the_same_bytes_whatever_its_name(tmp_path):
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(np.ones((3, 4, 5), np.uint8), AFFINE, tmp_path / name)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_every_single_flipped_bit_in_the_compressed_voxels_is_found(volume):
    path, _ = volume
    good = path.read_bytes()
    for offset in range(10, len(good), len(good) // 40):
        bad = bytearray(good)
        bad[offset] ^= 0x10
        path.write_bytes(bytes(bad))
        with pytest.raises(DataError, match="damaged gzip data"):
            read_nifti(path)


@pytest.mark.parametrize("kept", [0, 1, 5, 100, 0.5, 0.99])
def test_a_file_cut_short_anywhere_is_a_data_error(volume, kept):
    path, _ = volume
    good = path.read_bytes()
    path.write_bytes(good[: int(kept * len(good)) if isinstance(kept, float) else kept])
    with pytest.raises(DataError, match=r"volume\.nii\.gz: found .*; expected "):
        read_nifti(path)


@pytest.mark.parametrize("kept", [3, 200, 348, 400])
def test_an_uncompressed_file_cut_short_is_a_data_error(volume, tmp_path, kept):
    path = tmp_path / "short.nii"
    path.write_bytes(gzip.decompress(volume[0].read_bytes())[:kept])
    with pytest.raises(DataError):
        read_nifti(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([float("nan"), 0, 0, 0], "NaN"),
        ([float("inf"), 0, 0, 0], "infinite"),
        ([0, 0, 0, 0], "singular"),
    ],
)
def test_an_affine_that_maps_nowhere_is_a_data_error(volume, row, message):
    path, _ = volume
    set_bytes(path, 280, struct.pack("<4f", *row))  # srow_x
    with pytest.raises(DataError, match=message):
        read_nifti(path)


def test_a_flat_grid_is_singular_however_small_or_large_its_voxels_are(volume):
    path, array = volume
    for size in (1e-3, 1e3):
        write_nifti(array, np.diag([size, size, size, 1]), path)
        read_nifti(path)
        flat = np.diag([size, size, size, 1.0])
        flat[:, 2] = flat[:, 1]
        set_bytes(path, 280, struct.pack("<12f", *flat[:3].ravel()))
        with pytest.raises(DataError, match="singular"):
            read_nifti(path)


@pytest.mark.parametrize("dtype", [np.complex64, [("R", "u1"), ("G", "u1"), ("B", "u1")]])
def test_voxels_that_are_not_single_real_numbers_are_a_data_error(tmp_path, dtype):
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5), dtype), np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(DataError, match="one real number per voxel"):
        read_nifti(tmp_path / "a.nii")


def test_an_axis_of_length_zero_is_a_data_error(volume):
    set_bytes(volume[0], 42, struct.pack("<h", 0))  # dim[1]
    with pytest.raises(DataError):
        read_nifti(volume[0])


def test_a_header_that_claims_terabytes_is_refused_without_allocating_them(volume):
    set_bytes(volume[0], 40, struct.pack("<8h", 3, 32000, 32000, 32000, 1, 1, 1, 1))
    with pytest.raises(DataError, match="cut off"):
        read_nifti(volume[0])


def test_scaling_big_endian_and_nifti_2_are_understood(tmp_path):
    array = np.arange(24, dtype=">i2").reshape(2, 3, 4)
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    image = nibabel.Nifti1Image(array, np.eye(4), header)
    image.header.set_slope_inter(2, -5)
    nibabel.save(image, tmp_path / "big.nii")
    np.testing.assert_array_equal(read_nifti(tmp_path / "big.nii")[0], 2.0 * array - 5)
    nibabel.save(nibabel.Nifti2Image(array.astype(np.float32), AFFINE), tmp_path / "two.nii.gz")
    np.testing.assert_array_equal(read_nifti(tmp_path / "two.nii.gz")[0], array)


@pytest.mark.parametrize(("unit", "mm"), [("meter", 1000), ("mm", 1), ("micron", 1e-3), (0, 1)])
def test_the_affine_is_in_mm_whatever_the_header_counts_in(tmp_path, unit, mm):
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.uint8), AFFINE)
    image.header.set_xyzt_units(unit, "sec")
    nibabel.save(image, tmp_path / "a.nii")
    _, affine, header = read_nifti(tmp_path / "a.nii")
    np.testing.assert_allclose(affine, np.diag([mm, mm, mm, 1]) @ AFFINE)
    write_nifti(np.zeros((3, 4, 5), np.uint8), affine, tmp_path / "mask.nii", header)
    mask = nibabel.load(tmp_path / "mask.nii")
    np.testing.assert_array_equal(mask.affine, AFFINE)
    assert mask.header.get_xyzt_units() == (unit or "unknown", "unknown")


@given(affines(largest_degrees=180), st.sampled_from([-1, 1]))
def test_a_qform_is_read_as_nibabel_reads_it(tmp_path_factory, affine, hand):
    path = tmp_path_factory.getbasetemp() / "qform.nii"
    affine[:, 2] *= hand
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.uint8), None)
    image.set_qform(affine, 1)
    nibabel.save(image, path)
    assert nibabel.load(path).header["sform_code"] == 0
    np.testing.assert_allclose(read_nifti(path)[1], nibabel.load(path).affine, atol=1e-2)
    np.testing.assert_allclose(read_nifti(path)[1], affine, atol=1e-2)


@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 4), (7,), (3, 4, 5, 2)])
def test_without_forms_the_image_is_centred_as_nibabel_does(tmp_path, shape):
    image = nibabel.Nifti1Image(np.zeros(shape, np.uint8), None)
    image.header.set_zooms((1.5, 2.5, 3.5, 4.5)[: len(shape)])
    nibabel.save(image, tmp_path / "a.nii")
    np.testing.assert_allclose(
        read_nifti(tmp_path / "a.nii")[1], nibabel.load(tmp_path / "a.nii").affine
    )


def test_the_mask_of_a_header_holds_nothing_else_of_it(tmp_path):
    array = np.ones((3, 4, 5), np.int16)
    image = nibabel.Nifti2Image(array, AFFINE)
    image.header["descrip"], image.header["cal_max"], image.header["intent_code"] = b"mine", 7, 1002
    image.header.set_slope_inter(2, 5)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"name"))
    nibabel.save(image, tmp_path / "a.nii")
    _, affine, header = read_nifti(tmp_path / "a.nii")
    write_nifti(array.astype(np.uint8), affine, tmp_path / "mask.nii", header)
    mask = nibabel.load(tmp_path / "mask.nii")
    assert isinstance(mask, nibabel.Nifti2Image)
    assert mask.get_data_dtype() == np.uint8
    assert (mask.header["descrip"], mask.header["cal_max"], mask.header["intent_code"]) == (
        b"",
        0,
        0,
    )
    np.testing.assert_array_equal(np.asarray(mask.dataobj), 1)
    assert not mask.header.extensions


def test_an_axis_too_long_for_nifti_1_is_written_as_nifti_2(tmp_path):
    array = np.arange(40_000, dtype=np.int32).reshape(40_000, 1, 1)
    write_nifti(array, AFFINE, tmp_path / "long.nii")
    assert isinstance(nibabel.load(tmp_path / "long.nii"), nibabel.Nifti2Image)
    np.testing.assert_array_equal(read_nifti(tmp_path / "long.nii")[0], array)


def test_voxels_begin_after_the_header_where_no_offset_is_given(volume):
    path, array = volume
    set_bytes(path, 108, struct.pack("<f", 0))
    np.testing.assert_array_equal(read_nifti(path)[0], array)


@pytest.mark.parametrize("slope", [0.0, np.nan, 1.0])
def test_voxels_without_scaling_keep_their_type(volume, slope):
    path, array = volume
    set_bytes(path, 112, struct.pack("<2f", slope, 0 if slope == 1 else 9))
    read = read_nifti(path)[0]
    assert read.dtype == np.int16
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("scaling", [(np.inf, 0), (2, np.nan), (-np.inf, 1)])
def test_a_scaling_that_is_no_number_is_a_data_error(volume, scaling):
    set_bytes(volume[0], 112, struct.pack("<2f", *scaling))
    with pytest.raises(DataError, match="a scaling by"):
        read_nifti(volume[0])


def test_data_that_the_header_says_nothing_of_are_read_to_the_checksum_or_refused(volume):
    path, array = volume
    whole = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(whole + bytes(2**20)))
    np.testing.assert_array_equal(read_nifti(path)[0], array)
    path.write_bytes(gzip.compress(whole + bytes(2**27)))
    with pytest.raises(DataError, match="far more data"):
        read_nifti(path)


def test_nothing_is_printed_for_a_header_that_nibabel_repairs(volume, capfd):
    set_bytes(volume[0], 80, struct.pack("<3f", 0, 0, 0))  # pixdim
    read_nifti(volume[0])
    assert capfd.readouterr() == ("", "")
