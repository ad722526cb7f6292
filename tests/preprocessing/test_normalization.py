"""Intensities: nothing is erased, and nothing sets the scale alone."""

import math

import numpy as np
import pytest

from lightm_unet.errors import UsageError
from lightm_unet.preprocessing.normalization import (
    compress_outliers,
    intensity_limits,
    normalise,
    padding_value,
)
from lightm_unet.preprocessing.preprocessing import Preprocessing


def zscore(outliers="compress"):
    return Preprocessing(spatial_dims=2, channels=1, size=(8, 8), outliers=outliers)


def ct(outliers="compress"):
    return Preprocessing(
        spatial_dims=3,
        channels=1,
        roi_size=(4, 4, 4),
        normalization="ct",
        outliers=outliers,
        intensity_range=(-100.0, 200.0),
        intensity_mean=50.0,
        intensity_std=25.0,
    )


def seen(array, preprocessing=None):
    return normalise(np.asarray(array, np.float32)[None], preprocessing or zscore())[0]


@pytest.mark.parametrize("outliers", ["compress", "clip"])
def test_every_channel_gets_mean_zero_and_deviation_one(outliers):
    generator = np.random.default_rng(0)
    array = np.stack([generator.normal(5, 2, 10_000), generator.normal(-900, 300, 10_000)])
    array[0, 0] = 1.7e6
    result = normalise(array.astype(np.float32), zscore(outliers))
    limits = np.percentile(result, [0.5, 99.5], axis=1, keepdims=True)
    result = np.clip(result, *limits)
    np.testing.assert_allclose(result.mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(result.std(axis=1), 1, atol=1e-4)


@pytest.mark.parametrize("plan", [zscore(), zscore("clip"), ct(), ct("clip")])
def test_the_result_is_float32(plan):
    image = np.random.default_rng(0).normal(0, 100, (8, 8)).astype(np.float32)
    assert normalise(image[None], plan).dtype == np.float32


def test_an_outlier_is_compressed_by_the_logarithm():
    """Limits 0 and 10: 10 + 10 log(1 + 90 / 10), and the same downwards."""
    found = compress_outliers(np.array([-90, 0, 4, 10, 100], np.float32), 0, 10)
    far = 10 * math.log(10)
    np.testing.assert_allclose(found, [-far, 0, 4, 10, 10 + far], rtol=1e-6)


@pytest.mark.parametrize("voxels", [1, 5, 20, 80, 200, 2000])
def test_a_small_bright_object_on_black_is_seen(voxels):
    image = np.zeros(10_000)
    image[:voxels] = 1000
    result = seen(image)
    assert result[:voxels].min() > result[voxels:].max() + 1
    assert result.max() <= 20.001


def test_levels_within_a_small_object_stay_apart():
    image = np.zeros((512, 512))
    image[100:130, 100:140] = np.arange(50, 1250).reshape(30, 40)
    result = seen(image)
    assert len(np.unique(result)) == 1201
    assert (np.diff(result[100, 100:140]) > 0).all()


def test_a_marker_far_brighter_than_the_body_leaves_the_body_visible():
    image = np.random.default_rng(0).normal(100, 20, 10_000)
    image[:20] = 65535
    assert np.std(seen(image)[20:]) > 0.9
    assert seen(image)[:20].min() > seen(image)[20:].max() + 1


def test_heavy_tails_keep_their_order():
    image = np.sort(np.random.default_rng(0).standard_cauchy(10_000)).astype(np.float32)
    assert (np.diff(seen(image)) > 0).all()
    assert np.abs(seen(image)).max() < 100


def test_a_saturated_image_keeps_the_part_that_is_not():
    image = np.full(10_000, 255.0)
    image[:30] = np.linspace(10, 200, 30)
    assert (np.diff(seen(image)[:30]) > 0).all()
    assert seen(image)[:30].max() < seen(image)[30:].min()


@pytest.mark.parametrize("value", [0.0, 7e5, -3.0])
def test_a_constant_image_is_zero(value):
    assert (seen(np.full((4, 4), value)) == 0).all()


@pytest.mark.parametrize("factor", [1e-40, 1e-30, 1, 1e15, 3e34])
def test_the_scale_of_an_image_does_not_matter(factor):
    image = np.random.default_rng(0).normal(5, 2, (64, 64)).astype(np.float32)
    scaled = (image.astype(np.float64) * factor).astype(np.float32)
    np.testing.assert_allclose(seen(scaled), seen(image), atol=1e-3)


def test_limits_of_a_sparse_image_are_those_of_the_object():
    image = np.zeros(100_000)
    image[:101] = np.arange(100, 201)
    assert intensity_limits(image) == (0, 199.5)


def test_what_lies_within_the_limits_is_seen_as_with_the_clip():
    image = np.random.default_rng(0).normal(0, 1, (64, 64))
    low, high = intensity_limits(image)
    inside = (low <= image) & (image <= high)
    np.testing.assert_allclose(seen(image)[inside], seen(image, zscore("clip"))[inside], atol=1e-6)


def test_an_older_models_clip_cuts_off():
    result = seen([0] * 999 + [1000.0], zscore("clip"))
    assert (result == 0).all()


def test_ct_uses_the_stored_statistics_alone():
    result = seen([-1000, 50, 75, 3000], ct("clip"))
    assert result.tolist() == [-6, 0, 1, 6]
    low, mean, one, high = seen([-1000, 50, 75, 3100], ct())
    assert (mean, one) == (0, 1)
    assert low == pytest.approx(-6 - 12 * math.log(4))  # 900 below, 300 wide: log(1 + 3)
    assert high == pytest.approx(6 + 12 * math.log(1 + 2900 / 300))


def test_patches_are_padded_with_air_in_ct_and_with_the_mean_otherwise():
    assert padding_value(ct("clip")) == -6
    assert padding_value(ct()) == pytest.approx(-6 - 12 * math.log(4))
    assert padding_value(zscore()) == 0


def test_as_nnunet_outliers_are_left_in_zscores_and_clipped_in_ct():
    array = np.array([[[0.0, 1.0, 2.0, 1000.0]]], np.float32)
    zscore = Preprocessing(2, 1, roi_size=(8, 8), normalization="nnunet-zscore")
    expected = (array - array.mean()) / array.std()
    np.testing.assert_allclose(normalise(array, zscore), expected, rtol=1e-6)
    assert not normalise(np.full((1, 2, 2), 7, np.float32), zscore).any()
    statistics = {"intensity_range": (0.5, 3.0), "intensity_mean": 1.0, "intensity_std": 2.0}
    ct = Preprocessing(2, 1, roi_size=(8, 8), normalization="nnunet-ct", **statistics)
    assert normalise(array, ct).tolist() == [[[-0.25, 0.0, 0.5, 1.0]]]
    assert padding_value(ct) == padding_value(zscore) == 0
    with pytest.raises(UsageError, match="goes with roi_size"):
        Preprocessing(2, 1, size=(8, 8), normalization="nnunet-zscore")
    with pytest.raises(UsageError, match="nnunet-ct normalization needs intensity_range"):
        Preprocessing(2, 1, roi_size=(8, 8), normalization="nnunet-ct")
