"""Whatever grid an image lies on, its mask lies where the same body's mask lies on a plain grid.

A body, a bright ellipsoid, is sampled on random grids: permuted, flipped, oblique, sheared,
anisotropic, in NIfTI and as DICOM series with their slices in any order. Few grids are tried by
default; `LIGHTM_UNET_GRIDS=300 pytest tests/inference/test_any_grid.py` tries 300 for each test.
"""

import os

import nibabel
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation, binary_erosion
from scipy.spatial.transform import Rotation

import dicom_files as dicom
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import image_from_array, read_image, read_labels
from lightm_unet.inference.predict import predict
from lightm_unet.models.model_folder import load_model
from lightm_unet.models.predict_image import image_logits
from small_models import random_network, write_model
from strategies import ORIENTATIONS, oriented_affine, rotated

GRIDS = settings(
    max_examples=int(os.environ.get("LIGHTM_UNET_GRIDS", 8)),
    phases=(Phase.explicit, Phase.generate),
)
"""Without looking for the smallest grid that fails, which takes minutes and tells no more."""

DARK, BRIGHT = -100, 300
MODEL_MM = 2.0
"""The voxel size that the model works on."""
PLAIN_MM, PLAIN_VOXELS = 1.0, 40
NEIGHBOURS = np.ones((3, 3, 3), bool)
SPACINGS = st.tuples(*[st.floats(1.0, 5.0)] * 3)
ANGLES = st.tuples(*[st.floats(-180, 180)] * 3)
SHEARS = st.tuples(*[st.floats(-0.5, 0.5)] * 3)
EXTENTS = st.tuples(*[st.floats(36.0, 48.0)] * 3)
"""Of the grid in mm; the whole body is on it."""


class Smooth(torch.nn.Module):
    """Foreground is where the mean of 3x3x3 voxels is above 0; it has no favourite direction."""

    def forward(self, images):
        mean = F.avg_pool3d(images, 3, stride=1, padding=1, count_include_pad=False)
        return torch.cat([-mean, mean], dim=1)


class Body:
    """An ellipsoid in the world, brighter towards its middle, so that a grid loses little of it."""

    def __init__(self, seed):
        random = np.random.default_rng(seed)
        self.centre = random.uniform(-200, 200, 3)
        self.radii = random.uniform(6, 10, 3)
        self.turn = Rotation.random(random_state=seed).as_matrix()

    def sample(self, affine, shape):
        """int16 intensities at the voxels' centres; 100 lies on the body's surface."""
        voxels = np.indices(shape).reshape(3, -1)
        points = affine[:3, :3] @ voxels + affine[:3, 3:] - self.centre[:, None]
        radius = np.linalg.norm((self.turn @ points) / self.radii[:, None], axis=0)
        values = np.clip(100 + 400 * (1 - radius), DARK, BRIGHT)
        return np.rint(values).astype(np.int16).reshape(shape)

    def around(self, affine, shape):
        """The grid, moved so that its middle is the body's."""
        affine = affine.copy()
        affine[:3, 3] = self.centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
        return affine


@pytest.fixture(scope="module")
def model(make_model):
    return make_model(
        Smooth(),
        spatial_dims=3,
        roi_size=(32, 32, 32),
        spacing_mm=(MODEL_MM,) * 3,
        normalization="ct",
        intensity_range=(DARK, BRIGHT),
        intensity_mean=100.0,
        intensity_std=100.0,
    )


def mask_on_the_plain_grid(model, body, folder):
    """The mask on voxels of 1 mm along the axes of the world, as a function of places."""
    shape = (PLAIN_VOXELS,) * 3
    affine = body.around(np.diag([*(PLAIN_MM,) * 3, 1]), shape)
    nibabel.Nifti1Image(body.sample(affine, shape), affine).to_filename(folder / "plain.nii")
    predict(model, folder / "plain.nii", folder / "plain", device="cpu")
    mask, _ = read_labels(folder / "plain" / "plain.nii")
    to_voxel = np.linalg.inv(affine)

    def at(affine, shape):
        to_plain = to_voxel @ affine
        voxels = to_plain[:3, :3] @ np.indices(shape).reshape(3, -1) + to_plain[:3, 3:]
        voxels = np.rint(voxels).astype(int)
        inside = ((voxels >= 0) & (voxels < PLAIN_VOXELS)).all(axis=0)
        found = np.zeros(voxels.shape[1], mask.dtype)
        found[inside] = mask[tuple(voxels[:, inside])]
        return found.reshape(shape)

    return at


def assert_same_but_for_the_border(found, expected):
    """Only voxels next to the border of the expected mask may differ, on either side of it."""
    expected = expected > 0
    at_border = binary_dilation(expected, NEIGHBOURS) & ~binary_erosion(
        expected, NEIGHBOURS, border_value=1
    )
    assert expected.any()
    assert not ((found > 0) != expected)[~at_border].any()


@pytest.mark.parametrize("family", ["nifti", "dicom"])
@GRIDS
@given(
    orientation=ORIENTATIONS,
    spacing_mm=SPACINGS,
    degrees=ANGLES,
    shears=SHEARS,
    extent_mm=EXTENTS,
    seed=st.integers(0, 2**32 - 1),
)
def test_the_mask_lies_where_the_body_is(
    model, tmp_path_factory, family, orientation, spacing_mm, degrees, shears, extent_mm, seed
):
    folder, body = tmp_path_factory.mktemp("grid"), Body(seed)
    shape = shape_of(extent_mm, spacing_mm)
    sheared = np.eye(4)
    # The rows and columns of a DICOM image are at a right angle; only its slices may be shifted.
    sheared[(0, 0, 1), (1, 2, 2)] = shears if family == "nifti" else (0, *shears[1:])
    unit = oriented_affine(*orientation, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    affine = body.around(rotated(unit @ sheared @ np.diag([*spacing_mm, 1.0]), degrees), shape)
    volume = body.sample(affine, shape)
    if family == "nifti":
        image = folder / "in.nii"
        nibabel.Nifti1Image(volume, affine).to_filename(image)
        mask = "in.nii"
    else:
        image, mask = folder / "in", "in.dcm"
        dicom.save_series(image, volume, affine, np.random.default_rng(seed).permutation(shape[2]))
    predict(model, image, folder / "out", device="cpu")

    found, grid = read_labels(folder / "out" / mask)
    source = read_image(image if family == "nifti" else sorted(image.iterdir())).geometry
    largest = max(1.0, np.abs(source.affine).max())
    assert grid.shape == source.shape
    np.testing.assert_allclose(grid.affine, source.affine, rtol=0, atol=1e-6 * largest)
    expected = mask_on_the_plain_grid(model, body, folder)(grid.affine, grid.shape)
    assert_same_but_for_the_border(found, expected)


@GRIDS
@given(
    orientation=ORIENTATIONS,
    spacing_mm=SPACINGS,
    degrees=ANGLES,
    shears=SHEARS,
    extent_mm=EXTENTS,
    seed=st.integers(0, 2**32 - 1),
)
def test_a_network_sees_the_same_however_a_file_keeps_its_axes(
    network_of_patches, orientation, spacing_mm, degrees, shears, extent_mm, seed
):
    """To the bit, with a network that knows up from down and left from right."""
    shape = shape_of(extent_mm, [3 * each for each in spacing_mm])
    sheared = np.eye(4)
    sheared[(0, 0, 1), (1, 2, 2)] = shears
    affine = rotated(sheared @ np.diag([*(3 * each for each in spacing_mm), 1.0]), degrees)
    volume = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    axes, signs = orientation
    # Stored anew: axis `axes[i]` of the volume becomes axis i, and runs backwards where signs say.
    backwards = tuple(axis for axis, sign in enumerate(signs) if sign < 0)
    stored = np.flip(volume.transpose(axes), backwards)
    place = np.eye(4)
    place[:3] = 0
    for axis, (old, sign) in enumerate(zip(axes, signs, strict=True)):
        place[old, axis] = sign
        place[old, 3] = 0 if sign > 0 else shape[old] - 1
    expected = probabilities_of(network_of_patches, volume, affine)
    found = probabilities_of(network_of_patches, stored, affine @ place)
    assert all(np.ptp(each) > 0 for each in expected)
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, np.flip(other.transpose(axes), backwards))


def shape_of(extent_mm, spacing_mm):
    return tuple(round(mm / step) for mm, step in zip(extent_mm, spacing_mm, strict=True))


def probabilities_of(model, volume, affine):
    geometry = Geometry(volume.shape, affine)
    image = image_from_array(volume[None], geometry, "volume")
    return list(image_logits(model, image).probabilities())


@pytest.fixture(scope="module")
def network_of_patches(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    network = random_network(3, channels=1)
    return load_model(write_model(folder, network, roi_size=(16, 16, 16), spacing_mm=(3.0,) * 3))
