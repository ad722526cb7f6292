import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightm_unet.errors import DataError, UsageError
from lightm_unet.imaging.geometry import Geometry, canonical_axes
from lightm_unet.imaging.image import Image, read_image, read_labels
from lightm_unet.preprocessing.apply import preprocess_image, preprocess_labels
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.preprocessing.restore import restore_logits
from lightm_unet.system.json_codec import from_json, to_json
from strategies import ALL_ORIENTATIONS, affines, oriented_affine, shapes

KEEP = Preprocessing(spatial_dims=3, channels=1, roi_size=(8, 8, 8))


def one_hot(labels: torch.Tensor, classes: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(labels.long(), classes).movedim(-1, 0).float()


def image_of(array: np.ndarray, affine=None) -> Image:
    geometry = Geometry(array.shape[1:], np.eye(4) if affine is None else affine)
    return Image(array.astype(np.float32), geometry, Path("case.nii.gz"))


def ball(shape: tuple[int, ...], radius: float) -> np.ndarray:
    axes = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")
    return (np.sqrt(sum(axis**2 for axis in axes)) < radius).astype(np.uint8)


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * np.sum(first & second) / (first.sum() + second.sum())


@pytest.mark.parametrize(("axes", "signs"), ALL_ORIENTATIONS)
def test_labels_come_back_exactly_from_every_orientation(axes, signs):
    labels = np.random.default_rng(0).integers(0, 3, (4, 5, 6)).astype(np.uint8)
    image = image_of(np.zeros((1, 4, 5, 6)), oriented_affine(axes, signs))
    _, record = preprocess_image(image, KEEP)
    on_grid = preprocess_labels(labels, record)
    np.testing.assert_array_equal(restore_logits(one_hot(on_grid, 3), record), labels)


@given(affines(largest_shear=1.0), shapes(), st.booleans(), st.integers(0, 2**32 - 1))
def test_labels_come_back_exactly_from_any_grid_that_is_not_resized(affine, shape, spaced, seed):
    labels = np.random.default_rng(seed).integers(0, 4, shape).astype(np.uint8)
    image = image_of(np.zeros((1, *shape)), affine)
    preprocessing = KEEP
    if spaced:  # resampling to the voxel size that it has resizes nothing
        axes, _ = canonical_axes(image.geometry)
        spacing_mm = tuple(image.geometry.spacing_mm[axis] for axis in axes)
        preprocessing = dataclasses.replace(KEEP, spacing_mm=spacing_mm)
    tensor, record = preprocess_image(image, preprocessing)
    on_grid = preprocess_labels(labels, record)
    assert tensor.shape[1:] == on_grid.shape == record.canonical_shape
    np.testing.assert_array_equal(restore_logits(one_hot(on_grid, 4), record), labels)


@given(st.sampled_from([2, 3]).flatmap(lambda dims: st.tuples(shapes(dims), shapes(dims, 12))))
def test_resizing_invents_no_label_and_comes_back_on_the_file_s_grid(sizes):
    shape, size = sizes
    labels = np.full(shape, 2, np.uint8)
    preprocessing = Preprocessing(spatial_dims=len(shape), channels=1, size=size)
    tensor, record = preprocess_image(image_of(np.zeros((1, *shape))), preprocessing)
    on_grid = preprocess_labels(labels, record)
    assert tensor.shape[1:] == on_grid.shape == size
    assert (on_grid == 2).all()
    np.testing.assert_array_equal(restore_logits(one_hot(on_grid, 3), record), labels)


@pytest.mark.parametrize(("axes", "signs"), ALL_ORIENTATIONS)
def test_every_orientation_of_one_body_gives_the_same_input(axes, signs):
    affine = oriented_affine(axes, signs)
    index = np.stack(np.meshgrid(*map(np.arange, (4, 5, 6)), indexing="ij"), axis=-1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    for world_axis in range(3):
        image = image_of(world[None, ..., world_axis], affine)
        tensor, record = preprocess_image(image, KEEP)
        # Canonical: the world coordinate grows along its own axis and along no other.
        steps = np.diff(tensor[0].numpy(), axis=world_axis)
        assert (steps > 0).all()
        for other in {0, 1, 2} - {world_axis}:
            np.testing.assert_allclose(np.diff(tensor[0].numpy(), axis=other), 0, atol=1e-6)
        assert record.grid_spacing_mm == tuple(1.0 + axes.index(axis) for axis in range(3))


@pytest.mark.parametrize(("axes", "signs"), ALL_ORIENTATIONS[::7])
def test_labels_come_back_nearly_after_resizing(axes, signs):
    labels = ball((40, 36, 44), 13)
    image = image_of(np.zeros((1, *labels.shape)), oriented_affine(axes, signs))
    for grid in ((32, 32, 32), (48, 40, 56)):
        preprocessing = Preprocessing(spatial_dims=3, channels=1, size=grid)
        _, record = preprocess_image(image, preprocessing)
        on_grid = preprocess_labels(labels, record)
        assert on_grid.shape == grid
        assert dice(restore_logits(one_hot(on_grid, 2), record), labels) > 0.97


def test_a_single_slice_that_runs_backwards_keeps_its_labels():
    labels = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    image = image_of(np.zeros((1, 1, 3, 4)), np.diag([-2.0, 1.0, 1.0, 1.0]))
    _, record = preprocess_image(image, KEEP)
    np.testing.assert_array_equal(preprocess_labels(labels, record).numpy(), labels)


@pytest.mark.parametrize("shape", [(5, 6, 1), (5, 1, 6), (1, 5, 6), (1, 1, 1), (1, 1, 6), (5, 6)])
@pytest.mark.parametrize("dims", [2, 3])
def test_a_slice_serves_2d_and_3d_networks(shape, dims):
    labels = np.random.default_rng(0).integers(0, 3, shape).astype(np.uint8)
    affine = oriented_affine((1, 2, 0), (-1, 1, -1))
    geometry = Geometry(shape, affine)
    image = Image(labels[None].astype(np.float32), geometry, Path("case.nii"))
    preprocessing = Preprocessing(spatial_dims=dims, channels=1, roi_size=(8,) * dims)
    tensor, record = preprocess_image(image, preprocessing)
    on_grid = preprocess_labels(labels, record)
    assert tensor.ndim == 1 + dims
    assert on_grid.shape == tensor.shape[1:]
    assert len(record.grid_spacing_mm) == dims
    np.testing.assert_array_equal(restore_logits(one_hot(on_grid, 3), record), labels)


def test_a_slice_is_resampled_along_its_own_axes():
    geometry = Geometry((10, 20), oriented_affine((0, 2, 1), (1, 1, 1), (1.0, 3.0, 7.0)), 1)
    image = Image(np.zeros((1, 10, 20), np.float32), geometry, Path("case.nii"))
    preprocessing = Preprocessing(2, 1, roi_size=(8, 8), spacing_mm=(1.5, 2.0))
    tensor, record = preprocess_image(image, preprocessing)
    # Coronal: rows are the 20 voxels of 3 mm from top to bottom, columns the 10 of 1 mm.
    assert tensor.shape == (1, 40, 5)
    assert record.grid_spacing_mm == (1.5, 2.0)


def test_stored_flat_axes_are_the_files_own():
    labels = np.arange(20, dtype=np.uint8).reshape(4, 5)
    geometry = Geometry((4, 5), oriented_affine((1, 0, 2), (1, -1, 1)), 1)
    image = Image(np.zeros((1, 4, 5), np.float32), geometry, Path("case.nii"))
    for flat_axes, expected in (("stored", labels), ("anatomical", labels[::-1])):
        preprocessing = Preprocessing(2, 1, roi_size=(8, 8), flat_axes=flat_axes)
        _, record = preprocess_image(image, preprocessing)
        np.testing.assert_array_equal(preprocess_labels(labels, record), expected)


def test_pictures_keep_their_rows_and_columns():
    labels = ball((50, 70), 20)
    picture = image_of(labels[None] * 255.0)
    preprocessing = Preprocessing(spatial_dims=2, channels=1, size=(32, 32))
    tensor, record = preprocess_image(picture, preprocessing)
    assert tensor.shape == (1, 32, 32)
    on_grid = preprocess_labels(labels, record)
    assert dice(restore_logits(one_hot(on_grid, 2), record), labels) > 0.97


def test_resampling_gives_the_grid_that_spacing_asks_for():
    image = image_of(np.zeros((1, 20, 30, 10)), oriented_affine((1, 0, 2), (1, 1, 1)))
    preprocessing = Preprocessing(
        spatial_dims=3, channels=1, roi_size=(8, 8, 8), spacing_mm=(1.5, 2.0, 3.5)
    )
    tensor, record = preprocess_image(image, preprocessing)
    # The file's second axis, 30 voxels of 2 mm, is the first canonical one: 60 mm / 1.5.
    assert tensor.shape == (1, 40, 10, 9)
    assert record.canonical_shape == (30, 20, 10)
    np.testing.assert_allclose(record.grid_spacing_mm, (1.5, 2.0, 10 / 3))
    restored = restore_logits(torch.randn(2, 40, 10, 9), record)
    assert restored.shape == (20, 30, 10)
    assert restored.dtype == np.uint8


def test_half_precision_logits_are_restored_like_their_float32_values():
    image = image_of(np.zeros((1, 6, 7, 8)))
    preprocessing = Preprocessing(spatial_dims=3, channels=1, size=(4, 5, 6))
    _, record = preprocess_image(image, preprocessing)
    logits = torch.randn(3, 4, 5, 6).bfloat16()
    np.testing.assert_array_equal(
        restore_logits(logits, record), restore_logits(logits.float(), record)
    )


def test_json_gives_the_same_preprocessing_back():
    ct = Preprocessing(
        spatial_dims=3,
        channels=2,
        roi_size=(96, 96, 64),
        spacing_mm=(1.5, 1.5, 2.0),
        normalization="ct",
        intensity_range=(-100.0, 200.0),
        intensity_mean=50.0,
        intensity_std=25.0,
    )
    assert from_json(Preprocessing, json.loads(json.dumps(to_json(ct)))) == ct


@pytest.mark.parametrize(
    ("field", "now", "then"),
    [("outliers", "compress", "clip"), ("flat_axes", "anatomical", "stored")],
)
def test_a_card_from_before_a_field_keeps_what_was_done_then(field, now, then):
    card = to_json(KEEP)
    assert card.pop(field) == now
    assert getattr(from_json(Preprocessing, card), field) == then


@pytest.mark.parametrize(
    "fields",
    [
        {"size": None},
        {"roi_size": (8, 8, 8)},
        {"size": (8, 8)},
        {"size": (8, 8, 0)},
        {"spacing_mm": (1.0, 1.0, 1.0)},
        {"spatial_dims": 4},
        {"channels": 0},
        {"normalization": "minmax"},
        {"flat_axes": "rows"},
        {"normalization": "ct"},
        {"outliers": "drop"},
        {"gamma": 2},
        {"size": "abc"},
    ],
)
def test_fields_that_contradict_each_other_are_refused(fields):
    with pytest.raises(UsageError):
        from_json(
            Preprocessing, {"spatial_dims": 3, "channels": 1, "size": [8, 8, 8], **to_json(fields)}
        )


def test_an_image_of_other_dimensions_or_channels_is_a_data_error():
    for array in (np.zeros((1, 4, 4)), np.zeros((2, 4, 4, 4))):
        with pytest.raises(DataError, match="expected 3D with 1 channel"):
            preprocess_image(image_of(array), KEEP)


def test_voxels_of_metres_on_a_grid_of_millimetres_are_a_data_error():
    preprocessing = dataclasses.replace(KEEP, spacing_mm=(1.0, 1.0, 1.0))
    image = image_of(np.zeros((1, 20, 20, 20)), np.diag([5000.0, 5000.0, 5000.0, 1.0]))
    with pytest.raises(DataError, match=r"5000 x 5000 x 5000 mm, .* take 4000000 GB"):
        preprocess_image(image, preprocessing)


def test_labels_and_logits_of_another_shape_are_refused():
    _, record = preprocess_image(image_of(np.zeros((1, 4, 5, 6))), KEEP)
    with pytest.raises(UsageError):
        preprocess_labels(np.zeros((4, 5, 7), np.uint8), record)
    with pytest.raises(UsageError):
        restore_logits(torch.zeros(2, 4, 5, 7), record)


def test_phantom_organs_come_back_through_resizing(ct_phantoms):
    preprocessing = Preprocessing(spatial_dims=3, channels=1, size=(56, 40, 48))
    for file in sorted((ct_phantoms / "labelsTr").iterdir())[:2]:
        labels, _ = read_labels(file)
        image = read_image(ct_phantoms / "imagesTr" / file.name.replace(".nii", "_0000.nii"))
        _, record = preprocess_image(image, preprocessing)
        classes = int(labels.max()) + 1
        restored = restore_logits(one_hot(preprocess_labels(labels, record), classes), record)
        for label in range(1, classes):
            assert dice(restored == label, labels == label) > 0.9


def test_real_hippocampi_come_back_through_resizing(shared_data):
    folder = shared_data / "Task04_Hippocampus"
    files = sorted((folder / "labelsTr").glob("*.nii.gz"))[:4]
    preprocessing = Preprocessing(spatial_dims=3, channels=1, size=(48, 64, 48))
    for file in files:
        labels, _ = read_labels(file)
        image = read_image(folder / "imagesTr" / file.name)
        _, record = preprocess_image(image, preprocessing)
        restored = restore_logits(one_hot(preprocess_labels(labels, record), 3), record)
        for label in (1, 2):
            assert dice(restored == label, labels == label) > 0.97


CT = {"normalization": "ct", "intensity_range": (0, 1), "intensity_mean": 0, "intensity_std": 1}
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", (0, 8)),
        ("size", (8, -8)),
        ("size", (8, 10**9)),
        ("roi_size", (10**12, 8)),
        ("spacing_mm", (NAN, 1.0)),
        ("spacing_mm", (1.0, NAN)),
        ("spacing_mm", (INF, 1.0)),
        ("spacing_mm", (-1.0, 1.0)),
        ("spacing_mm", (1e-30, 1.0)),
        ("spacing_mm", (1e9, 1.0)),
        ("intensity_mean", NAN),
        ("intensity_mean", INF),
        ("intensity_std", NAN),
        ("intensity_std", 1e-300),
        ("intensity_std", 1e200),
        ("intensity_std", -1.0),
        ("intensity_range", (NAN, 1.0)),
        ("intensity_range", (-INF, 1.0)),
        ("intensity_range", (2.0, 1.0)),
    ],
)
def test_a_field_that_cannot_be_is_refused_by_its_name(field, value):
    grid = {} if field in ("size", "roi_size") else {"roi_size": (8, 8)}
    with pytest.raises(UsageError, match=field):
        Preprocessing(spatial_dims=2, channels=1, **{**CT, **grid, field: value})
