"""Cross-entropy plus Dice, as in section 3 of the paper, at one resolution or several."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from torch import Tensor

from lightm_unet.networks.base import TwoStages


def dice_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The loss of logits: mean cross-entropy, plus 1 - soft Dice.

    Dice is computed for each class except the background over the whole batch, so that one image
    without a small structure does not dominate the value, and then averaged. Both terms are
    computed in float32.

    Args:
        logits: `(batch, classes, *spatial)`.
        labels: class of each voxel, `(batch, 1, *spatial)`, any integer type.

    Returns:
        A scalar; 0 for certain and correct predictions.

    Source: soft Dice as in MONAI's `DiceLoss(batch=True, include_background=False)`.

    Example:
        >>> logits = torch.tensor([[[[20.0, -20.0]], [[-20.0, 20.0]]]])  # classes 0, 1
        >>> round(dice_cross_entropy(logits, torch.tensor([[[[0, 1]]]])).item(), 4)
        0.0
        >>> round(dice_cross_entropy(logits, torch.tensor([[[[1, 0]]]])).item(), 4)
        41.0
    """
    logits, labels = logits.float(), labels.long()
    dice = DiceLoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    return F.cross_entropy(logits, labels[:, 0]) + dice(logits, labels)


def training_loss(logits: Tensor | tuple[Tensor, ...], labels: Tensor) -> Tensor:
    """`dice_cross_entropy` of a network's output in training mode.

    With deep supervision the output is a tuple of logits at several resolutions. Their weights are
    proportional to 1, 1/2, 1/4 ..., and 0 for the lowest; the sum is 1. Labels at lower
    resolutions are every second voxel, the positions of the network's strided convolutions.

    Of `TwoStages` both count the same, so that the first stage learns a segmentation too.

    Args:
        logits: `(batch, classes, *spatial)`; or a tuple of them, the full resolution first, each
            half the size of the one before, rounded up; or `TwoStages`.
        labels: `(batch, 1, *spatial)`, any integer type.

    Returns:
        A scalar.

    Source: the weights of nnU-Net's trainer; for two stages, Galdran et al. 2022 add both losses,
    here they are averaged, so that the loss of every network has the same scale.
    """
    if isinstance(logits, TwoStages):
        return torch.stack([dice_cross_entropy(each, labels) for each in logits]).mean()
    if isinstance(logits, Tensor):
        return dice_cross_entropy(logits, labels)
    weights = [2.0**-level for level in range(len(logits))]
    if len(weights) > 1:
        weights[-1] = 0.0  # kept in the graph: training on several GPUs waits for its gradient
    total: Tensor | float = 0.0
    for each, weight in zip(logits, weights, strict=True):
        total = total + weight / sum(weights) * dice_cross_entropy(each, labels)
        every_second: tuple[Any, ...] = (..., *[slice(None, None, 2)] * (labels.dim() - 2))
        labels = labels[every_second]
    assert isinstance(total, Tensor)  # there is at least one resolution
    return total


def hard_dice(logits: Tensor, labels: Tensor) -> Tensor:
    """Dice of the most likely class, for each image and each class except the background.

    Args:
        logits: `(batch, classes, *spatial)`.
        labels: `(batch, 1, *spatial)`.

    Returns:
        `(batch, classes - 1)`; 1 for a class that is neither in the labels nor predicted.
    """
    classes = torch.arange(1, logits.shape[1], device=logits.device)
    pred = logits.argmax(1).flatten(1)[:, None] == classes[None, :, None]
    ref = labels.flatten(1)[:, None] == classes[None, :, None]
    overlap = (pred & ref).sum(-1)
    total = pred.sum(-1) + ref.sum(-1)
    return torch.where(total > 0, 2 * overlap / total.clamp(min=1), 1.0)
