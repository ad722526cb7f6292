"""What thop 0.1.1 counts: the convention behind the paper's "Params (M)" and "GFLOPs" columns.

Both columns are what `thop.profile` returns for one whole training batch. It differs from
`count_network`, which counts every parameter once and every multiply-add of one image:

- It sees layers only, by a rule for each type: no parameter outside of a layer, no function, no
  GroupNorm, no matrix product of attention. A layer that is never called has no parameters either.
- It sees nothing inside `mamba_ssm.Mamba`, whose fast path hands the layers' weights to one fused
  function instead of calling the layers.
- A transposed convolution counts as if each voxel that comes out saw the whole kernel. Norms count,
  at 4 operations for each number (2 without weights); so do average pooling, softmax, and bilinear
  interpolation, at 11. Trilinear interpolation counts nothing.
- A layer counts once for each place in which the tree of modules holds it. Its hook is attached
  once for each place and so adds up each call that often; then the sum over the tree meets it that
  often again. With p places its parameters count p times, and its operations p x p times.

The places are those of the published networks. Where their trees hold a layer more often than ours,
a network says so in `published_places`.

Source: read from thop's behaviour, and checked against it in tests where it is installed.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lightm_unet.networks.peers.mamba import Mamba


@dataclass(frozen=True)
class ThopCount:
    """The two numbers that thop returns."""

    parameters: int
    """Of the layers that it sees, once for each place of the layer."""
    operations: int
    """Of the whole batch; a multiply-add counts as 1. The paper calls them FLOPs."""


def count_as_thop(
    network: nn.Module, image_size: Sequence[int], batch: int = 1, in_channels: int | None = None
) -> ThopCount:
    """Count a network as thop 0.1.1 does; nothing is computed, as in `count_network`.

    The logits of deep supervision are counted: the networks that have them published them so.

    Args:
        network: any module that takes `(batch, in_channels, *image_size)`; it is left as it is.
        image_size: spatial size.
        batch: images.
        in_channels: by default `network.in_channels`.

    Example:
        >>> count_as_thop(nn.Conv2d(3, 8, 3, padding=1), (4, 5), batch=2)
        ThopCount(parameters=224, operations=8640)
    """
    shadow = copy.deepcopy(network).to("meta").train()
    published_places = getattr(network, "published_places", lambda name: 1)
    places: Counter[nn.Module] = Counter()
    for name, layer in _visible_layers(shadow):
        places[layer] += published_places(name)

    operations: Counter[nn.Module] = Counter()

    def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        operations[layer] += RULES[type(layer)](layer, inputs[0], output)

    for layer in places:
        layer.register_forward_hook(add)
    in_channels = network.in_channels if in_channels is None else in_channels
    with torch.no_grad():
        shadow(torch.empty(batch, in_channels, *image_size, device="meta"))
    return ThopCount(
        parameters=sum(places[layer] * _size(layer) for layer in operations),
        operations=sum(places[layer] ** 2 * count for layer, count in operations.items()),
    )


def _visible_layers(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Every layer with a rule and its dotted name, once for each place that holds it."""
    if isinstance(module, Mamba):
        return
    if type(module) in RULES:  # thop asks for the type itself: a subclass is another layer
        yield name, module
    for child_name, child in module.named_children():
        yield from _visible_layers(child, f"{name}.{child_name}" if name else child_name)


def _size(layer: nn.Module) -> int:
    return sum(parameter.numel() for parameter in layer.parameters())


def _convolution(layer: nn.Module, x: Tensor, y: Tensor) -> int:
    return y.numel() * (layer.in_channels // layer.groups) * math.prod(layer.kernel_size)


def _linear(layer: nn.Linear, _: Tensor, y: Tensor) -> int:
    return y.numel() * layer.in_features


def _norm(layer: nn.Module, x: Tensor, _: Tensor) -> int:
    has_weights = getattr(layer, "affine", False) or getattr(layer, "elementwise_affine", False)
    return x.numel() * (4 if has_weights else 2)


def _average_pooling(_: nn.Module, __: Tensor, y: Tensor) -> int:
    return y.numel()


def _softmax(layer: nn.Softmax, x: Tensor, _: Tensor) -> int:
    """Of n numbers: n exponentials, n - 1 sums, n divisions."""
    count = x.shape[layer.dim]
    return x.numel() // count * (3 * count - 1)


def _interpolation(layer: nn.Upsample, _: Tensor, y: Tensor) -> int:
    return y.numel() * {"nearest": 1, "linear": 5, "bilinear": 11}.get(layer.mode, 0)


RULES: dict[type[nn.Module], Callable[[nn.Module, Tensor, Tensor], int]] = {
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.Conv3d: _convolution,
    nn.ConvTranspose2d: _convolution,
    nn.ConvTranspose3d: _convolution,
    nn.Linear: _linear,
    nn.LayerNorm: _norm,
    nn.InstanceNorm2d: _norm,
    nn.InstanceNorm3d: _norm,
    nn.BatchNorm2d: _norm,
    nn.BatchNorm3d: _norm,
    nn.AvgPool2d: _average_pooling,
    nn.AvgPool3d: _average_pooling,
    nn.Softmax: _softmax,
    nn.Upsample: _interpolation,
}
"""Operations of a layer from its input and output. Layers that count 0 and have no parameters
(ReLU, max-pooling, dropout) need no rule, nor do those that none of the networks has."""
