"""MHA and NRRD: the same voxels at the same place as in NIfTI, or one line."""

import gzip

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings

from lightm_unet.errors import DataError
from lightm_unet.imaging.image import read_image, read_labels, write_labels
from lightm_unet.imaging.itk import ITK_ENDINGS, read_itk_shape
from strategies import affines, shapes

RNG = np.random.default_rng(0)


def save(path, values, affine):
    """By SimpleITK alone, from NIfTI that nibabel wrote."""
    nifti = path.with_suffix(".nii")
    nibabel.Nifti1Image(values, affine).to_filename(nifti)
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(nifti)), str(path))
    return nifti


@pytest.mark.parametrize("ending", ITK_ENDINGS)
@settings(max_examples=15)
@given(affine=affines(), shape=shapes())
def test_voxels_and_place_are_those_of_nifti(tmp_path_factory, ending, affine, shape):
    path = tmp_path_factory.mktemp("itk") / f"scan{ending}"
    nifti = save(path, RNG.normal(size=shape).astype(np.float32), affine)
    found, expected = read_image(path), read_image(nifti)
    assert np.array_equal(found.array, expected.array)
    assert expected.geometry.difference(found.geometry) is None
    labels = RNG.integers(0, 9, found.geometry.shape).astype(np.uint8)
    write_labels(labels, found.geometry, path.with_name(f"mask{ending}"))
    again, grid = read_labels(path.with_name(f"mask{ending}"))
    assert np.array_equal(again, labels)
    write_labels(labels, found.geometry, path.with_name("other.nii"))
    assert found.geometry.difference(read_labels(path.with_name("other.nii"))[1]) is None
    assert read_itk_shape(path) == read_itk_shape(path.with_name(f"mask{ending}"))
    scale = max(1, np.abs(found.geometry.affine).max())
    np.testing.assert_allclose(grid.affine, found.geometry.affine, rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("ending", ITK_ENDINGS)
def test_damage_is_one_line(tmp_path, ending):
    path = tmp_path / f"scan{ending}"
    save(path, np.arange(600, dtype=np.int16).reshape(10, 10, 6), np.eye(4))
    whole = path.read_bytes()
    assert read_itk_shape(path) == (10, 10, 6)
    damaged = {
        "empty": b"",
        "text": b"hello",
        "cut": whole[:-300],
        "header": whole[:60],
        "huge": whole.replace(b"10 10 6", b"9999 9999 999"),
        "elsewhere": whole.replace(b"ElementDataFile = LOCAL", b"ElementDataFile = /etc/passwd")
        if ending == ".mha"
        else whole.replace(b"encoding:", b"data file: /etc/passwd\nencoding:"),
        "gzip": gzip.compress(whole),
    }
    for name, data in damaged.items():
        path.write_bytes(data)
        with pytest.raises(DataError) as error:
            read_image(path)
        assert "\n" not in str(error.value), name


def test_series_and_complex_numbers_are_refused(tmp_path):
    series = SimpleITK.GetImageFromArray(np.zeros((2, 3, 4, 5), np.int16), isVector=False)
    SimpleITK.WriteImage(series, str(tmp_path / "series.nrrd"))
    with pytest.raises(DataError, match=r"shape \(5, 4, 3, 2\)"):
        read_image(tmp_path / "series.nrrd")
