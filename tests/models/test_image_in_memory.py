"""Arrays, tensors and nibabel images as a model takes them."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from lightm_unet.errors import DataError, UsageError
from lightm_unet.models.image_in_memory import image_in_memory
from lightm_unet.models.model_folder import ModelFolder
from lightm_unet.networks.lightm_unet import LightMUNet
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.system.logs import forget_remarks

GREY = Preprocessing(spatial_dims=2, channels=1, size=(8, 8))
COLOUR = Preprocessing(spatial_dims=2, channels=3, size=(8, 8))
VOLUME = Preprocessing(spatial_dims=3, channels=1, size=(8, 8, 8))
RESAMPLED = Preprocessing(spatial_dims=3, channels=1, roi_size=(8, 8, 8), spacing_mm=(1, 1, 2))


def numbered(*shape):
    """Every voxel has its own number, so that a wrong axis shows."""
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize(
    ("preprocessing", "shape", "channel_axis", "taken_from"),
    [
        (GREY, (4, 5), None, lambda array: array[None]),
        (GREY, (1, 4, 5), None, lambda array: array),
        (GREY, (4, 5, 1), None, lambda array: array.transpose(2, 0, 1)),
        (GREY, (1, 5, 1), 0, lambda array: array),
        (GREY, (1, 5, 1), -1, lambda array: array.transpose(2, 0, 1)),
        (COLOUR, (3, 4, 5), None, lambda array: array),
        (COLOUR, (4, 5, 3), None, lambda array: array.transpose(2, 0, 1)),
        (COLOUR, (3, 4, 3), 0, lambda array: array),
        (COLOUR, (3, 4, 3), -1, lambda array: array.transpose(2, 0, 1)),
        (COLOUR, (3, 4, 3), 2, lambda array: array.transpose(2, 0, 1)),
        (VOLUME, (4, 5, 6), None, lambda array: array[None]),
        (VOLUME, (4, 5, 1), None, lambda array: array[None]),
        (VOLUME, (1, 4, 5, 6), None, lambda array: array),
        (VOLUME, (4, 5, 6, 1), None, lambda array: array.transpose(3, 0, 1, 2)),
    ],
)
def test_the_channels_are_found_where_they_can_be(preprocessing, shape, channel_axis, taken_from):
    array = numbered(*shape)
    image = image_in_memory(array, preprocessing, channel_axis=channel_axis)
    np.testing.assert_array_equal(image.array, taken_from(array))
    assert image.geometry.shape == image.array.shape[1:]


@pytest.mark.parametrize(
    ("preprocessing", "shape", "message"),
    [
        (COLOUR, (3, 4, 3), "channel_axis needs to be given for an array of shape"),
        (GREY, (1, 5, 1), "channel_axis needs to be given"),
        (VOLUME, (1, 4, 5, 1), "channel_axis needs to be given"),
    ],
)
def test_where_both_axes_could_be_the_channels_nothing_is_guessed(preprocessing, shape, message):
    with pytest.raises(UsageError, match=message):
        image_in_memory(numbered(*shape), preprocessing)


@pytest.mark.parametrize(
    ("preprocessing", "shape"),
    [
        (GREY, (5,)),
        (GREY, (2, 4, 5)),
        (GREY, (1, 1, 4, 5)),
        (COLOUR, (4, 5)),
        (COLOUR, (4, 3, 5)),
        (COLOUR, (2, 3, 4, 5)),
        (VOLUME, (4, 5)),
        (VOLUME, (2, 4, 5, 6)),
        (VOLUME, (1, 1, 4, 5, 6)),
        (GREY, ()),
        (GREY, (0, 5)),
    ],
)
def test_another_shape_is_named_with_the_expected_one(preprocessing, shape):
    with pytest.raises(DataError, match=r"image in memory: found .*shape .*; expected"):
        image_in_memory(np.zeros(shape), preprocessing)


@pytest.mark.parametrize(
    "array",
    [
        numbered(4, 5).astype(dtype)
        for dtype in ("uint8", "int16", "uint16", "int64", "float16", "float64", ">i2", ">f8")
    ]
    + [
        numbered(4, 10)[:, ::2],
        numbered(5, 4).T,
        np.asfortranarray(numbered(4, 5)),
        numbered(4, 5)[::-1],
        torch.arange(20).reshape(4, 5),
        torch.arange(20.0).reshape(4, 5).requires_grad_(),
        torch.arange(20, dtype=torch.bfloat16).reshape(4, 5),
    ],
)
def test_every_kind_of_number_and_memory_order_keeps_its_values(array):
    values = array.detach().float().numpy() if isinstance(array, torch.Tensor) else array
    image = image_in_memory(array, GREY)
    assert image.array.dtype == np.float32
    np.testing.assert_array_equal(image.array[0], np.asarray(values, np.float32))


def test_true_and_false_are_1_and_0():
    image = image_in_memory(np.array([[True, False]]), GREY)
    np.testing.assert_array_equal(image.array, [[[1, 0]]])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (numbered(4, 5).astype(complex), "values of type complex128; expected real numbers"),
        (numbered(4, 5).astype(object), "values of type object"),
        (numbered(4, 5).astype("U3"), "values of type <U3"),
        (numbered(4, 5).astype("datetime64[s]"), "values of type datetime64"),
        (torch.zeros(4, 5, dtype=torch.complex64), "values of type complex64"),
        (np.full((4, 5), np.nan), "20 NaN or infinite voxels"),
        (np.full((4, 5), -np.inf), "20 NaN or infinite voxels"),
        (np.full((4, 5), 1e300), "20 NaN or infinite voxels"),
    ],
)
def test_what_is_no_finite_real_number_is_refused_by_name(array, message):
    with pytest.raises(DataError, match=message):
        image_in_memory(array, GREY)


@pytest.mark.parametrize("image", [None, 3, [[1, 2], [3, 4]], "a.png", b"a", object()])
def test_what_is_no_image_is_refused_by_its_type(image):
    with pytest.raises(UsageError, match=f"got {type(image).__name__}"):
        image_in_memory(image, GREY)


def test_hidden_values_of_a_masked_array_are_never_used():
    array = np.ma.masked_array(numbered(4, 5), mask=numbered(4, 5) > 7)
    with pytest.raises(UsageError, match="masked array"):
        image_in_memory(array, GREY)


def test_a_model_that_resamples_needs_the_voxel_size_of_an_array():
    with pytest.raises(UsageError, match=r"spacing_mm, .*resamples images to 1 x 1 x 2 mm"):
        image_in_memory(numbered(4, 5, 6), RESAMPLED)
    image = image_in_memory(numbered(4, 5, 6), RESAMPLED, spacing_mm=(0.5, 0.6, 3))
    assert image.geometry.spacing_mm == (0.5, 0.6, 3)
    assert (
        image_in_memory(numbered(4, 5, 6), RESAMPLED, spacing_mm=2).geometry.spacing_mm == (2,) * 3
    )
    assert image_in_memory(numbered(4, 5), GREY, spacing_mm=(2, 3)).geometry.spacing_mm == (2, 3)


@pytest.mark.parametrize(
    "spacing_mm", [(1, 1), (1, 1, 0), (1, 1, -1), (1, 1, np.nan), np.inf, "abc", (1, 1, "x"), 0]
)
def test_a_voxel_size_that_cannot_be_is_refused(spacing_mm):
    with pytest.raises(UsageError, match="spacing_mm needs 3 numbers"):
        image_in_memory(numbered(4, 5, 6), VOLUME, spacing_mm=spacing_mm)


@pytest.mark.parametrize("channel_axis", [1, 3, -2, True, "first"])
def test_an_axis_between_is_never_the_channels(channel_axis):
    with pytest.raises(UsageError, match="channel_axis needs 0"):
        image_in_memory(numbered(3, 3, 3), COLOUR, channel_axis=channel_axis)


def test_a_nibabel_image_brings_its_affine_and_its_scaling():
    affine = np.array([[0, 0, 2.5, -7], [-0.7, 0, 0, 30], [0, -1.1, 0, 4], [0, 0, 0, 1]])
    image = image_in_memory(nibabel.Nifti1Image(numbered(4, 5, 6), affine), RESAMPLED)
    np.testing.assert_array_equal(image.array, numbered(1, 4, 5, 6))
    np.testing.assert_array_equal(image.geometry.affine, affine)
    scaled = nibabel.Nifti1Image(numbered(4, 5, 6).astype(np.int16), affine)
    scaled.header.set_slope_inter(2, -10)
    loaded = nibabel.Nifti1Image.from_bytes(scaled.to_bytes())
    expected = np.asarray(loaded.dataobj, np.float32)
    np.testing.assert_array_equal(image_in_memory(loaded, VOLUME).array[0], expected)


def test_the_fourth_axis_of_a_nibabel_image_is_its_channels():
    preprocessing = Preprocessing(spatial_dims=3, channels=2, size=(8, 8, 8))
    image = image_in_memory(nibabel.Nifti1Image(numbered(4, 5, 6, 2), np.eye(4)), preprocessing)
    np.testing.assert_array_equal(image.array, np.moveaxis(numbered(4, 5, 6, 2), 3, 0))


def with_affine(number):
    """An image whose affine was changed after it was made: making it refuses some numbers."""
    image = nibabel.Nifti1Image(np.zeros((4, 5, 6)), np.eye(4))
    image.affine[0, 0] = number
    return image


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (nibabel.Nifti1Image(np.zeros((4, 5, 6), np.complex64), np.eye(4)), "complex64"),
        (nibabel.Nifti1Image(np.full((4, 5, 6), np.nan), np.eye(4)), "NaN or infinite voxels"),
        (with_affine(0), "singular affine"),
        (with_affine(np.nan), "affine with NaN"),
        (nibabel.Nifti1Image(np.zeros((4, 5, 6, 7)), np.eye(4)), r"shape \(4, 5, 6, 7\)"),
    ],
)
def test_a_nibabel_image_is_checked_as_a_file_is(image, message):
    with pytest.raises(DataError, match=message):
        image_in_memory(image, VOLUME)


def test_a_nibabel_image_needs_no_word_about_its_voxels():
    image = nibabel.Nifti1Image(numbered(4, 5, 6), np.eye(4))
    for argument in ({"spacing_mm": 1}, {"channel_axis": 0}):
        with pytest.raises(UsageError, match="its own voxel size and axes"):
            image_in_memory(image, VOLUME, **argument)


@pytest.mark.parametrize("shape", [(10, 1, 12), (1, 10, 12), (10, 12, 1), (10, 12), (1, 1, 12)])
@pytest.mark.parametrize("dims", [2, 3])
def test_labels_have_the_shape_that_the_file_would_have(shape, dims, make_model_of):
    model = make_model_of(dims)
    image = nibabel.Nifti1Image(np.random.default_rng(0).random(shape), np.eye(4))
    labels, probabilities = model.predict(image, device="cpu", return_probabilities=True)
    assert labels.shape == shape
    assert probabilities.shape == (2, *shape)


@pytest.fixture
def make_model_of():
    """A model of 2 or 3 dimensions whose answer does not matter."""

    def make(dims):
        network = LightMUNet(dims, 1, 2, width=4, encoder_layers=(1,), bottleneck_layers=1)
        plan = Preprocessing(spatial_dims=dims, channels=1, size=(8,) * dims)
        names, colours = ("background", "a"), ((0, 0, 0), (1, 2, 3))
        return ModelFolder(network.eval(), plan, names, colours, {}, Path())

    return make


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.eye(8).to_sparse(),
        lambda: torch.eye(8).to_sparse_csr(),
        lambda: torch.quantize_per_tensor(torch.eye(8), 0.1, 0, torch.quint8),
        lambda: torch.empty(8, 8, device="meta"),
        lambda: torch.eye(8).to(torch.float8_e5m2),
        lambda: torch.nested.nested_tensor([torch.ones(8), torch.ones(8)]),
    ],
    ids=["sparse", "csr", "quantised", "meta", "float8", "nested"],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # torch says of some that they are prototypes
def test_a_tensor_without_plain_numbers_is_refused(make):
    with pytest.raises(UsageError, match="needs to be a dense tensor"):
        image_in_memory(make(), GREY)


@pytest.mark.parametrize("spacing_mm", ["12", True, {1, 2, 3}, {1: 2}, 1e300, 10**400, 1e-300])
def test_what_is_no_voxel_size_is_refused(spacing_mm):
    with pytest.raises(UsageError, match="spacing_mm needs 3 numbers from 1e-06 to 1000"):
        image_in_memory(numbered(4, 5, 6), VOLUME, spacing_mm=spacing_mm)


@pytest.mark.parametrize("channel_axis", [-1.0, np.array([0]), "0"])
def test_an_axis_is_a_whole_number(channel_axis):
    with pytest.raises(UsageError, match="channel_axis needs 0"):
        image_in_memory(numbered(1, 3, 3), GREY, channel_axis=channel_axis)


@pytest.mark.parametrize(("axis", "channel_axis"), [(0, None), (2, None), (0, 0), (2, -1)])
def test_colour_with_equal_channels_is_grey_as_in_a_file(axis, channel_axis, caplog):
    caplog.set_level("INFO")
    forget_remarks()
    grey = numbered(4, 5)
    array = np.stack([grey] * 3, axis=axis)
    image = image_in_memory(array, GREY, channel_axis=channel_axis)
    np.testing.assert_array_equal(image.array, grey[None])
    assert "three equal channels; taken as grey" in caplog.text
    array[1, 1, 1] += 1
    with pytest.raises(DataError, match="3 channels that differ; expected 1 channel; convert it"):
        image_in_memory(array, GREY, channel_axis=channel_axis)
