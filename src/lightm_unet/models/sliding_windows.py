"""A network on windows that slide over an image, row by row of windows.

Windows overlap and are averaged with Gaussian weights, so that what a window sees at its edge
counts less. What is finished along the first axis is handed on at once: however long the image is,
only as many rows as a window has are kept for summing up.

Windows lie and weigh as those of MONAI's `sliding_window_inference`; the tests compare both.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F

WINDOWS_AT_ONCE = {"cpu": 1, "cuda": 4, "mps": 1}
"""Sliding windows per pass. More gains nothing on a CPU, which one window keeps busy."""
_SIGMA = 0.125
"""Standard deviation of the weights, as a share of the window."""
_LEAST_WEIGHT = 1e-3
_MOST_VALUES = 2**24
"""Of what is handed on at once, if a row has not more."""


def slide(
    network: Callable[[torch.Tensor], torch.Tensor],
    image: torch.Tensor,
    roi_size: Sequence[int],
    overlap: float,
    around: float,
) -> Iterator[torch.Tensor]:
    """The averaged output of a network, in parts along the image's first axis.

    Args:
        network: windows `(batch, channels, *roi_size)` to outputs `(batch, classes, *roi_size)`.
        image: `(channels, *grid)`; it is put into the middle of a window where it is smaller.
        roi_size: of a window.
        overlap: of neighbouring windows, 0 to below 1.
        around: the value of what is added to an image smaller than a window.

    Yields:
        `(classes, rows, *grid[1:])`, from the first row to the last.
    """
    grid, roi = tuple(image.shape[1:]), tuple(roi_size)
    before = [max(window - length, 0) // 2 for window, length in zip(roi, grid, strict=True)]
    padded = tuple(map(max, grid, roi))
    if padded != grid:
        sides = [
            (left, whole - length - left)
            for left, whole, length in zip(before, padded, grid, strict=True)
        ]
        image = F.pad(image, [each for side in reversed(sides) for each in side], value=around)
    starts = [window_starts(*each, overlap) for each in zip(padded, roi, strict=True)]
    weights = window_weights(roi).to(image.device)
    inner = tuple(slice(left, left + length) for left, length in zip(before, grid, strict=True))
    sums: torch.Tensor | None = None
    total = torch.zeros(roi[0], *padded[1:], device=image.device)
    for row, following in itertools.pairwise((*starts[0], padded[0])):
        windows = [
            (slice(None), *(slice(s, s + w) for s, w in zip(place, roi[1:], strict=True)))
            for place in itertools.product(*starts[1:])
        ]
        at_once = WINDOWS_AT_ONCE.get(image.device.type, 1)
        for first in range(0, len(windows), at_once):
            group = windows[first : first + at_once]
            rows = image[:, row : row + roi[0]]
            outputs = network(torch.stack([rows[(slice(None), *window)] for window in group]))
            if sums is None:
                sums = outputs.new_zeros(outputs.shape[1], *total.shape)
            for output, window in zip(outputs, group, strict=True):
                sums[(slice(None), *window)] += output * weights
                total[window] += weights
        assert sums is not None
        # The rows before the next windows get nothing more.
        done = min(following - row, roi[0])
        start, stop = (min(max(r - row, 0), done) for r in (inner[0].start, inner[0].stop))
        step = max(1, _MOST_VALUES // (len(sums) * math.prod(grid[1:])))
        for at in range(start, stop, step):
            part = (slice(at, min(at + step, stop)), *inner[1:])
            yield sums[(slice(None), *part)] / total[part]
        # One after the other: a copy of all would take as much again. Views by index, since
        # autograd, where it is on, refuses to change those that iterating gives.
        for kept in (*(sums[label] for label in range(len(sums))), total):
            kept[: roi[0] - done] = kept[done:].clone()
            kept[roi[0] - done :] = 0


def window_starts(length: int, window: int, overlap: float) -> list[int]:
    """Where windows begin along an axis; the last one ends with the axis.

    Example:
        >>> window_starts(20, 8, 0.5), window_starts(5, 8, 0.5)
        ([0, 4, 8, 12], [0])
    """
    if length <= window:
        return [0]
    step = max(int(window * (1 - overlap)), 1)
    count = math.ceil((length - window) / step) + 1
    return [min(number * step, length - window) for number in range(count)]


def window_weights(roi_size: Sequence[int]) -> torch.Tensor:
    """How much each voxel of a window counts, float32 `(*roi_size)`; the middle most."""
    weights = torch.ones(())
    for length in roi_size:
        place = torch.arange(length, dtype=torch.float32) - (length - 1) / 2
        along = torch.exp(place**2 / (-2 * (_SIGMA * length) ** 2))
        weights = weights[..., None] * along
    return weights.clamp(min=max(float(weights.min()), _LEAST_WEIGHT))
