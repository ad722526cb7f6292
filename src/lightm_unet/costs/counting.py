"""The cost of a network: parameters (each once), multiply-adds, and the scans separately.

Nothing is computed: the network runs on the meta device, where tensors have shapes and no values,
so any size can be counted on any machine.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lightm_unet.errors import UsageError


@dataclass(frozen=True)
class NetworkCost:
    """The cost of one forward pass over one image."""

    parameters: int
    """Numbers that training changes; a tensor used twice counts once."""
    macs: int
    """Multiply-adds of convolutions and matrix products. Norms, activations, pooling,
    interpolation and element-wise sums are left out, as is usual."""
    scan_flops: int
    """Operations of the selective scans, 9 L D N + 2 L D each, which are no multiply-adds."""

    @property
    def flops(self) -> int:
        """All of it in one number: a multiply-add counts as 2."""
        return 2 * self.macs + self.scan_flops


def count_network(
    network: nn.Module,
    image_size: Sequence[int],
    in_channels: int | None = None,
    *,
    training: bool = False,
) -> NetworkCost:
    """Count a network's parameters and operations for one image.

    Args:
        network: any module that takes `(1, in_channels, *image_size)`; it is left as it is.
        image_size: spatial size.
        in_channels: by default `network.in_channels`.
        training: count the forward pass of a training step, which computes the extra logits of
            deep supervision too.

    Raises:
        UsageError: the number of channels is not known, or the network refuses such an image.

    Example:
        >>> from lightm_unet.networks.lightm_unet import LightMUNet
        >>> cost = count_network(LightMUNet(2, in_channels=3, out_channels=2), (512, 512))
        >>> cost.parameters, round(cost.macs / 1e9, 2), round(cost.scan_flops / 1e9, 2)
        (2533469, 21.53, 7.35)
    """
    in_channels = getattr(network, "in_channels", None) if in_channels is None else in_channels
    if in_channels is None:
        raise UsageError(
            f"{type(network).__name__} does not say how many channels it takes; pass in_channels"
        )
    shadow = copy.deepcopy(network).to("meta").train(training)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(torch.empty(1, in_channels, *image_size, device="meta"))
    by_op = counter.get_flop_counts().get("Global", {})
    scan = sum(flops for op, flops in by_op.items() if "selective_scan" in str(op))
    return NetworkCost(
        parameters=sum(p.numel() for p in network.parameters()),
        macs=(sum(by_op.values()) - scan) // 2,
        scan_flops=scan,
    )
