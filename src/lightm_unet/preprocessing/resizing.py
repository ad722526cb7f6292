"""One rule for changing a grid's size, in 2D and 3D.

Along each axis, linear interpolation that keeps the field of view (`align_corners=False`). Where an
axis shrinks, the interpolation's triangle is widened by the same factor, so that every voxel
counts and thin structures fade instead of dropping out; where it grows, this is plain (bi-, tri-)
linear interpolation. An axis that keeps its length is not touched, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F


def resize(image: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Resize an image to another grid over the same field of view.

    Args:
        image: float32, `(channels, *grid)`, 2D or 3D.
        shape: the new grid.

    Returns:
        float32, `(channels, *shape)`; the same tensor where nothing changes.

    Source: torch's antialiased bilinear interpolation, which is 2D only, applied to pairs of axes;
        the filter is separable, so the order does not matter.

    Example:
        >>> resize(torch.tensor([[[0.0, 0.0, 7.0, 7.0]]]), (1, 2))
        tensor([[[1., 6.]]])
    """
    if len(shape) == 2:
        return _resize_last_two(image, shape)
    channels = image.shape[0]
    depth, height, width = shape
    if tuple(image.shape[2:]) != (height, width):
        image = torch.stack([_resize_last_two(part, (height, width)) for part in image])
    if image.shape[1] != depth:
        flat = image.reshape(channels, image.shape[1], height * width)
        flat = _resize_last_two(flat, (depth, height * width))
        image = flat.reshape(channels, depth, height, width)
    return image


def resize_labels(labels: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Resize a label map: every label's mask is resized linearly, and the largest share wins.

    Nearest-neighbour would be simpler, but it shifts borders by up to half a voxel and, where the
    grid shrinks, keeps or loses small structures by chance. Equal shares go to the smaller label.

    Args:
        labels: uint8, `(*grid)`.
        shape: the new grid.

    Returns:
        uint8, `(*shape)`.
    """
    if tuple(labels.shape) == tuple(shape):
        return labels
    values = torch.unique(labels).tolist()
    masks = ((labels == value).to(torch.float32)[None] for value in values)
    winners = resize_and_choose(masks, shape)
    return torch.tensor(values, dtype=torch.uint8)[winners.long()]


def resize_and_choose(scores: Iterable[torch.Tensor], shape: tuple[int, ...]) -> torch.Tensor:
    """Resize one score map after another and keep, per voxel, the index of the largest.

    Only three maps are in memory at a time, however many there are: at the size of a whole CT scan
    one map takes half a gigabyte.

    Args:
        scores: an iterable of float32 maps `(1, *grid)`.
        shape: the new grid.

    Returns:
        uint8 indices, `(*shape)`; the smaller index where scores are equal.
    """
    best = torch.full(shape, -torch.inf)
    winners = torch.zeros(shape, dtype=torch.uint8)
    for index, score in enumerate(scores):
        score = resize(score, shape)[0]
        larger = score > best
        winners[larger] = index
        best = torch.where(larger, score, best)
    return winners


def _resize_last_two(image: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    if tuple(image.shape[-2:]) == tuple(shape):
        return image
    if shape[1] == 1 < shape[0]:
        # torch 2.13 fills a column that is alone with its first value; a row comes out right.
        return _resize_last_two(image.mT, (1, shape[0])).mT
    return F.interpolate(
        image[None], size=shape, mode="bilinear", align_corners=False, antialias=True
    )[0]


def resize_rows(image: torch.Tensor, shape: tuple[int, ...], rows: slice) -> torch.Tensor:
    """Some rows, along the first axis, of what `resize` gives, from no more than they need.

    Args:
        image: float32, `(*grid)`, 2D or 3D.
        shape: the new grid.
        rows: of the new grid.

    Returns:
        float32, `(rows, *shape[1:])`.

    Source: the weights are those of torch's antialiased linear interpolation.
    """
    before, after = image.shape[0], shape[0]
    if before == after:
        return _resize_other_axes(image[rows], shape)
    if rows.start == 0 and rows.stop == after:  # all: at once, as a picture's hundreds of rows are
        return resize(image[None], shape)[0]
    scale = before / after
    support = max(scale, 1.0)
    centres = (torch.arange(rows.start, rows.stop, dtype=torch.float64) + 0.5) * scale
    first = (centres - support + 0.5).long().clamp(min=0)
    last = (centres + support + 0.5).long().clamp(max=before)
    start = int(first.min())
    needed = _resize_other_axes(image[start : int(last.max())], shape)
    made = needed.new_empty(len(centres), *shape[1:])
    for row, (low, high, centre) in enumerate(
        zip(first.tolist(), last.tolist(), centres.tolist(), strict=True)
    ):
        distance = (torch.arange(low, high, dtype=torch.float64) - centre + 0.5).abs()
        weights = (1 - distance / support).clamp(min=0)
        weights = (weights / weights.sum()).to(torch.float32)
        made[row] = torch.tensordot(weights, needed[low - start : high - start], 1)
    return made


def _resize_other_axes(rows: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """All axes but the first."""
    if rows.dim() == 3:
        return _resize_last_two(rows, (shape[1], shape[2]))
    return _resize_last_two(rows[None], (len(rows), shape[1]))[0]


def row_parts(shape: tuple[int, ...], values: int = 2**23) -> list[slice]:
    """A grid in parts along its first axis, of about so many values each.

    Example:
        >>> row_parts((5, 2, 3), 12)
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    rows = max(1, values // max(1, math.prod(shape[1:])))
    return [slice(start, min(start + rows, shape[0])) for start in range(0, shape[0], rows)]
