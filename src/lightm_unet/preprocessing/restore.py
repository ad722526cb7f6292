"""From the network's output back to labels on the image's own grid."""

from __future__ import annotations

import numpy as np
import torch

from lightm_unet.errors import UsageError
from lightm_unet.preprocessing.apply import GridRecord
from lightm_unet.preprocessing.resizing import resize_and_choose


def restore_logits(logits: torch.Tensor, record: GridRecord) -> np.ndarray:
    """Turn the network's output into labels on the image's own grid.

    The logits are resized, linearly, and the largest wins: this gives smoother borders than
    resizing labels would.

    Args:
        logits: `(classes, *grid)`, any floating type, any device.
        record: from the image's `preprocess_image`.

    Returns:
        uint8, in the file's own axes and shape.
    """
    if tuple(logits.shape[1:]) != record.grid_shape:
        raise UsageError(
            f"logits of {tuple(logits.shape)} do not fit a preprocessed grid of {record.grid_shape}"
        )
    maps = (score.detach().to("cpu", torch.float32)[None] for score in logits)
    return _to_file_axes(resize_and_choose(maps, record.canonical_shape), record)


def _to_file_axes(values: torch.Tensor, record: GridRecord) -> np.ndarray:
    flipped = tuple(axis for axis, flip in enumerate(record.flips) if flip)
    array = np.transpose(np.flip(values.numpy(), flipped), np.argsort(record.axes))
    return np.ascontiguousarray(array).reshape(record.geometry.shape)
