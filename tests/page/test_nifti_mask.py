"""The page writes NIfTI masks as Python does, byte for byte where the image was NIfTI."""

import gzip

import nibabel
import numpy as np
import pytest

import browser_page as page
from lightm_unet.imaging.image import read_image, write_labels
from made_nifti import PLACES, nifti, volume, write

pytestmark = page.needs_node

RNG = np.random.default_rng(0)


def both_write(files, folder):
    """The masks that Python and the page write for images: pairs of paths."""
    folder.mkdir()
    cases, pairs = [], []
    for number, file in enumerate(files):
        geometry = read_image(file).geometry
        labels = RNG.integers(0, 4, geometry.shape).astype(np.uint8)
        mask = folder / f"python_{number}.nii.gz"
        write_labels(labels, geometry, mask)
        cases.append(([file], labels))
        pairs.append((mask, folder / f"{number}_mask.nii.gz"))
    page.write(cases, folder)
    return pairs


@pytest.mark.parametrize("version", [1, 2])
def test_masks_of_nifti_images_are_those_of_python(tmp_path, version):
    usable = {
        name: fields
        for name, fields in PLACES.items()
        if not name.endswith(("_nan", "_far", "_infinite", "_singular", "_column", "_rotation"))
        and name not in ("neither_zero_size", "neither_nan_size", "qform_negative_size")
    }
    cases = {
        f"{name}.nii": nifti(volume("i2"), version=version, order=order, **fields)
        for name, fields in usable.items()
        for order in "<>"
    }
    shapes = ((5, 4), (5, 4, 1), (5, 1, 4), (1, 5, 4), (1, 5, 1), (1, 1, 1), (5, 4, 3, 1, 1))
    cases |= {f"{len(s)}_{s}.nii": nifti(volume("u1", s), version=version) for s in shapes}
    for python, browser in both_write(write(tmp_path, cases), tmp_path / "masks"):
        assert gzip.decompress(browser.read_bytes()) == gzip.decompress(python.read_bytes())


@pytest.mark.skipif(not page.SHARED.is_dir(), reason="needs the real images of ../shared/data")
def test_a_series_becomes_a_mask_at_its_place(tmp_path):
    series = sorted((page.SHARED / "ct" / "dicom_series" / "CT").iterdir())
    tmp_path.joinpath("page").mkdir()
    (seen,) = page.read([series], tmp_path / "page")
    labels = RNG.integers(0, 4, seen.told["shape"]).astype(np.uint8)
    page.write([(series, labels)], tmp_path)
    mask = nibabel.load(tmp_path / "0_mask.nii.gz")
    np.testing.assert_array_equal(mask.dataobj, labels)
    np.testing.assert_allclose(mask.affine, seen.affine, atol=1e-4)
    np.testing.assert_allclose(mask.header.get_qform(), seen.affine, atol=1e-3)
    assert (mask.header["sform_code"], mask.header["qform_code"]) == (1, 1)
    assert mask.header.get_xyzt_units()[0] == "mm"
