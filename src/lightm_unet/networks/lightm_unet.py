"""LightM-UNet as sections 2.1 to 2.4 of Liao et al. 2024 describe it (arXiv 2403.05246).

    stem          DWConv to `width` channels
    encoder       three blocks: RVM layers, the last of which doubles the channels; 2x max-pooling
    bottleneck    RVM layers
    decoder       three blocks: add the skip, DWConv beside a scaled residual, ReLU, halve the
                  channels, 2x interpolation
    head          add the stem's output, DWConv to the classes

Between the parts, features are tokens, `(batch, length, channels)` in raster order. An
interpolation is done by the part that follows it, so that the native form need not store its
result.

Skips come from the stem and from each encoder block.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lightm_unet.errors import UsageError
from lightm_unet.networks.base import SegmentationNetwork, is_count
from lightm_unet.networks.convolution import (
    CONVOLUTIONS,
    INTERPOLATIONS,
    NORMS,
    DWConv,
    as_factor_and_shift,
    keep_statistics,
    make_norm,
    norms_by_batch,
)
from lightm_unet.networks.native_form import Form
from lightm_unet.networks.rvm import RVMLayer
from lightm_unet.networks.scan_order import ORDERS, to_grid, to_tokens
from lightm_unet.ops.native_layers import (
    Stage,
    conv_stem,
    decoder_stage,
    norm_stem,
    runs_natively,
    stem,
    trains_natively,
)
from lightm_unet.ops.native_stages import mix_stage, norm_stage
from lightm_unet.system.choices import check_choice
from lightm_unet.system.extras import is_installed
from lightm_unet.system.hub import is_repository

LEAK = 0.01
"""Slope of the leaky ReLUs below zero."""


@dataclass(frozen=True)
class LightMUNetOptions:
    """The choices that the paper leaves open, and the sizes it fixes.

    The defaults are the network of the paper's text with 2,542,078 parameters (3D, 1 channel in,
    3 classes).
    """

    width: int = 32
    """Channels after the stem; doubled by each encoder block."""
    stem: str = "dwconv"
    """ "dwconv", as the text; "dwconv-bias", the same with biases; "conv", a full 3x3(x3)
    convolution with a bias; or "conv-norm", a full convolution and a DWConv, each with a norm and a
    leaky ReLU behind it. Of an image with one channel, DWConv without biases makes one filtered
    image times a vector, of which the first LayerNorm leaves the sign."""
    norm: str = "none"
    """Norm of each channel over the grid, in the decoder before its ReLU, and in the stem and head
    that have norms: "none", as the text; "batch" or "instance"."""
    head: str = "dwconv"
    """ "dwconv", as the text; or "dwconv-norm", a DWConv, the norm and a leaky ReLU, then a
    pointwise convolution to the classes."""
    encoder_layers: tuple[int, ...] = (1, 2, 2)
    """RVM layers in each encoder block."""
    bottleneck_layers: int = 4
    """RVM layers in the bottleneck."""
    bottleneck_width: int | None = None
    """Channels of the bottleneck; by default twice those of the last encoder block's input."""
    expand: float = 2
    """Inner channels of the VSS module, as a multiple of its channels (the paper's lambda)."""
    d_state: int = 16
    """States of each inner channel."""
    conv: str = "causal"
    """Before the scan: "causal", along the sequence, or "spatial", 3x3(x3) on the grid."""
    d_conv: int = 4
    """Width of the causal convolution."""
    directions: int = 1
    """Orders of the scan: 1 raster; 2 and reversed; 4 and both with the axes transposed."""
    checkpoint_layers: bool = False
    """In training, keep only the inputs of RVM layers and compute the rest again: less memory,
    about a third more time."""

    def __post_init__(self) -> None:
        """Refuse what no network can be built from."""
        for name in ("width", "bottleneck_layers", "d_state", "d_conv"):
            if not is_count(getattr(self, name)):
                raise UsageError(
                    f"{name} needs a positive whole number, got {getattr(self, name)!r}"
                )
        if self.bottleneck_width is not None and not is_count(self.bottleneck_width):
            raise UsageError(
                "bottleneck_width needs a positive whole number or none, "
                f"got {self.bottleneck_width!r}"
            )
        layers = self.encoder_layers
        if not isinstance(layers, tuple) or not layers or not all(map(is_count, layers)):
            raise UsageError(
                "encoder_layers needs a tuple of positive whole numbers, one for each encoder "
                f"block, got {layers!r}"
            )
        is_number = isinstance(self.expand, (int, float)) and math.isfinite(self.expand)
        if not is_number or round(self.expand * self.width) < 1:
            raise UsageError(
                f"expand needs a number that leaves inner channels, got {self.expand!r}"
            )
        check_choice("stem", self.stem, (*STEMS, "conv-norm"))
        check_choice("norm", self.norm, NORMS)
        check_choice("head", self.head, ("dwconv", "dwconv-norm"))
        for name, value in (("stem", self.stem), ("head", self.head)):
            if value.endswith("-norm") and self.norm == "none":
                raise UsageError(
                    f'{name} {value!r} needs a norm, "batch" or "instance"; got "none"'
                )
        check_choice("conv", self.conv, ("causal", "spatial"))
        check_choice("directions", self.directions, ORDERS)
        if not isinstance(self.checkpoint_layers, bool):
            raise UsageError(f"checkpoint_layers is true or false, got {self.checkpoint_layers!r}")


class LightMUNet(SegmentationNetwork):
    """LightM-UNet: an image in, one logit for each class and voxel out.

    Networks of other names than "lightm-unet" are made of other options.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes, background included.
        options: any field of `LightMUNetOptions`, by keyword.

    Shape: `(batch, in_channels, *spatial)` to logits `(batch, out_channels, *spatial)`, for any
    spatial size: the image is padded to a multiple of 8 (2 to the number of encoder blocks) by
    repeating its last row, and the logits are cropped back.

    Raises:
        UsageError: an option, or an input's shape, cannot be used.

    Example:
        >>> network = LightMUNet(spatial_dims=2, in_channels=1, out_channels=2)
        >>> sum(p.numel() for p in network.parameters())
        2533387
        >>> network(torch.zeros(1, 1, 30, 41)).shape
        torch.Size([1, 2, 30, 41])
    """

    stem: nn.Module
    head: nn.Module

    def __init__(
        self, spatial_dims: int, in_channels: int, out_channels: int, **options: Any
    ) -> None:
        unknown = sorted(set(options) - set(LightMUNetOptions.__dataclass_fields__))
        if unknown:
            raise UsageError(
                f"LightMUNet has no option {', '.join(unknown)}; "
                f"it has {', '.join(LightMUNetOptions.__dataclass_fields__)}"
            )
        if isinstance(options.get("encoder_layers"), list):  # as JSON stores it
            options["encoder_layers"] = tuple(options["encoder_layers"])
        chosen = LightMUNetOptions(**options)
        blocks = len(chosen.encoder_layers)
        super().__init__(
            "lightm-unet",
            spatial_dims,
            in_channels,
            out_channels,
            multiple=2**blocks,
            two_at_lowest=chosen.norm != "none",
            options=asdict(chosen),
        )
        layer_options = {
            name: getattr(chosen, name)
            for name in ("expand", "d_state", "conv", "d_conv", "directions")
        }

        def rvm_layers(first: int, last: int, count: int) -> RVMLayers:
            widths = [first] * count + [last]
            return RVMLayers(
                (
                    RVMLayer(spatial_dims, widths[i], widths[i + 1], **layer_options)
                    for i in range(count)
                ),
                chosen.checkpoint_layers,
            )

        widths = [chosen.width * 2**level for level in range(blocks + 1)]
        widths[-1] = chosen.bottleneck_width or widths[-1]
        if chosen.stem == "conv-norm":
            self.stem = ConvNormStem(spatial_dims, in_channels, chosen.width, chosen.norm)
        else:
            self.stem = STEMS[chosen.stem](spatial_dims, in_channels, chosen.width)
        self.encoder = nn.ModuleList(
            rvm_layers(widths[level], widths[level + 1], count)
            for level, count in enumerate(chosen.encoder_layers)
        )
        self.bottleneck = rvm_layers(widths[-1], widths[-1], chosen.bottleneck_layers)
        self.decoder = nn.ModuleList(
            DecoderBlock(spatial_dims, widths[level], widths[level - 1], chosen.norm)
            for level in range(blocks, 0, -1)
        )
        if chosen.head == "dwconv-norm":
            self.head = NormHead(spatial_dims, chosen.width, out_channels, chosen.norm)
        else:
            self.head = Head(spatial_dims, chosen.width, out_channels)

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> LightMUNet:
        """A trained network: of a model folder, a training run, a model of the package, or the Hub.

        Only the network, in evaluation mode and on the CPU: it takes preprocessed images.
        `lightm_unet.load_model` gives it with its preprocessing, and segments images.

        Args:
            folder: what `load_model` takes; or, where no such folder is and huggingface_hub is
                installed, OWNER/NAME on the Hugging Face Hub.

        Raises:
            UsageError: no model is there, or one of another network.
            DataError: the folder is damaged.
        """
        import lightm_unet  # model folders lie in a room above: asked for by its public name

        text = os.fspath(folder)
        if not os.path.exists(text) and is_repository(text) and is_installed("huggingface-hub"):
            folder = f"hf://{text}"
        network = lightm_unet.load_model(folder).network
        if not isinstance(network, cls):
            raise UsageError(
                f"{folder}: the network is {getattr(network, 'name', 'another')}, no LightM-UNet; "
                "use lightm_unet.load_model"
            )
        return network

    def compute(self, image: Tensor) -> Tensor:  # noqa: D102
        grid = tuple(image.shape[2:])
        tokens = self.stem(image)
        skips = [(tokens, grid)]
        for layers in self.encoder:
            tokens = layers(tokens, grid, pool=True)
            grid = tuple(size // 2 for size in grid)
            skips.append((tokens, grid))
        tokens = self.bottleneck(tokens, grid)
        for block in self.decoder:
            tokens = block(tokens, *skips.pop())
        return self.head(tokens, *skips.pop())


class Stem(DWConv):
    """DWConv of the image: grid in, tokens out."""

    def __init__(self, spatial_dims: int, in_channels: int, width: int, bias: bool = False) -> None:
        super().__init__(spatial_dims, in_channels, width, bias)
        self._form = Form(self)

    def forward(self, image: Tensor) -> Tensor:
        """`(batch, in_channels, *grid)` to `(batch, length, width)`."""
        tensors = self._form.tensors(self)
        trains = tensors is not None and _stem_trains_natively(image, tensors)
        if tensors is None or not (trains or runs_natively(image, *tensors.values())):
            return to_tokens(super().forward(image))
        depthwise = tensors["depthwise.weight"].flatten(1)
        pointwise = tensors["pointwise.weight"].flatten(1)
        first_bias, second_bias = tensors.get("depthwise.bias"), tensors.get("pointwise.bias")
        if trains:
            return _filter_and_mix(image, depthwise, pointwise, first_bias, second_bias)
        if first_bias is None or second_bias is None:  # then there is neither
            return stem(image, depthwise, pointwise)
        # The image is padded once, before the first, so that both are one full convolution.
        weight = (pointwise[:, :, None] * depthwise).flatten(1)
        return conv_stem(image, weight, pointwise @ first_bias + second_bias)


def _filter_and_mix(
    image: Tensor,
    depthwise: Tensor,
    pointwise: Tensor,
    depthwise_bias: Tensor | None,
    pointwise_bias: Tensor | None,
) -> Tensor:
    """The stem with its gradients, in two steps.

    One full convolution would round each of a token's numbers by itself. Of an image with one
    channel, all are multiples of one filtered number, of which the first LayerNorm leaves the sign:
    for a number near 0 that rounding would be much of what is left.
    """
    channels = depthwise.shape[0]
    # Named in full: a program may have set another default type or device.
    own = torch.eye(channels, dtype=depthwise.dtype, device=depthwise.device)
    of_own_channel = own[:, :, None] * depthwise
    if depthwise_bias is None:
        depthwise_bias = depthwise.new_zeros(channels)
    filtered = conv_stem(image, of_own_channel.flatten(1), depthwise_bias)
    mixture = Stage(depthwise, pointwise, last=pointwise, last_bias=pointwise_bias, slope=1)
    return norm_stage(filtered, mixture)[0]


class ConvStem(nn.Module):
    """A full convolution of the image: grid in, tokens out."""

    def __init__(self, spatial_dims: int, in_channels: int, width: int) -> None:
        super().__init__()
        self.conv = CONVOLUTIONS[spatial_dims](in_channels, width, 3, padding=1)
        self._form = Form(self)

    def forward(self, image: Tensor) -> Tensor:
        """`(batch, in_channels, *grid)` to `(batch, length, width)`."""
        tensors = self._form.tensors(self)
        if tensors is None or not (
            runs_natively(image, *tensors.values()) or _stem_trains_natively(image, tensors)
        ):
            return to_tokens(self.conv(image))
        return conv_stem(image, tensors["conv.weight"].flatten(1), tensors["conv.bias"])


class ConvNormStem(nn.Module):
    """A full convolution and a DWConv of the image, each normalised: grid in, tokens out."""

    def __init__(self, spatial_dims: int, in_channels: int, width: int, norm: str) -> None:
        super().__init__()
        self.conv = CONVOLUTIONS[spatial_dims](in_channels, width, 3, padding=1, bias=False)
        self.conv_norm = make_norm(norm, spatial_dims, width)
        self.dwconv = DWConv(spatial_dims, width, width)
        self.dwconv_norm = make_norm(norm, spatial_dims, width)
        self._form = Form(self)

    def forward(self, image: Tensor) -> Tensor:
        """`(batch, in_channels, *grid)` to `(batch, length, width)`."""
        by_batch = norms_by_batch(self.conv_norm)
        tensors = self._form.tensors(self, by_batch)
        if tensors is not None:
            if _stem_trains_natively(image, tensors) and _can_norm(by_batch, image[:, 0]):
                return self._train(image, tensors, by_batch)
            if not by_batch and runs_natively(image, *tensors.values()):
                return norm_stem(image, *self._native(tensors, by_batch))
        x = F.leaky_relu(self.conv_norm(self.conv(image)), LEAK)
        return to_tokens(F.leaky_relu(self.dwconv_norm(self.dwconv(x)), LEAK))

    def _native(self, tensors: dict[str, Tensor], by_batch: bool) -> tuple[Tensor, Tensor, Stage]:
        """The convolution's weight and bias, and the stage behind it."""
        weight = tensors["conv.weight"].flatten(1)
        pointwise = tensors["dwconv.pointwise.weight"].flatten(1)
        bias, pointwise_bias = weight.new_zeros(weight.shape[0]), None
        if not by_batch:
            factor, bias = as_factor_and_shift(self.conv_norm)
            weight = factor[:, None] * weight
            factor, pointwise_bias = as_factor_and_shift(self.dwconv_norm)
            pointwise = factor[:, None] * pointwise
        depthwise = tensors["dwconv.depthwise.weight"].flatten(1)
        return weight, bias, Stage(depthwise, pointwise, pointwise_bias=pointwise_bias, slope=LEAK)

    def _train(self, image: Tensor, tensors: dict[str, Tensor], by_batch: bool) -> Tensor:
        weight, bias, stage = self._native(tensors, by_batch)
        x = conv_stem(image, weight, bias)
        x = _train_norm(x, stage, self.conv_norm if by_batch else None)
        x = mix_stage(None, x, list(image.shape[2:]), stage)
        return _train_norm(x, stage, self.dwconv_norm if by_batch else None)


STEMS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "dwconv": Stem,
    "dwconv-bias": partial(Stem, bias=True),
    "conv": ConvStem,
}
"""Stems without a norm."""


class RVMLayers(nn.ModuleList):
    """RVM layers one after the other."""

    def __init__(self, layers, checkpoint_layers: bool) -> None:
        super().__init__(layers)
        self.checkpoint_layers = checkpoint_layers

    def forward(self, tokens: Tensor, grid: Sequence[int], pool: bool = False) -> Tensor:
        """`(batch, length, channels)` on a grid; the last layer may change channels and pool."""
        for i, layer in enumerate(self):
            pool_here = pool and i == len(self) - 1
            if self.checkpoint_layers and self.training and torch.is_grad_enabled():
                tokens = checkpoint(layer, tokens, grid, pool_here, use_reentrant=False)
            else:
                tokens = layer(tokens, grid, pool_here)
        return tokens


class DecoderBlock(nn.Module):
    """Equation 4, then half the channels; the next part doubles the resolution.

    P = upsample(in) + skip,    out = halve(ReLU(norm(DWConv(P) + s' * P)))

    The norm is not in equation 4; see `LightMUNetOptions.norm`.
    """

    def __init__(
        self, spatial_dims: int, in_channels: int, out_channels: int, norm: str = "none"
    ) -> None:
        super().__init__()
        self.dwconv = DWConv(spatial_dims, in_channels, in_channels)
        self.scale = nn.Parameter(torch.ones(in_channels, *[1] * spatial_dims))  # s'
        self.norm = make_norm(norm, spatial_dims, in_channels)
        self.halve = CONVOLUTIONS[spatial_dims](in_channels, out_channels, 1, bias=False)
        self._form = Form(self)

    def forward(self, low: Tensor, skip: Tensor, grid: Sequence[int]) -> Tensor:
        """Add, filter and halve.

        Args:
            low: `(batch, low_length, in_channels)`, on the same grid or one of half the size.
            skip: `(batch, length, in_channels)`.
            grid: spatial sizes of the skip.

        Returns:
            `(batch, length, out_channels)`.
        """
        tokens = _natively(self, low, skip, grid)
        if tokens is not None:
            return tokens
        x = _add_skip(low, skip, grid)
        x = torch.addcmul(self.dwconv(x), self.scale, x)
        return to_tokens(self.halve(F.relu(self.norm(x))))

    def _native(self, tensors: dict[str, Tensor], by_batch: bool) -> Stage:
        """As a native stage, of which a norm by running statistics is a part."""
        pointwise = tensors["dwconv.pointwise.weight"].flatten(1)
        scale, shift = tensors["scale"].flatten(), None
        if not by_batch and not isinstance(self.norm, nn.Identity):
            factor, shift = as_factor_and_shift(self.norm)
            pointwise, scale = factor[:, None] * pointwise, factor * scale
        return Stage(
            tensors["dwconv.depthwise.weight"].flatten(1),
            pointwise,
            pointwise_bias=shift,
            scale=scale,
            last=tensors["halve.weight"].flatten(1),
            slope=0,
        )


class Head(DWConv):
    """DWConv of the upsampled decoder's output plus the stem's: tokens in, logits out."""

    def __init__(self, spatial_dims: int, channels: int, out_channels: int) -> None:
        super().__init__(spatial_dims, channels, out_channels, bias=True)
        self._form = Form(self)

    # A DWConv for its parameters' names; it is never called as one.
    def forward(  # type: ignore[override]
        self, low: Tensor, skip: Tensor, grid: Sequence[int]
    ) -> Tensor:
        """As `DecoderBlock.forward`, to `(batch, out_channels, *grid)`."""
        tensors = self._form.tensors(self)
        trains = tensors is not None and trains_natively(low, skip, *tensors.values())
        if tensors is None or not (trains or runs_natively(low, skip, *tensors.values())):
            return super().forward(_add_skip(low, skip, grid))
        stage = Stage(
            tensors["depthwise.weight"].flatten(1),
            tensors["pointwise.weight"].flatten(1),
            depthwise_bias=tensors["depthwise.bias"],
            pointwise_bias=tensors["pointwise.bias"],
        )
        run = mix_stage if trains else decoder_stage
        return to_grid(run(low, skip, list(grid), stage), grid)


class NormHead(nn.Module):
    """A head with a norm: DWConv, norm, leaky ReLU, and a pointwise convolution to the logits."""

    def __init__(self, spatial_dims: int, channels: int, out_channels: int, norm: str) -> None:
        super().__init__()
        self.dwconv = DWConv(spatial_dims, channels, channels)
        self.norm = make_norm(norm, spatial_dims, channels)
        self.pointwise = CONVOLUTIONS[spatial_dims](channels, out_channels, 1)
        self._form = Form(self)

    def forward(self, low: Tensor, skip: Tensor, grid: Sequence[int]) -> Tensor:
        """As `DecoderBlock.forward`, to `(batch, out_channels, *grid)`."""
        tokens = _natively(self, low, skip, grid)
        if tokens is not None:
            return to_grid(tokens, grid)
        x = self.norm(self.dwconv(_add_skip(low, skip, grid)))
        return self.pointwise(F.leaky_relu(x, LEAK))

    def _native(self, tensors: dict[str, Tensor], by_batch: bool) -> Stage:
        """As a native stage, of which a norm by running statistics is a part."""
        pointwise, shift = tensors["dwconv.pointwise.weight"].flatten(1), None
        if not by_batch:
            factor, shift = as_factor_and_shift(self.norm)
            pointwise = factor[:, None] * pointwise
        return Stage(
            tensors["dwconv.depthwise.weight"].flatten(1),
            pointwise,
            pointwise_bias=shift,
            last=tensors["pointwise.weight"].flatten(1),
            last_bias=tensors["pointwise.bias"],
            slope=LEAK,
        )


def _stem_trains_natively(image: Tensor, tensors: dict[str, Tensor]) -> bool:
    """Whether it does with these weights; there is no gradient for the image itself."""
    return not image.requires_grad and trains_natively(image, *tensors.values())


def _can_norm(by_batch: bool, channel: Tensor) -> bool:
    """Whether a norm by the batch has two numbers of a channel at least; torch refuses one."""
    return not by_batch or channel.numel() > 1


def _train_norm(x: Tensor, stage: Stage, norm: nn.Module | None) -> Tensor:
    """A native stage from its norm on, `norm` being one by the batch or none."""
    if norm is None:
        return norm_stage(x, stage)[0]
    assert isinstance(norm, (nn.BatchNorm2d, nn.BatchNorm3d))
    out, moments = norm_stage(x, stage, norm.weight, norm.bias, norm.eps)
    keep_statistics(norm, *moments, x.shape[0] * x.shape[1])
    return out


def _natively(
    part: DecoderBlock | NormHead, low: Tensor, skip: Tensor, grid: Sequence[int]
) -> Tensor | None:
    """What a part with one norm gives natively; None where its modules must be called."""
    by_batch = norms_by_batch(part.norm)
    tensors = part._form.tensors(part, by_batch)
    if tensors is None:
        return None
    if trains_natively(low, skip, *tensors.values()) and _can_norm(by_batch, skip[..., 0]):
        stage = part._native(tensors, by_batch)
        mixed = mix_stage(low, skip, list(grid), stage)
        return _train_norm(mixed, stage, part.norm if by_batch else None)
    if not by_batch and runs_natively(low, skip, *tensors.values()):
        return decoder_stage(low, skip, list(grid), part._native(tensors, by_batch))
    return None


def _add_skip(low: Tensor, skip: Tensor, grid: Sequence[int]) -> Tensor:
    """Both as a grid, the low one interpolated to the skip's resolution, and added."""
    if low.shape[1] == skip.shape[1]:
        return to_grid(low, grid) + to_grid(skip, grid)
    low = to_grid(low, [size // 2 for size in grid])
    mode = INTERPOLATIONS[len(grid)]
    low = F.interpolate(low, scale_factor=2, mode=mode, align_corners=False)
    return low + to_grid(skip, grid)
