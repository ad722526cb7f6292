"""Ensembles, mirroring and rules for masks, through `predict`."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from lightm_unet.errors import UsageError
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import image_from_array, read_labels
from lightm_unet.inference.predict import predict
from lightm_unet.models.ensemble import EnsembleLogits, check_members
from lightm_unet.models.mirroring import axes_to_mirror
from lightm_unet.models.predict_image import image_logits
from strategies import oriented_affine

AFFINE = oriented_affine((2, 0, 1), (-1, 1, -1), (1.0, 2.0, 3.0))


class Constant(torch.nn.Module):
    """Gives each voxel the same logits."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = logits

    def forward(self, images):
        ones = torch.ones_like(images[:, :1])
        return torch.cat([value * ones for value in self.logits], dim=1)


class LeftIsBright(torch.nn.Module):
    """Foreground is the first half of the first axis, whatever the image is."""

    def forward(self, images):
        place = torch.linspace(1, -1, images.shape[2]).view(1, 1, -1, *[1] * (images.dim() - 3))
        place = place.expand(images.shape[0], 1, *images.shape[2:])
        return torch.cat([-place, place], dim=1)


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "in" / "scan.nii"
    path.parent.mkdir()
    values = np.random.default_rng(0).normal(size=(8, 9, 10)).astype(np.float32)
    nibabel.Nifti1Image(values, AFFINE).to_filename(path)
    return path


def patches(make_model, network, size=8):
    return make_model(network, spatial_dims=3, roi_size=(size,) * 3)


def test_an_ensemble_gives_the_mean_of_the_probabilities(make_model, scan, tmp_path):
    """Probabilities of 0.88 and 0.38: the mean is 0.63, while the mean logit is above as well."""
    one = patches(make_model, Constant(0.0, 2.0))
    other = make_model(Constant(0.5, 0.0), spatial_dims=3, size=(5, 6, 7))
    predict(one, scan, tmp_path, device="cpu", ensemble=[other], probabilities=True)
    mask, _ = read_labels(tmp_path / "scan.nii")
    found = nibabel.load(tmp_path / "probabilities" / "scan_1.nii").get_fdata()
    expected = (1 / (1 + np.exp(-2)) + 1 / (1 + np.exp(0.5))) / 2
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert (mask == 1).all()


def test_the_largest_mean_probability_is_that_of_the_masks_label(make_model):
    random = [
        make_model(torch.nn.Conv3d(1, 2, 3, padding=1), spatial_dims=3, size=(6, 6, 6))
        for _ in range(3)
    ]
    values = np.random.default_rng(0).normal(size=(1, 8, 9, 10))
    image = image_from_array(values, Geometry((8, 9, 10), AFFINE), "scan")
    logits = EnsembleLogits(tuple(image_logits(model, image) for model in random))
    for levels in (None, 255, 65535):
        maps = np.stack(list(logits.probabilities(levels)))
        assert np.array_equal(maps.argmax(axis=0), logits.labels)
        np.testing.assert_allclose(maps.sum(axis=0, dtype=float), levels or 1, atol=1.01)
    assert {*np.unique(logits.labels)} == {0, 1}


def test_an_ensemble_of_equal_models_is_the_model(make_model):
    model = make_model(torch.nn.Conv3d(1, 2, 3, padding=1), spatial_dims=3, size=(6, 6, 6))
    values = np.random.default_rng(0).normal(size=(1, 8, 9, 10))
    image = image_from_array(values, Geometry((8, 9, 10), AFFINE), "scan")
    one = image_logits(model, image)
    assert np.array_equal(EnsembleLogits((one, one)).labels, one.labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label_names": ("background", "spleen")}, "labels of models/bright.*spleen"),
        ({"card": {"channels": ["MR"]}}, "channels of models/bright"),
    ],
)
def test_models_that_cannot_vote_together_are_named(make_model, change, message):
    first = patches(make_model, Constant(0.0, 1.0))
    other = replace(first, path=Path("models/other"), **change)
    with pytest.raises(UsageError, match=f"{message}.*|models/other"):
        check_members([first, other])


def test_the_record_names_all_models(make_model, scan, tmp_path):
    first = patches(make_model, Constant(0.0, 1.0))
    other = replace(first, path=Path("models/other"))
    predict(first, scan, tmp_path, device="cpu", ensemble=other)
    assert json.loads((tmp_path / "prediction.json").read_text())["ensemble"] == ["models/other"]


def test_mirroring_is_along_the_axes_of_training_and_no_others(make_model, listen):
    model = patches(make_model, Constant(0.0, 1.0))

    def axes(training=None, **changes):
        card = {} if training is None else {"training": training}
        return axes_to_mirror(replace(model, card=card, **changes))

    assert axes() == (0,)
    assert axes({"augmentation": "strong"}) == (0, 1, 2)
    assert axes({"augmentation": "strong", "mirror_axes": ["front-back"]}) == (1,)
    lines = []
    with listen(lines.append):
        assert axes({"augmentation": "none"}) == ()
        # As asked in training, although the labels have sides: never in prediction.
        sides = ("background", "left kidney")
        assert axes({"mirror_axes": ["left-right"]}, label_names=sides) == ()
    assert "not mirrored" in lines[0]
    assert "left kidney names a side" in lines[1]


def test_a_mirrored_network_no_longer_knows_left_from_right(make_model, scan, tmp_path):
    model = patches(make_model, LeftIsBright(), size=16)
    predict(model, scan, tmp_path / "plain", device="cpu")
    predict(model, scan, tmp_path / "mirrored", device="cpu", mirror=True)
    assert read_labels(tmp_path / "plain" / "scan.nii")[0].any()
    assert not read_labels(tmp_path / "mirrored" / "scan.nii")[0].any()


def test_rules_change_the_mask_and_the_probabilities_stay(make_model, tmp_path):
    values = np.zeros((10, 10, 10), np.float32)
    values[1:5, 1:5, 1:5] = values[8, 8, 8] = 1
    values[2, 2, 2] = 0
    nibabel.Nifti1Image(values, AFFINE).to_filename(tmp_path / "scan.nii")
    model = make_model(spatial_dims=3, size=(10, 10, 10))
    options = {"largest_component": "bright", "fill_holes": ["bright"], "probabilities": True}
    predict(model, tmp_path / "scan.nii", tmp_path / "out", device="cpu", **options)
    expected = np.zeros((10, 10, 10), bool)
    expected[1:5, 1:5, 1:5] = True
    assert np.array_equal(read_labels(tmp_path / "out" / "scan.nii")[0] == 1, expected)
    kept = nibabel.load(tmp_path / "out" / "probabilities" / "scan_1.nii").get_fdata()
    assert kept[8, 8, 8] > 0.5 > kept[2, 2, 2]


def test_rules_do_not_go_with_probabilities_as_the_mask(make_model, scan, tmp_path):
    model = patches(make_model, Constant(0.0, 1.0))
    with pytest.raises(UsageError, match="segmentation_type fractional"):
        predict(
            model,
            scan,
            tmp_path,
            device="cpu",
            segmentation_type="fractional",
            largest_component="bright",
        )


def test_nan_is_refused_or_taken_as_a_number(make_model, tmp_path, listen):
    values = np.ones((4, 4, 4), np.float32)
    values[0] = 0
    values[1, 1, 1], values[2, 2, 2] = np.nan, np.inf
    nibabel.Nifti1Image(values, AFFINE).to_filename(tmp_path / "scan.nii")
    model = make_model(spatial_dims=3, size=(4, 4, 4))
    with pytest.raises(Exception, match=r"2 NaN or infinite voxels.*--nan-as"):
        predict(model, tmp_path / "scan.nii", tmp_path / "out", device="cpu")
    lines = []
    with listen(lines.append):
        predict(model, tmp_path / "scan.nii", tmp_path / "out", device="cpu", nan_as=0)
    mask, _ = read_labels(tmp_path / "out" / "scan.nii")
    assert mask[1, 1, 1] == mask[2, 2, 2] == 0
    assert mask[3].all()
    assert any("2 NaN or infinite voxels taken as 0" in line for line in lines)
    for wrong in (float("nan"), "0", 1e300):
        with pytest.raises(UsageError, match="nan_as needs a finite number"):
            predict(model, tmp_path / "scan.nii", tmp_path / "out", device="cpu", nan_as=wrong)
