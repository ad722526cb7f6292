"""nnU-Net's sliding windows, for models that it has trained.

Windows have equal distances, at most `1 - overlap` of their size; MONAI's keep that distance and
put the last one at the edge. Weights are a Gaussian around the middle, in half precision.

Source: nnunetv2 2.8, `compute_steps_for_sliding_window` and `compute_gaussian`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from types import EllipsisType

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

Window = tuple[EllipsisType | slice, ...]
"""A part of the grid, of all images and channels."""


def window_logits(
    network: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor,
    roi_size: tuple[int, ...],
    overlap: float,
) -> torch.Tensor:
    """Run a network on windows and average them; arguments as `compute_logits` has them.

    An image smaller than the window is put into its middle, with 0 around it.
    """
    grid = images.shape[2:]
    missing = [max(0, roi - size) for size, roi in zip(grid, roi_size, strict=True)]
    pads = [part for amount in reversed(missing) for part in (amount // 2, amount - amount // 2)]
    padded = F.pad(images, pads)
    weights = _gaussian(roi_size).to(images.device)
    starts = [
        window_starts(size, roi, 1 - overlap)
        for size, roi in zip(padded.shape[2:], roi_size, strict=True)
    ]
    total: torch.Tensor | None = None
    share = torch.zeros(padded.shape[2:], device=images.device)
    for corner in product(*starts):
        ends = (start + roi for start, roi in zip(corner, roi_size, strict=True))
        window: Window = (..., *map(slice, corner, ends))
        logits = network(padded[window])
        if total is None:
            total = logits.new_zeros((*logits.shape[:2], *padded.shape[2:]), dtype=torch.float32)
        total[window] += logits * weights
        share[window] += weights
    assert total is not None  # there is one window at least
    before = [amount // 2 for amount in missing]
    after = (start + size for start, size in zip(before, grid, strict=True))
    inside: Window = (..., *map(slice, before, after))
    return (total / share)[inside]


def window_starts(size: int, roi: int, step: float) -> list[int]:
    """Where the windows begin along an axis.

    Example:
        >>> window_starts(110, 64, 0.5), window_starts(64, 64, 0.5)
        ([0, 23, 46], [0])
    """
    count = math.ceil((size - roi) / (roi * step)) + 1
    distance = (size - roi) / max(1, count - 1)
    return [round(distance * number) for number in range(count)]


def _gaussian(roi_size: tuple[int, ...]) -> torch.Tensor:
    point = np.zeros(roi_size)
    point[tuple(size // 2 for size in roi_size)] = 1
    weights = ndimage.gaussian_filter(point, [size / 8 for size in roi_size], mode="constant")
    half = (weights * (10 / weights.max())).astype(np.float16)
    half[half == 0] = half[half > 0].min()
    return torch.from_numpy(half.astype(np.float32))
