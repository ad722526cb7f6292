"""The prepared image is Python's, however its file stores it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightm_unet.preprocessing.apply import preprocess_image
from lightm_unet.preprocessing.normalization import normalise, padding_value
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.preprocessing.resizing import resize
from native_images import images


def zscore(dims=2, outliers="compress", **grid):
    grid = grid or {"roi_size": (4,) * dims}
    return Preprocessing(spatial_dims=dims, channels=1, outliers=outliers, **grid)


def ct(outliers="compress", dims=3, **grid):
    grid = grid or {"roi_size": (4,) * dims}
    return Preprocessing(
        spatial_dims=dims,
        channels=1,
        normalization="ct",
        outliers=outliers,
        intensity_range=(-100.0, 200.0),
        intensity_mean=50.0,
        intensity_std=25.0,
        **grid,
    )


def intensities(kind, count, seed=0):
    random = np.random.default_rng(seed)
    values = {
        "normal": random.normal(3, 20, count),
        "bytes": random.integers(0, 256, count),
        "huge": random.normal(0, 1, count) * 1e36,
        "tiny": random.normal(0, 1, count) * 1e-38,
        "smallest": random.integers(-3, 4, count) * 1e-45,
        "constant": np.full(count, 7.25),
        "zero": np.zeros(count),
        "almost constant": np.where(np.arange(count) % 997 == 5, random.normal(50, 9, count), -3),
        "one voxel": np.where(np.arange(count) == count // 2, 1e6, 0),
        "two values": random.integers(0, 2, count) * 1000.0,
        "outliers": np.where(random.random(count) < 0.01, 1e7, random.normal(0, 1, count)),
        "signs of zero": np.where(random.random(count) < 0.5, -0.0, 0.0),
    }
    return values[kind].astype(np.float32)


KINDS = (
    "normal", "bytes", "huge", "tiny", "smallest", "constant", "zero", "almost constant",
    "one voxel", "two values", "outliers", "signs of zero",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 3, 7, 101, 10_007])
def test_percentiles_are_numpys_to_the_bit(steps, kind, count):
    values = intensities(kind, count)
    percents = (0.5, 2, 10, 25, 50, 75, 99.5, 100)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = np.percentile(values, percents)
    np.testing.assert_array_equal(steps.percentiles(values, percents), expected)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_percentiles_of_any_numbers_are_numpys(steps, values):
    values = np.array(values, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = np.percentile(values, (0.5, 30, 99.5))
    np.testing.assert_array_equal(steps.percentiles(values, (0.5, 30, 99.5)), expected)


@pytest.mark.parametrize("plan", [zscore(), zscore(outliers="clip"), ct(), ct("clip")])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 101, 10_007])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # older models on huge numbers overflow
def test_normalised_intensities_are_pythons(steps, plan, kind, count):
    values = intensities(kind, count)
    expected = normalise(values[None], plan)[0]
    # One rounding of the mean or the deviation may differ, as sums are taken in another order.
    np.testing.assert_allclose(steps.normalise(values, plan), expected, rtol=3e-7, atol=3e-7)


@given(
    st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=30),
    st.sampled_from(["compress", "clip"]),
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_any_normalised_intensities_are_pythons(steps, values, outliers):
    plan = zscore(outliers=outliers)
    values = np.array(values, np.float32)
    expected = normalise(values[None], plan)[0]
    np.testing.assert_allclose(steps.normalise(values, plan), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("plan", [zscore(), ct(), ct("clip")])
def test_the_padding_is_pythons(steps, plan):
    assert steps.padding(plan) == pytest.approx(padding_value(plan), rel=1e-6)


def test_every_number_that_is_not_finite_is_counted(steps):
    values = np.array([0, 1, math.inf, -math.inf, math.nan, 3.4e38, 1e-45], np.float32)
    assert steps.not_finite(values, values.size) == 3


@pytest.mark.parametrize("before", [1, 2, 3, 7, 40, 101, 512])
@pytest.mark.parametrize("after", [1, 2, 3, 7, 40, 101, 512])
def test_a_resized_row_is_torchs(steps, before, after):
    row = np.random.default_rng(0).normal(0, 1, before).astype(np.float32)
    expected = resize(torch.from_numpy(row)[None, None], (1, after))[0, 0]
    found = steps.resize(row, after)
    if before == after:
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-7)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("threads", [1, 3])
@given(data=st.data())
def test_a_prepared_image_is_pythons(steps, dims, threads, data):
    image, plan = data.draw(images(dims))
    expected, record = preprocess_image(image, plan)
    canonical, seen, spacing = steps.record(image.geometry, plan)
    assert (canonical, seen) == (record.canonical_shape, record.grid_shape)
    own = [record.matched.spacing_mm[axis] for axis in record.axes]
    np.testing.assert_allclose(spacing, own, rtol=1e-12)
    found = steps.prepare(image.array[0], image.geometry, plan, threads)
    np.testing.assert_allclose(found, expected[0], rtol=0, atol=5e-6)
