"""From the network's output back to labels on the image's own grid.

The work is done in parts along the first axis, label by label: however many labels there are, and
however large the image is, little more than the result is in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from lightm_unet.errors import UsageError
from lightm_unet.preprocessing.apply import GridRecord
from lightm_unet.preprocessing.nnunet_resizing import LOGITS, resize_as_nnunet
from lightm_unet.preprocessing.resizing import resize_rows, row_parts


def restore_logits(
    logits: torch.Tensor, record: GridRecord, release: Callable[[], None] = lambda: None
) -> np.ndarray:
    """Turn the network's output into labels on the image's own grid.

    The logits are resized, linearly, and the largest wins: this gives smoother borders than
    resizing labels would. Equal ones give the smaller label.

    Args:
        logits: `(classes, *grid)`, any floating type, any device.
        record: from the image's `preprocess_image`.
        release: called after each part, to give back what a file of logits takes in memory.

    Returns:
        uint8, in the file's own axes and shape.
    """
    logits = _on_cpu(logits, record)
    labels, canonical = _in_file_axes(np.uint8, record)
    for rows in _parts(record):
        best, winners = None, None
        for index in range(len(logits)):
            score = _rows(logits[index], record, rows)
            if best is None or winners is None:
                best, winners = score, torch.zeros(score.shape, dtype=torch.uint8)
            else:
                larger = score > best
                winners[larger] = index
                best = torch.where(larger, score, best)
            release()
        assert winners is not None  # a network has labels
        canonical[rows] = winners.numpy()
    return labels


def restore_probabilities(
    logits: torch.Tensor,
    record: GridRecord,
    levels: int | None = None,
    release: Callable[[], None] = lambda: None,
) -> Iterator[np.ndarray]:
    """Turn the network's output into the probability of one label after the other.

    It is the softmax of the resized logits, so that the largest belongs to the label that
    `restore_logits` chooses. Rounding keeps this: where it would give another label as much, that
    one is given one step less. The maps are made one at a time, whatever the number of labels.

    Args:
        logits: `(classes, *grid)`, any floating type, any device.
        record: from the image's `preprocess_image`.
        levels: the number that stands for a probability of 1; None gives fractions.
        release: as for `restore_logits`.

    Yields:
        For each label float32 from 0 to 1, or uint16 from 0 to `levels`, in the file's own axes and
        shape.
    """
    logits = _on_cpu(logits, record)
    shape = record.canonical_shape
    best, total = torch.full(shape, -torch.inf), torch.zeros(shape)
    winners = torch.zeros(shape, dtype=torch.uint8)
    for rows in _parts(record):
        highest, sum_ = best[rows], total[rows]  # views
        for index in range(len(logits)):
            score = _rows(logits[index], record, rows)
            winners[rows][score > highest] = index
            top = torch.maximum(highest, score)
            sum_.copy_(sum_ * torch.exp(highest - top) + torch.exp(score - top))
            highest.copy_(top)
            release()

    def rounded(probability: torch.Tensor) -> torch.Tensor:
        return probability if levels is None else torch.round(probability * levels)

    for index in range(len(logits)):
        values, canonical = _in_file_axes(np.uint16 if levels else np.float32, record)
        for rows in _parts(record):
            largest = rounded(1 / total[rows])
            below = largest - 1 if levels else torch.nextafter(largest, torch.zeros(()))
            score = _rows(logits[index], record, rows)
            probability = rounded(torch.exp(score - best[rows]) / total[rows])
            chosen = torch.where(winners[rows] == index, largest, torch.minimum(probability, below))
            canonical[rows] = chosen.numpy()
            release()
        yield values


def _on_cpu(logits: torch.Tensor, record: GridRecord) -> torch.Tensor:
    """Float32 logits that fit the record; the same memory where they are so already."""
    if tuple(logits.shape[1:]) != record.grid_shape:
        raise UsageError(
            f"logits of {tuple(logits.shape)} do not fit a preprocessed grid of {record.grid_shape}"
        )
    return logits.detach().to("cpu", torch.float32)


def _parts(record: GridRecord) -> list[slice]:
    """The parts in which the image's own grid is made; nnU-Net's splines need all of it."""
    shape = record.canonical_shape
    return row_parts(shape) if record.nnunet_spacing_mm is None else [slice(0, shape[0])]


def _rows(score: torch.Tensor, record: GridRecord, rows: slice) -> torch.Tensor:
    """One of `_parts` of one label's logits, on the image's own grid in canonical axis order."""
    shape = record.canonical_shape
    if record.nnunet_spacing_mm is None:
        return resize_rows(score, shape, rows)
    spacings = record.nnunet_spacing_mm, record.spacing_mm
    return resize_as_nnunet(score[None], shape, *spacings, LOGITS)[0]


def _in_file_axes(dtype: Any, record: GridRecord) -> tuple[np.ndarray, np.ndarray]:
    """An array in the file's own axes and shape, and the same one seen in canonical axes."""
    array = np.empty(record.geometry.shape, dtype)
    flipped = tuple(axis for axis, flip in enumerate(record.flips) if flip)
    return array, np.flip(np.transpose(array.reshape(record.matched.shape), record.axes), flipped)
