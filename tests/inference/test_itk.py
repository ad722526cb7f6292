"""MHA and NRRD through `predict`."""

import nibabel
import numpy as np
import pytest
import SimpleITK

from lightm_unet.imaging.image import read_image, read_labels
from lightm_unet.imaging.itk import ITK_ENDINGS
from lightm_unet.inference.predict import predict


@pytest.mark.parametrize("ending", ITK_ENDINGS)
def test_predict_answers_in_the_same_family(make_model, tmp_path, ending):
    values = np.zeros((5, 6, 7), np.float32)
    values[1:3, 2:4, 3:6] = 1
    affine = np.array([[0, 2.0, 0, 5], [-1, 0, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]])
    nifti = tmp_path / "scan.nii"
    nibabel.Nifti1Image(values, affine).to_filename(nifti)
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(nifti)), str(tmp_path / f"scan{ending}"))
    model = make_model(spatial_dims=3, size=(6, 5, 7))
    predict(model, tmp_path / f"scan{ending}", tmp_path / "out", device="cpu")
    mask, grid = read_labels(tmp_path / "out" / f"scan{ending}")
    assert np.array_equal(mask, values.astype(np.uint8))
    assert read_image(nifti).geometry.difference(grid) is None
