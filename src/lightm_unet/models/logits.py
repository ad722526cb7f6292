"""Run a network on one image, in validation and in prediction."""

from __future__ import annotations

from numbers import Real
from typing import Any, cast

import torch

from lightm_unet.errors import UsageError
from lightm_unet.preprocessing.normalization import padding_value
from lightm_unet.preprocessing.preprocessing import Preprocessing

WINDOWS_AT_ONCE = {"cpu": 1, "cuda": 4, "mps": 1}
"""Sliding windows per pass. More gains nothing on a CPU, which one window keeps busy."""


def compute_logits(
    network: torch.nn.Module,
    images: torch.Tensor,
    preprocessing: Preprocessing,
    overlap: float = 0.5,
) -> torch.Tensor:
    """Run a network as it was trained: on whole images, or on patches by a sliding window.

    Windows overlap and are averaged with Gaussian weights, so that what a window sees at its edge
    counts less. An image smaller than the window is put into its middle, padded as in training.

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
    from monai.inferers import sliding_window_inference

    logits = sliding_window_inference(
        images,
        roi_size=preprocessing.roi_size,
        sw_batch_size=WINDOWS_AT_ONCE.get(images.device.type, 1),
        predictor=network,
        overlap=overlap,
        mode="gaussian",
        padding_mode="constant",
        cval=padding_value(preprocessing),
    )
    return cast(torch.Tensor, logits)  # a tuple or dict only where the network returns one


def check_overlap(overlap: Any) -> None:
    """Refuse an overlap of windows that is no number from 0 to below 1.

    Raises:
        UsageError: it is something else, NaN included.
    """
    is_number = isinstance(overlap, Real) and not isinstance(overlap, bool)
    if not is_number or not 0 <= overlap < 1:
        raise UsageError(f"overlap needs a number from 0 to below 1, got {overlap!r}")
