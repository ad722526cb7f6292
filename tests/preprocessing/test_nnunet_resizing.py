"""Grids resized as nnU-Net does."""

import numpy as np
import pytest
import torch

from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import Image
from lightm_unet.preprocessing.apply import preprocess_image
from lightm_unet.preprocessing.nnunet_resizing import IMAGE, LOGITS, resize_as_nnunet
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.preprocessing.restore import restore_logits, restore_probabilities

ONE = (1, 1, 1)


def noise(*shape):
    return torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))


def test_a_grid_that_stays_is_the_same_tensor():
    image = noise(3, 4, 5)
    assert resize_as_nnunet(image, (3, 4, 5), ONE, (2, 2, 2), IMAGE) is image


def test_no_value_leaves_the_range_of_the_image():
    image = torch.tensor([0.0, 0, 0, 1, 1, 1]).reshape(1, 1, 6)
    resized = resize_as_nnunet(image, (1, 18), (1, 1), (1, 1 / 3), IMAGE)
    assert (resized.min(), resized.max()) == (0, 1)
    assert len(resized.unique()) > 3


def test_images_are_cubic_and_logits_linear():
    parabola = (torch.arange(20.0) ** 2).reshape(1, 1, 20)
    spacings = (1, 1), (1, 0.5)
    exact = (torch.arange(40.0) / 2 - 0.25) ** 2
    middle = slice(18, 22)  # away from the edges, which splines do not know
    cubic = resize_as_nnunet(parabola, (1, 40), *spacings, IMAGE)[0, 0]
    linear = resize_as_nnunet(parabola, (1, 40), *spacings, LOGITS)[0, 0]
    torch.testing.assert_close(cubic[middle], exact[middle], atol=1e-3, rtol=0)
    assert linear[18].item() == 0.25 * 8**2 + 0.75 * 9**2


@pytest.mark.parametrize("spacings", [((4, 1, 1), (1, 1, 1)), ((1, 1, 1), (4, 1, 1))])
def test_along_long_voxels_the_nearest_slices_are_taken(spacings):
    image = noise(3, 4, 4)
    resized = resize_as_nnunet(image, (6, 4, 4), *spacings, IMAGE)
    assert torch.equal(resized, image.repeat_interleave(2, dim=1))


def test_two_long_axes_are_interpolated():
    image = noise(2, 3, 3)
    resized = resize_as_nnunet(image, (2, 3, 6), (4, 4, 1), (4, 4, 0.5), LOGITS)
    assert not torch.equal(resized[..., 1], resized[..., 0])


def test_the_way_there_and_back_uses_the_rule_and_the_files_axes():
    affine = np.diag([-1.0, 1.0, 2.0, 1.0])  # to the left
    array = noise(6, 6, 4).numpy()
    image = Image(array, Geometry((6, 6, 4), affine), "case.nii.gz")
    preprocessing = Preprocessing(
        3,
        1,
        roi_size=(8, 8, 8),
        spacing_mm=(2.0, 2.0, 2.0),
        normalization="nnunet-zscore",
        flat_axes="file",
    )
    tensor, record = preprocess_image(image, preprocessing)
    scaled = torch.from_numpy((array - array.mean()) / array.std())
    expected = resize_as_nnunet(scaled, (3, 3, 4), (1, 1, 2), (2, 2, 2), IMAGE)
    torch.testing.assert_close(tensor, expected)
    logits = torch.cat([tensor, -tensor])
    back = resize_as_nnunet(tensor, (6, 6, 4), (2, 2, 2), (1, 1, 2), LOGITS)[0]
    labels = restore_logits(logits, record)
    assert np.array_equal(labels, (back < 0).numpy())
    first, _ = restore_probabilities(logits, record)
    assert np.array_equal(first < 0.5, labels == 1)
