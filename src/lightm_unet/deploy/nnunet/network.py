"""A network of this package as nnU-Net builds and calls one.

nnU-Net finds the class by the name in its plans and calls it with the channels, the classes and
`arch_kwargs`. A plans file and a checkpoint outlive this version: neither the class's name and
arguments nor its parameters' names may change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from lightm_unet.errors import UsageError
from lightm_unet.networks.registry import build_network

CLASS_NAME = "lightm_unet.deploy.nnunet.network.PlannedNetwork"
"""What a plans file calls the class."""
PREFIX = "network."
"""How the names of the network's own parameters begin in a checkpoint."""


class PlannedNetwork(nn.Module):
    """Any network that gives logits alone, by the names and in the axes of nnU-Net.

    Args:
        input_channels: of the image.
        num_classes: background included.
        network: its name for `build_network`.
        options: all of its options.
        axes: for each axis of the image file, from the first, the axis of nnU-Net's arrays. The
            network sees the file's order, as it does everywhere in this package; nnU-Net's is the
            other way round, and for some data sets turned.
        strides: read by nnU-Net alone, see `full_resolution_twice`.
        deep_supervision: whether it gives a list of logits; nnU-Net changes this later by
            `decoder.deep_supervision`.

    Shape: `(batch, input_channels, *spatial)` to logits `(batch, num_classes, *spatial)`; with deep
    supervision to a list that holds them twice.

    Example:
        >>> import torch
        >>> options = {"width": 4, "encoder_layers": [1], "bottleneck_layers": 1}
        >>> network = PlannedNetwork(1, 2, network="lightm-unet", options=options, axes=[2, 1, 0])
        >>> network(torch.zeros(1, 1, 4, 6, 8)).shape
        torch.Size([1, 2, 4, 6, 8])
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        network: str,
        options: Mapping[str, Any],
        axes: Sequence[int],
        strides: Sequence[Sequence[int]] = (),
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        if sorted(axes) != list(range(len(axes))):
            raise UsageError(f"axes needs each axis once, from 0, got {list(axes)}")
        self.network = build_network(network, len(axes), input_channels, num_classes, **options)
        self.decoder = _Switch(deep_supervision)
        self._to_file = (0, 1, *(axis + 2 for axis in axes))
        self._back = tuple(int(axis) for axis in np.argsort(self._to_file))

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:  # noqa: D102
        logits = self.network(image.permute(self._to_file).contiguous()).permute(self._back)
        return [logits, logits] if self.decoder.deep_supervision else logits


class _Switch(nn.Module):
    """What nnU-Net's trainers turn on and off: `network.decoder.deep_supervision`."""

    def __init__(self, deep_supervision: bool) -> None:
        super().__init__()
        self.deep_supervision = deep_supervision


def full_resolution_twice(spatial_dims: int) -> list[list[int]]:
    """The `strides` of a plans file that make nnU-Net's default trainer train on logits alone.

    With deep supervision, nnU-Net makes a target for each stride but the last, and gives the last
    target no weight. Of these, the first target has all the weight, at full resolution.
    """
    return [[1] * spatial_dims, [1] * spatial_dims, [2] * spatial_dims]
