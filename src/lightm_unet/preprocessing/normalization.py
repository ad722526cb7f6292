"""Intensities to mean 0 and standard deviation 1."""

from __future__ import annotations

import numpy as np

from lightm_unet.preprocessing.preprocessing import CLIP_PERCENTILES, Preprocessing


def normalise(array: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Bring intensities to mean 0 and standard deviation 1, as `Preprocessing.normalization` says.

    Args:
        array: float32, `(channels, ...)`.
        preprocessing: says which way, and holds the statistics for "ct".

    Returns:
        float32, the same shape. A channel of one single value becomes 0.
    """
    if preprocessing.normalization == "ct":
        assert preprocessing.intensity_range is not None  # as `Preprocessing` checks
        assert preprocessing.intensity_mean is not None
        assert preprocessing.intensity_std is not None
        array = np.clip(array, *preprocessing.intensity_range)
        shifted = array - np.float32(preprocessing.intensity_mean)
        return shifted / np.float32(preprocessing.intensity_std)
    result = np.empty_like(array)
    for channel, out in zip(array, result, strict=True):
        np.clip(channel, *np.percentile(channel, CLIP_PERCENTILES), out=out)
        # float64: a float32 sum over a whole scan loses the digits that matter
        out -= np.float32(out.mean(dtype=np.float64))
        std = np.float32(np.sqrt(np.square(out).mean(dtype=np.float64)))
        if std > 0:
            out /= std
    return result
