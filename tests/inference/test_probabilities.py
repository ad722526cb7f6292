"""Probabilities as files: on the image's grid, sum 1, the largest at the mask's label."""

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image as Picture

from lightm_unet.inference.predict import predict

AFFINE = np.array([[0, 0, 2.5, -7], [-0.7, 0, 0, 30], [0, -1.1, 0, 4], [0, 0, 0, 1]])


def names(folder):
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.parametrize("grid", [{"size": (8, 8, 8)}, {"roi_size": (8, 8, 8)}])
def test_of_a_volume_they_are_one_file_for_each_label_on_its_grid(make_model, tmp_path, grid):
    values = np.random.default_rng(0).normal(size=(9, 12, 7)).astype(np.float32)
    nibabel.Nifti1Image(values, AFFINE).to_filename(tmp_path / "a_0000.nii.gz")
    model = make_model(spatial_dims=3, **grid)

    out = tmp_path / "out"
    predict(model, tmp_path / "a_0000.nii.gz", out, device="cpu", probabilities=True)

    assert names(out) == ["a.nii.gz", "prediction.json", "probabilities"]
    assert names(out / "probabilities") == ["a_0.nii.gz", "a_1.nii.gz"]
    maps = [nibabel.load(out / "probabilities" / f"a_{label}.nii.gz") for label in (0, 1)]
    for image in maps:
        assert image.get_data_dtype() == np.float32
        np.testing.assert_array_equal(image.affine, nibabel.load(tmp_path / "a_0000.nii.gz").affine)
    stacked = np.stack([np.asarray(image.dataobj) for image in maps])
    np.testing.assert_allclose(stacked.sum(axis=0), 1, atol=1e-6)
    mask = np.asarray(nibabel.load(out / "a.nii.gz").dataobj)
    np.testing.assert_array_equal(stacked.argmax(axis=0), mask)
    assert 0 < mask.mean() < 1


def test_of_a_picture_they_are_16_bit_pictures(make_model, tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (13, 21), dtype=np.uint8)
    Picture.fromarray(values).save(tmp_path / "a.bmp")
    model = make_model(spatial_dims=2, size=(8, 8))

    out = tmp_path / "out"
    predict(model, [tmp_path / "a.bmp"], out, device="cpu", probabilities=True)

    assert names(out / "probabilities") == ["a_0.png", "a_1.png"]
    pictures = [Picture.open(out / "probabilities" / f"a_{label}.png") for label in (0, 1)]
    assert all(picture.mode == "I;16" for picture in pictures)
    stacked = np.stack([np.asarray(picture).astype(int) for picture in pictures])
    assert (abs(stacked.sum(axis=0) - 65535) <= 1).all()
    np.testing.assert_array_equal(stacked.argmax(axis=0), np.asarray(Picture.open(out / "a.png")))


def test_levels_too_coarse_for_the_difference_keep_the_mask_s_label(make_model, tmp_path):
    class NearlyEqual(torch.nn.Module):
        def forward(self, images):
            return torch.cat([images * 0, images * 0 + 1e-7], dim=1)

    Picture.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / "a.png")
    out = tmp_path / "out"
    model = make_model(NearlyEqual(), spatial_dims=2, size=(8, 8))
    predict(model, tmp_path / "a.png", out, device="cpu", probabilities=True)
    assert (np.asarray(Picture.open(out / "a.png")) == 1).all()
    zero, one = (
        np.asarray(Picture.open(out / "probabilities" / f"a_{label}.png")).astype(int)
        for label in (0, 1)
    )
    assert (one > zero).all()
    assert (one - zero <= 1).all()


def test_without_the_option_there_are_none(make_model, tmp_path):
    Picture.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / "a.png")
    predict(make_model(spatial_dims=2, size=(8, 8)), tmp_path / "a.png", tmp_path / "out")
    assert names(tmp_path / "out") == ["a.png", "prediction.json"]


def test_those_of_an_earlier_call_stay_and_a_line_says_so(make_model, tmp_path, caplog):
    Picture.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / "a.png")
    model, out = make_model(spatial_dims=2, size=(8, 8)), tmp_path / "out"
    predict(model, tmp_path / "a.png", out, device="cpu", probabilities=True)
    predict(model, tmp_path / "a.png", out, device="cpu", probabilities=True)
    assert caplog.text == ""
    predict(model, tmp_path / "a.png", out, device="cpu")
    assert "probabilities of an earlier call for 1 of the images" in caplog.text
    assert names(out / "probabilities") == ["a_0.png", "a_1.png"]
