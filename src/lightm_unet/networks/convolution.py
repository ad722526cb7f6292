"""Convolutions and their like by the number of spatial dimensions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightm_unet.networks.native_form import known_to_native

CONVOLUTIONS: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED_CONVOLUTIONS = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
INSTANCE_NORMS = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
BATCH_NORMS = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
MAX_POOLINGS = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVERAGE_POOLINGS = {2: nn.AvgPool2d, 3: nn.AvgPool3d}
INTERPOLATIONS = {2: "bilinear", 3: "trilinear"}


@known_to_native
class DWConv(nn.Module):
    """Depthwise 3x3(x3) convolution, then a pointwise one: a filter, then a mixture of channels.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels in.
        out_channels: channels out.
        bias: whether both convolutions have a bias.

    Shape: `(batch, in_channels, *spatial)` to `(batch, out_channels, *spatial)`.
    """

    def __init__(
        self, spatial_dims: int, in_channels: int, out_channels: int, bias: bool = False
    ) -> None:
        super().__init__()
        conv = CONVOLUTIONS[spatial_dims]
        self.depthwise = conv(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=bias)
        self.pointwise = conv(in_channels, out_channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return self.pointwise(self.depthwise(x))


NORMS = ("none", "batch", "instance")
"""Kinds of norm over the grid."""


def make_norm(kind: str, spatial_dims: int, channels: int) -> nn.Module:
    """A norm of each channel over the grid, with weight and bias.

    Args:
        kind: one of `NORMS`; "none" gives the identity.
        spatial_dims: 2 or 3.
        channels: of the features.
    """
    if kind == "none":
        return nn.Identity()
    if kind == "batch":
        return BATCH_NORMS[spatial_dims](channels)
    return INSTANCE_NORMS[spatial_dims](channels, affine=True)


def norms_by_batch(norm: nn.Module) -> bool:
    """Whether it is a BatchNorm that now takes its statistics from the batch."""
    return isinstance(norm, (nn.BatchNorm2d, nn.BatchNorm3d)) and norm.training


def keep_statistics(norm: nn.Module, mean: Tensor, variance: Tensor, count: int) -> None:
    """Let a BatchNorm's running statistics follow those of a batch, as its own `forward` does.

    Args:
        norm: in training mode, with running statistics.
        mean: of each channel over the batch, `(channels,)`.
        variance: the mean square deviation, `(channels,)`.
        count: numbers of each channel in the batch, at least 2.
    """
    assert isinstance(norm, (nn.BatchNorm2d, nn.BatchNorm3d))
    assert norm.running_var is not None
    assert norm.running_mean is not None
    with torch.no_grad():
        share = norm.momentum
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
            if share is None:  # all batches count the same
                share = 1.0 / float(norm.num_batches_tracked)
        share = 0.0 if share is None else share
        norm.running_mean.lerp_(mean, share)
        norm.running_var.lerp_(variance * (count / (count - 1)), share)


def as_factor_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """What a BatchNorm does to each channel outside training: `factor * x + shift`.

    Both are part of a linear layer in front of it, so that a native layer needs no step of its own
    for the norm. They are computed at each pass: a few numbers, always those of the weights now.

    Args:
        norm: in evaluation mode, with weights and running statistics.

    Returns:
        Two tensors `(channels,)`.
    """
    assert isinstance(norm, (nn.BatchNorm2d, nn.BatchNorm3d))
    assert norm.running_var is not None
    assert norm.running_mean is not None
    factor = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return factor, norm.bias - norm.running_mean * factor
