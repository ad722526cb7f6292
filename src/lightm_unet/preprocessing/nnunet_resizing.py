"""nnU-Net's rule for changing a grid's size, for models that it has trained.

Cubic splines for images, linear interpolation for logits, nothing against aliasing; values stay
within the image's own. Where the voxels of one axis are more than three times as long as others,
that axis is left out, and its nearest slices are taken.

Source: nnunetv2 2.8, `resample_data_or_seg_to_shape`, which calls skimage's `resize`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from scipy import ndimage

_ANISOTROPIC = 3
"""Ratio of the longest to the shortest edge of a voxel."""
Order = Literal[1, 3]
IMAGE: Order = 3
LOGITS: Order = 1
"""Orders of the splines."""


def resize_as_nnunet(
    image: torch.Tensor,
    shape: tuple[int, ...],
    spacing: Sequence[float],
    new_spacing: Sequence[float],
    order: Order,
) -> torch.Tensor:
    """Resize an image or logits to another grid over the same field of view.

    Args:
        image: float32, `(channels, *grid)`, 2D or 3D.
        shape: the new grid.
        spacing: voxel size on the grid that it has.
        new_spacing: on the new one.
        order: `IMAGE` or `LOGITS`.

    Returns:
        float32, `(channels, *shape)`; the same tensor where nothing changes.

    Example:
        >>> resize_as_nnunet(torch.tensor([[[0.0, 4.0]]]), (1, 4), (1, 1), (1, 0.5), LOGITS)
        tensor([[[0., 1., 3., 4.]]])
    """
    if tuple(image.shape[1:]) == tuple(shape):
        return image
    long = _long_axis(spacing)
    if long is None:
        long = _long_axis(new_spacing)
    resized = []
    for channel in image.numpy().astype(np.float64):
        if long is None or channel.ndim == 2:
            resized.append(_zoom(channel, shape, order))
            continue
        plane = tuple(length for axis, length in enumerate(shape) if axis != long)
        slices = np.stack([_zoom(each, plane, order) for each in np.moveaxis(channel, long, 0)])
        count = shape[long]
        places = np.floor((np.arange(count) + 0.5) * (len(slices) / count))
        nearest = np.clip(places.astype(int), 0, len(slices) - 1)
        resized.append(np.moveaxis(slices[nearest], 0, long))
    return torch.from_numpy(np.stack(resized).astype(np.float32))


def _long_axis(spacing: Sequence[float]) -> int | None:
    """The one axis along which voxels are far longer."""
    longest = [axis for axis, length in enumerate(spacing) if length == max(spacing)]
    apart = max(spacing) / min(spacing) > _ANISOTROPIC
    return longest[0] if apart and len(longest) == 1 else None


def _zoom(array: np.ndarray, shape: tuple[int, ...], order: Order) -> np.ndarray:
    if array.shape == tuple(shape):
        return array
    factors = [new / old for new, old in zip(shape, array.shape, strict=True)]
    zoomed = ndimage.zoom(array, factors, order=order, mode="nearest", grid_mode=True)
    return np.clip(zoomed, array.min(), array.max())
