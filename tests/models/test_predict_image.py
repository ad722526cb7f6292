"""Labels and probabilities of images in memory."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image as Picture

import lightm_unet
from lightm_unet.errors import DataError, UsageError
from lightm_unet.models.model_folder import ModelFolder, save_model
from lightm_unet.networks.lightm_unet import LightMUNet
from lightm_unet.networks.registry import build_network
from lightm_unet.preprocessing.preprocessing import Preprocessing

LABELS = ("background", "liver", "tumour")


def model(network=None, spatial_dims=3, channels=1, **grid):
    """A model of three labels with random weights."""
    torch.manual_seed(0)
    network = network or LightMUNet(
        spatial_dims, channels, 3, width=4, encoder_layers=(1,), bottleneck_layers=1
    )
    preprocessing = Preprocessing(spatial_dims=spatial_dims, channels=channels, **grid)
    return ModelFolder(network.eval(), preprocessing, LABELS, ((0, 0, 0),) * 3, {}, Path("model"))


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


GRIDS = [
    {"size": (8, 12, 8)},
    {"roi_size": (8, 8, 8)},
    {"roi_size": (8, 8, 8), "spacing_mm": (1.5, 1.0, 2.0)},
]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_an_image_in_memory_gives_what_its_file_gives(grid, tmp_path):
    affine = np.array([[0, 0, 2.5, -7], [-0.7, 0, 0, 30], [0, -1.1, 0, 4], [0, 0, 0, 1]])
    image = nibabel.Nifti1Image(noise(9, 7, 11), affine)
    image.to_filename(tmp_path / "a.nii.gz")
    one = model(**grid)
    lightm_unet.predict(one, tmp_path / "a.nii.gz", tmp_path / "out", device="cpu")
    written = np.asarray(nibabel.load(tmp_path / "out" / "a.nii.gz").dataobj)
    labels = one.predict(image, device="cpu")
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, written)
    assert len(np.unique(labels)) > 1


def test_an_array_gives_what_its_picture_gives_whatever_its_axes(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (13, 21, 3), dtype=np.uint8)
    Picture.fromarray(values).save(tmp_path / "a.png")
    one = model(spatial_dims=2, channels=3, size=(16, 16))
    lightm_unet.predict(one, str(tmp_path / "a.png"), str(tmp_path / "out"), device="cpu")
    written = np.asarray(Picture.open(tmp_path / "out" / "a.png"))
    for array in (values, values.transpose(2, 0, 1), torch.from_numpy(values)):
        np.testing.assert_array_equal(one.predict(array, device="cpu"), written)


def test_an_array_with_a_spacing_is_a_nibabel_image_with_axes_to_the_right_front_and_top():
    one = model(**GRIDS[2])
    array, spacing = noise(9, 7, 11), (0.7, 1.1, 2.5)
    image = nibabel.Nifti1Image(array, np.diag([*spacing, 1]))
    np.testing.assert_array_equal(
        one.predict(array, spacing_mm=spacing, device="cpu"), one.predict(image, device="cpu")
    )


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_probabilities_sum_to_1_and_are_largest_at_the_label(grid):
    one, array = model(**grid), noise(9, 7, 11)
    labels, probabilities = one.predict(
        array, spacing_mm=1.0, device="cpu", return_probabilities=True
    )
    np.testing.assert_array_equal(labels, one.predict(array, spacing_mm=1.0, device="cpu"))
    assert (probabilities.shape, probabilities.dtype) == ((3, 9, 7, 11), np.float32)
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_array_equal(probabilities.argmax(axis=0), labels)


def test_a_flat_nifti_keeps_its_third_axis():
    one = model(spatial_dims=2, size=(8, 8))
    image = nibabel.Nifti1Image(noise(9, 7, 1), np.eye(4))
    labels, probabilities = one.predict(image, device="cpu", return_probabilities=True)
    assert (labels.shape, probabilities.shape) == ((9, 7, 1), (3, 9, 7, 1))


@pytest.mark.parametrize("grid", [{"size": (9, 7, 11)}, *GRIDS], ids=str)
@pytest.mark.parametrize("normalization", ["zscore", "ct"])
def test_the_image_is_not_changed(grid, normalization):
    ct = {"intensity_range": (-1.0, 1.0), "intensity_mean": 0.0, "intensity_std": 1.0}
    one = model(**grid, normalization=normalization, **(ct if normalization == "ct" else {}))
    array = noise(9, 7, 11)
    before = array.copy()
    one.predict(array, spacing_mm=1, device="cpu")
    np.testing.assert_array_equal(array, before)


class Fill(torch.nn.Module):
    """The same logits everywhere."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = logits

    def forward(self, images):
        maps = [torch.full_like(images, value) for value in self.logits]
        return torch.cat(maps, dim=1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_network_that_gives_no_number_gives_no_mask(value, place):
    logits = [0.0, 1.0, 2.0]
    logits[place] = value
    with pytest.raises(DataError, match="the network gives NaN or infinite values"):
        model(Fill(*logits), size=(4, 4, 4)).predict(noise(4, 4, 4), device="cpu")


@pytest.mark.parametrize(
    ("logits", "label", "probability"),
    [
        ((0.0, 0.0, 0.0), 0, 1 / 3),
        ((1e-9, 2e-9, 0.0), 1, 1 / 3),  # in float32 all three become a third
        ((-300.0, 300.0, 0.0), 1, 1.0),
        ((0.0, np.log(2), np.log(5)), 2, 5 / 8),
    ],
)
def test_rounding_never_lets_another_label_overtake(logits, label, probability):
    one = model(Fill(*logits), size=(4, 4, 4))
    labels, probabilities = one.predict(noise(4, 4, 4), device="cpu", return_probabilities=True)
    assert (labels == label).all()
    assert (probabilities.argmax(axis=0) == label).all()
    np.testing.assert_allclose(probabilities[label], probability, atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"overlap": float("nan")}, "overlap needs a number from 0 to below 1, got nan"),
        ({"overlap": 1}, "overlap needs"),
        ({"overlap": "0.5"}, "overlap needs"),
        ({"overlap": True}, "overlap needs"),
        ({"device": "gpu"}, "device must exist: no device 'gpu'"),
        ({"device": 0}, "device must exist: no device 0"),
        ({"device": None}, "device must exist: no device None"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_its_name(argument, message):
    with pytest.raises(UsageError, match=message):
        model(size=(4, 4, 4)).predict(noise(4, 4, 4), **argument)


def saved(network, folder):
    preprocessing = Preprocessing(spatial_dims=2, channels=1, size=(8, 8))
    save_model(folder, network, preprocessing, LABELS, ("CT",), {}, {})
    return folder


def test_from_pretrained_gives_the_network_with_its_weights(tmp_path):
    network = model(spatial_dims=2, size=(8, 8)).network
    folder = saved(network, tmp_path / "model")
    image = torch.rand(1, 1, 8, 8)
    for path in (folder, str(folder), tmp_path):
        loaded = LightMUNet.from_pretrained(path)
        assert isinstance(loaded, LightMUNet)
        assert not loaded.training
        with torch.no_grad():
            assert torch.equal(loaded(image), network(image))


def test_from_pretrained_refuses_another_network_and_another_place(tmp_path):
    folder = saved(build_network("nnu-net", 2, 1, 3, features=(4, 8)), tmp_path / "model")
    with pytest.raises(UsageError, match=r"the network is nnu-net, .*load_model"):
        LightMUNet.from_pretrained(folder)
    with pytest.raises(UsageError, match=r"no model\.json"):
        LightMUNet.from_pretrained(tmp_path / "nowhere")
