"""Run a network on one image, in validation and in prediction."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import torch

from lightm_unet.errors import UsageError
from lightm_unet.models.logits_memory import LogitsMemory, take_memory
from lightm_unet.models.nnunet_windows import window_logits
from lightm_unet.models.sliding_windows import slide
from lightm_unet.preprocessing.normalization import padding_value
from lightm_unet.preprocessing.preprocessing import Preprocessing

Network = Callable[[torch.Tensor], torch.Tensor]


def compute_logits(
    network: Network,
    images: torch.Tensor,
    preprocessing: Preprocessing,
    overlap: float = 0.5,
) -> torch.Tensor:
    """Run a network as it was trained: on whole images, or on patches by a sliding window.

    An image smaller than the window is put into its middle, padded as in training.

    Args:
        network: in eval mode.
        images: preprocessed, `(batch, channels, *grid)`, on the network's device.
        preprocessing: says which mode, and the window's size.
        overlap: of neighbouring windows, 0 to below 1.

    Returns:
        Logits `(batch, classes, *grid)`.
    """
    if preprocessing.roi_size is None:
        return network(images)
    if preprocessing.as_nnunet:
        return window_logits(network, images, preprocessing.roi_size, overlap)
    around = padding_value(preprocessing)
    return torch.stack(
        [
            torch.cat(list(slide(network, image, preprocessing.roi_size, overlap, around)), dim=1)
            for image in images
        ]
    )


def compute_image_logits(
    network: Network, image: torch.Tensor, preprocessing: Preprocessing, overlap: float = 0.5
) -> LogitsMemory:
    """The same for one image of any size: what is large is kept in a file.

    Args:
        network: in eval mode.
        image: preprocessed, `(channels, *grid)`, on the network's device.
        preprocessing: as `compute_logits`.
        overlap: as `compute_logits`.

    Returns:
        Logits `(classes, *grid)`; those of windows are float32 on the CPU.

    Raises:
        UsageError: they are large, and the folder for temporary files has no space for them.
    """
    if preprocessing.roi_size is None:
        return LogitsMemory(network(image[None])[0])
    if preprocessing.as_nnunet:
        return LogitsMemory(window_logits(network, image[None], preprocessing.roi_size, overlap)[0])
    around = padding_value(preprocessing)
    memory, row = None, 0
    for part in slide(network, image, preprocessing.roi_size, overlap, around):
        if memory is None:
            memory = take_memory((len(part), *image.shape[1:]))
        memory.tensor[:, row : row + part.shape[1]] = part
        memory.release()
        row += part.shape[1]
    assert memory is not None  # an image has a row at least
    return memory


def mirrored(network: Network, axes: Sequence[int]) -> Network:
    """A network that also looks at the mirror images of its input, and gives the mean.

    Args:
        network: images `(batch, channels, *grid)` to logits `(batch, classes, *grid)`.
        axes: of the grid, from 0. Each is mirrored with and without each of the others.
    """
    subsets = [
        [2 + axis for axis in subset]
        for count in range(len(axes) + 1)
        for subset in itertools.combinations(axes, count)
    ]

    def mean(images: torch.Tensor) -> torch.Tensor:
        total = network(images)
        for flipped in subsets[1:]:
            total = total + network(images.flip(flipped)).flip(flipped)
        return total / len(subsets)

    return mean if axes else network


def check_overlap(overlap: Any) -> None:
    """Refuse an overlap of windows that is no number from 0 to below 1.

    Raises:
        UsageError: it is something else, NaN included.
    """
    is_number = isinstance(overlap, Real) and not isinstance(overlap, bool)
    if not is_number or not 0 <= overlap < 1:
        raise UsageError(f"overlap needs a number from 0 to below 1, got {overlap!r}")
