"""From the network's output back to labels on the image's own grid."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from lightm_unet.errors import UsageError
from lightm_unet.preprocessing.apply import GridRecord
from lightm_unet.preprocessing.resizing import resize, resize_and_choose


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
    labels = resize_and_choose(_maps(logits, record), record.canonical_shape)
    return _to_file_axes(labels, record)


def restore_probabilities(
    logits: torch.Tensor, record: GridRecord, levels: int | None = None
) -> Iterator[np.ndarray]:
    """Turn the network's output into the probability of one label after the other.

    It is the softmax of the resized logits, so that the largest belongs to the label that
    `restore_logits` chooses. Rounding keeps this: where it would give another label as much, that
    one is given one step less. The maps are made one at a time, whatever the number of labels.

    Args:
        logits: `(classes, *grid)`, any floating type, any device.
        record: from the image's `preprocess_image`.
        levels: the number that stands for a probability of 1; None gives fractions.

    Yields:
        For each label float32 from 0 to 1, or uint16 from 0 to `levels`, in the file's own axes and
        shape.
    """
    shape = record.canonical_shape
    best, total = torch.full(shape, -torch.inf), torch.zeros(shape)
    winners = torch.zeros(shape, dtype=torch.uint8)
    for index, score in enumerate(_maps(logits, record)):
        score = resize(score, shape)[0]
        winners[score > best] = index
        top = torch.maximum(best, score)
        total = total * torch.exp(best - top) + torch.exp(score - top)
        best = top

    def rounded(probability: torch.Tensor) -> torch.Tensor:
        return probability if levels is None else torch.round(probability * levels)

    largest = rounded(1 / total)
    below = largest - 1 if levels else torch.nextafter(largest, torch.zeros(()))
    for index, score in enumerate(_maps(logits, record)):
        probability = rounded(torch.exp(resize(score, shape)[0] - best) / total)
        chosen = torch.where(winners == index, largest, torch.minimum(probability, below))
        yield _to_file_axes(chosen.to(torch.uint16) if levels else chosen, record)


def _maps(logits: torch.Tensor, record: GridRecord) -> Iterator[torch.Tensor]:
    """One label's logits after the other, float32 `(1, *grid)`, on the CPU."""
    if tuple(logits.shape[1:]) != record.grid_shape:
        raise UsageError(
            f"logits of {tuple(logits.shape)} do not fit a preprocessed grid of {record.grid_shape}"
        )
    return (score.detach().to("cpu", torch.float32)[None] for score in logits)


def _to_file_axes(values: torch.Tensor, record: GridRecord) -> np.ndarray:
    flipped = tuple(axis for axis, flip in enumerate(record.flips) if flip)
    array = np.flip(values.numpy(), flipped)
    array = np.transpose(array, np.argsort(record.axes))
    return np.ascontiguousarray(array).reshape(record.geometry.shape)
