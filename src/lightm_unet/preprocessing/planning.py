"""Choose a `Preprocessing`: its grid from the user, its intensities from the data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from lightm_unet.datasets.dataset import (
    Dataset,
    open_case_images,
    open_case_labels,
    spatial_dims,
)
from lightm_unet.errors import DataError, UsageError
from lightm_unet.preprocessing.normalization import intensity_limits
from lightm_unet.preprocessing.preprocessing import (
    NORMALIZATIONS,
    Preprocessing,
    plan_grid,
)
from lightm_unet.system.choices import check_choice

_VOXELS_PER_CASE = 20_000
_NARROW = 1 / 200
"""A foreground range narrower than this part of all intensities' range is taken for constant."""


def plan_preprocessing(
    dataset: Dataset,
    case_names: Sequence[str],
    *,
    size: Sequence[int] | None = None,
    roi_size: Sequence[int] | None = None,
    spacing_mm: Sequence[float] | None = None,
    normalization: str = "auto",
) -> Preprocessing:
    """Choose how a data set's images become a network's input.

    Args:
        dataset: names the channels and holds the cases.
        case_names: the training cases; only these are looked at.
        size: whole-image mode, resize to this grid. One number stands for all axes.
        roi_size: patch mode, the patch and window. Without `size` and `roi_size`, the whole image
            at the paper's size: 512x512 or 128x128x128.
        spacing_mm: patch mode, resample to this voxel size.
        normalization: "zscore", "ct", or "auto": "ct" where every channel's name contains the
            word CT, else "zscore".

    Raises:
        UsageError: options that contradict each other, no case.
        DataError: a case cannot be read, or CT statistics are needed and there is no foreground.
    """
    if not case_names:
        raise UsageError("plan_preprocessing needs at least one training case, got none")
    check_choice("normalization", normalization, ("auto", *NORMALIZATIONS))
    if normalization == "auto":
        normalization = "ct" if all(map(_says_ct, dataset.channel_names)) else "zscore"
    first = open_case_images(dataset, dataset.case(case_names[0]))
    dims = spatial_dims(dataset)
    grid = plan_grid(dims, size, roi_size, spacing_mm)
    # Options that contradict each other are found here, before all images are read.
    plan = Preprocessing(dims, first.array.shape[0], **grid)
    if normalization == "zscore":
        return plan
    return Preprocessing(
        dims,
        first.array.shape[0],
        **grid,
        normalization="ct",
        **_measure_ct(dataset, case_names),
    )


def _says_ct(channel_name: str) -> bool:
    """Whether CT stands in a name as a word of its own: "CT", "ct_venous", not "PECTORAL"."""
    return re.search(r"(?<![a-z])ct(?![a-z])", channel_name, re.IGNORECASE) is not None


def _measure_ct(dataset: Dataset, case_names: Sequence[str]) -> dict[str, Any]:
    """The fields of `Preprocessing` for "ct".

    The foreground sets them. Where it is nearly constant beside the rest, as a saturated implant
    is, everything else would be an outlier; then all voxels set them.
    """
    foreground, everything = _sample(dataset, case_names)
    if not foreground.size:
        raise DataError(
            dataset.root,
            "no foreground voxel in any training case",
            "some, to measure CT intensities",
            "check the label maps, or choose zscore normalization",
        )
    low, high = intensity_limits(foreground)
    widest = intensity_limits(everything)
    if high - low < _NARROW * (widest[1] - widest[0]):
        foreground, (low, high) = everything, widest
    if low == high:
        raise DataError(
            dataset.root,
            f"the single intensity {low:g} in all training cases",
            "images that show something",
            "check the images",
        )
    values = np.clip(foreground, low, high)
    return {
        "intensity_range": (low, high),
        "intensity_mean": float(values.mean()),
        "intensity_std": float(values.std()),
    }


def _sample(dataset: Dataset, case_names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Intensities of the foreground and of all voxels, float64.

    Each case that has enough gives equally many.
    """
    generator = np.random.default_rng(0)
    foreground, everything = [], []
    for name in case_names:
        case = dataset.case(name)
        image = open_case_images(dataset, case)
        inside = open_case_labels(dataset, case, image.geometry) > 0
        foreground.append(_draw(image.array[:, inside], generator))
        everything.append(_draw(image.array, generator))
    return (
        np.concatenate(foreground).astype(np.float64),
        np.concatenate(everything).astype(np.float64),
    )


def _draw(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    values = values.ravel()
    if values.size <= _VOXELS_PER_CASE:
        return values
    return generator.choice(values, _VOXELS_PER_CASE, replace=False)
