"""Choose a `Preprocessing`: its grid from the user, its intensities from the data."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from lightm_unet.datasets.dataset import Dataset, open_case_images, open_case_labels
from lightm_unet.errors import DataError, UsageError
from lightm_unet.preprocessing.preprocessing import (
    CLIP_PERCENTILES,
    NORMALIZATIONS,
    Preprocessing,
    plan_grid,
)
from lightm_unet.system.choices import check_choice

_VOXELS_PER_CASE = 20_000


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
    spatial_dims = len(first.geometry.shape)
    grid = plan_grid(spatial_dims, size, roi_size, spacing_mm)
    # Options that contradict each other are found here, before all images are read.
    plan = Preprocessing(spatial_dims, first.array.shape[0], **grid)
    if normalization == "zscore":
        return plan
    voxels = _foreground_sample(dataset, case_names)
    low, high = (float(value) for value in np.percentile(voxels, CLIP_PERCENTILES))
    clipped = np.clip(voxels, low, high)
    return Preprocessing(
        spatial_dims,
        first.array.shape[0],
        **grid,
        normalization="ct",
        intensity_range=(low, high),
        intensity_mean=float(clipped.mean()),
        intensity_std=max(float(clipped.std()), 1e-3),
    )


def _says_ct(channel_name: str) -> bool:
    """Whether CT stands in a name as a word of its own: "CT", "ct_venous", not "PECTORAL"."""
    return re.search(r"(?<![a-z])ct(?![a-z])", channel_name, re.IGNORECASE) is not None


def _foreground_sample(dataset: Dataset, case_names: Sequence[str]) -> np.ndarray:
    """Foreground intensities, equally many from each case that has enough, as float64."""
    generator = np.random.default_rng(0)
    samples = []
    for name in case_names:
        case = dataset.case(name)
        image = open_case_images(dataset, case)
        foreground = open_case_labels(dataset, case, image.geometry) > 0
        voxels = image.array[:, foreground].ravel()
        if voxels.size > _VOXELS_PER_CASE:
            voxels = generator.choice(voxels, _VOXELS_PER_CASE, replace=False)
        samples.append(voxels)
    voxels = np.concatenate(samples).astype(np.float64)
    if not voxels.size:
        raise DataError(
            dataset.root,
            "no foreground voxel in any training case",
            "some, to measure CT intensities",
            "check the label maps, or choose zscore normalization",
        )
    return voxels
