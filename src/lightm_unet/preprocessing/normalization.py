"""Intensities to mean 0 and standard deviation 1, outliers compressed.

Mean and deviation are those of the intensities clipped to the limits low and high, so that a few
outliers cannot set the scale. Where the network sees an outlier, it is not clipped but compressed,
so that it is not erased either: with the width w = high - low it becomes

    high + w log(1 + (x - high) / w)    above high
    low  - w log(1 + (low - x) / w)     below low
"""

from __future__ import annotations

import numpy as np

from lightm_unet.preprocessing.preprocessing import (
    NNUNET_CT,
    NNUNET_ZSCORE,
    PERCENTILES,
    Preprocessing,
)

_WIDEST = 20.0
"""The limits are at most this many standard deviations apart after a z-score: one bright voxel in
an empty volume would otherwise be a thousand away."""
_AIR = -1000.0
"""Hounsfield units."""


def normalise(array: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Bring intensities to mean 0 and standard deviation 1, as `Preprocessing.normalization` says.

    Args:
        array: float32, `(channels, ...)`.
        preprocessing: says which way, and holds the statistics for "ct".

    Returns:
        float32, the same shape. A channel of one single value becomes 0.
    """
    if preprocessing.normalization in ("ct", NNUNET_CT):
        return _normalise_ct(array, preprocessing)
    if preprocessing.normalization == NNUNET_ZSCORE:
        return np.stack([_normalise_as_nnunet(channel) for channel in array])
    one = _clip_and_normalise if preprocessing.outliers == "clip" else _compress_and_normalise
    return np.stack([one(channel) for channel in array])


def padding_value(preprocessing: Preprocessing) -> float:
    """Value around an image smaller than the patch, in training and prediction.

    Air for "ct", 0 otherwise, which is the mean of all but "nnunet-ct".
    """
    if preprocessing.normalization != "ct":
        return 0.0
    assert preprocessing.intensity_range is not None  # as `Preprocessing` checks
    air = min(_AIR, preprocessing.intensity_range[0])
    return float(_normalise_ct(np.array([air], np.float32), preprocessing)[0])


def intensity_limits(values: np.ndarray) -> tuple[float, float]:
    """The limits between which an intensity counts in full.

    Args:
        values: finite, not empty, any shape.

    Returns:
        The 0.5 and 99.5 percentiles; where they are equal, as in an image that is almost all
        background, those of the values other than this one, and this one. Equal only where all
        values are.
    """
    low, high = np.percentile(values, PERCENTILES)
    if low == high:
        others = values[values != low]
        if others.size:
            low = min(low, np.percentile(others, PERCENTILES[0]))
            high = max(high, np.percentile(others, PERCENTILES[1]))
    return float(low), float(high)


def compress_outliers(array: np.ndarray, low: float, high: float) -> np.ndarray:
    """Compress what lies outside the limits, as the module says.

    Args:
        array: float32, any shape.
        low: lower limit.
        high: upper limit, larger than `low`.

    Returns:
        A new float32 array of the same shape. Values within the limits are the same.
    """
    result = np.clip(array, low, high)
    width = np.float64(high) - low
    above, below = array > high, array < low
    result[above] += width * np.log1p((array[above].astype(np.float64) - high) / width)
    result[below] -= width * np.log1p((low - array[below].astype(np.float64)) / width)
    return result


def _normalise_ct(array: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    assert preprocessing.intensity_range is not None  # as `Preprocessing` checks
    assert preprocessing.intensity_mean is not None
    assert preprocessing.intensity_std is not None
    low, high = preprocessing.intensity_range
    if preprocessing.outliers == "clip" or preprocessing.normalization == NNUNET_CT:
        array = np.clip(array, low, high)
    else:
        array = compress_outliers(array, low, high)
    shifted = array - np.float32(preprocessing.intensity_mean)
    return shifted / np.float32(preprocessing.intensity_std)


def _normalise_as_nnunet(channel: np.ndarray) -> np.ndarray:
    mean, std = _mean_and_std(channel)
    return (channel - np.float32(mean)) / np.float32(max(std, 1e-8))


def _compress_and_normalise(channel: np.ndarray) -> np.ndarray:
    peak = np.abs(channel).max()
    if not 1e-15 < peak < 1e15:  # squares of such numbers leave float32's range
        channel = channel / (peak or np.float32(1))
    low, high = intensity_limits(channel)
    if low == high:
        return np.zeros_like(channel)
    mean, std = _mean_and_std(np.clip(channel, low, high))
    result = compress_outliers(channel, low, high)
    result -= np.float32(mean)
    result /= np.float32(max(std, (high - low) / _WIDEST))
    return result


def _clip_and_normalise(channel: np.ndarray) -> np.ndarray:
    """The rule of older models."""
    low, high = np.percentile(channel, PERCENTILES)
    result = np.clip(channel, float(low), float(high))  # numpy's own float64 would widen it
    mean, std = _mean_and_std(result)
    result -= np.float32(mean)
    if std > 0:
        result /= np.float32(std)
    return result


def _mean_and_std(values: np.ndarray) -> tuple[float, float]:
    # float64: a float32 sum over a whole scan loses the digits that matter
    mean = values.mean(dtype=np.float64)
    return mean, np.sqrt(np.square(values - np.float32(mean)).mean(dtype=np.float64))
