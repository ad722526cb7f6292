"""Whole layers as native ops, for inference.

The networks compose these layers of torch's modules; that is their definition. Where no gradient is
needed, the native form does the same in one pass, a few rows at a time: it reads its inputs once,
writes its output once, and needs no large buffers in between. How they train natively is in
`native_training.py` and `native_stages.py`.

The ops are defined by torch's plain Library: the first call of a `custom_op` imports torch's
compiler, which takes a second and 80 MB.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext
from torch.utils.flop_counter import register_flop_formula

from lightm_unet.errors import UsageError
from lightm_unet.ops.dispatch import ENVIRONMENT_VARIABLE, choose_backend, native
from lightm_unet.ops.memory import empty
from lightm_unet.ops.native_call import call
from lightm_unet.ops.selective_scan import scan_flops

RVM_WEIGHTS: tuple[str, ...] = () if native is None else native.RVM_WEIGHTS
"""Names of an RVM layer's weights in the order that the op takes them; csrc/ops/rvm_weights.h lists
them with their shapes."""


def runs_natively(*tensors: Tensor | None) -> bool:
    """Whether a native layer gives what the composed one would, for these tensors, here and now.

    It needs the "cpu" backend, plain float32 tensors that are not empty, no autocast, and nobody
    who waits for a gradient. Who looks at or changes single operations (compilers, tracers, torch's
    function transforms, forward-mode differentiation, modes) gets those of the composed layer.
    """
    return _are_plain(tensors) and not _wait_for_gradients(tensors)


def trains_natively(*tensors: Tensor | None) -> bool:
    """Whether a native layer gives the composed one's result and gradients, here and now.

    It needs the same as `runs_natively`, but that someone waits for a gradient.
    """
    return _are_plain(tensors) and _wait_for_gradients(tensors)


def _are_plain(tensors: tuple[Tensor | None, ...]) -> bool:
    if native is None or _operations_are_watched() or torch.is_autocast_enabled("cpu"):
        return False
    for t in tensors:
        if t is not None and (
            type(t) not in _PLAIN
            or t.dtype is not torch.float32
            or t.device.type != "cpu"
            or t.layout is not torch.strided
            or t.numel() == 0
        ):
            return False
    return choose_backend(None, torch.device("cpu"), torch.float32) == "cpu"


def _wait_for_gradients(tensors: tuple[Tensor | None, ...]) -> bool:
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


_PLAIN = (Tensor, torch.nn.Parameter)
"""Types whose operations are torch's own; a subclass may define others."""


def _operations_are_watched() -> bool:
    return (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or torch._C._functorch.peek_interpreter_stack() is not None
        or forward_ad._current_level >= 0
        or torch._C._len_torch_dispatch_stack() > 0
        or (
            torch._C._len_torch_function_stack() > 0
            # A default device is no one who watches.
            and any(type(mode) is not DeviceContext for mode in _get_current_function_mode_stack())
        )
    )


_library = torch.library.Library("lightm_unet", "FRAGMENT")
_library.define(
    "rvm_layer(Tensor tokens, Tensor[] weights, float epsilon, SymInt[] pool_grid) -> Tensor"
)
_library.define(
    "decoder_stage(Tensor low, Tensor skip, SymInt[] grid, Tensor depthwise, "
    "Tensor? depthwise_bias, Tensor pointwise, Tensor? pointwise_bias, Tensor? scale, "
    "Tensor? last, Tensor? last_bias, float slope) -> Tensor"
)
_library.define("stem(Tensor image, Tensor depthwise, Tensor pointwise) -> Tensor")
_library.define("conv_stem(Tensor image, Tensor weight, Tensor bias) -> Tensor")
_library.define(
    "norm_stem(Tensor image, Tensor conv, Tensor conv_bias, Tensor depthwise, Tensor pointwise, "
    "Tensor pointwise_bias, float slope) -> Tensor"
)


def rvm_layer(
    tokens: Tensor, weights: Mapping[str, Tensor], epsilon: float, pool_grid: Sequence[int]
) -> Tensor:
    """Run an RVM layer, and the 2x max-pooling behind it; ask `runs_natively` first.

    Args:
        tokens: `(batch, length, channels)`, in raster order.
        weights: by the names in `RVM_WEIGHTS`.
        epsilon: of the three LayerNorms.
        pool_grid: the spatial sizes of the tokens, even, to pool the result; empty for no pooling.

    Returns:
        `(batch, length, out_channels)`; pooled, 4 (2D) or 8 (3D) times shorter.
    """
    in_order = [weights[name] for name in RVM_WEIGHTS]
    return torch.ops.lightm_unet.rvm_layer(tokens, in_order, epsilon, pool_grid)


@torch.library.impl(_library, "rvm_layer", "CPU")
def _(tokens, weights, epsilon, pool_grid):
    out = empty(_rvm_shape(tokens, weights, pool_grid))
    call(
        native.rvm_layer,
        tokens.contiguous(),
        [t.contiguous() for t in weights],
        epsilon,
        list(pool_grid),
        out,
        None,
    )
    return out


def _rvm_shape(tokens: Tensor, weights: list[Tensor], pool_grid: Sequence[int]) -> tuple[int, ...]:
    batch, length, _ = tokens.shape
    fewer = 2 ** len(pool_grid)
    return batch, length // fewer, weights[RVM_WEIGHTS.index("projection_weight")].shape[0]


@torch.library.register_fake("lightm_unet::rvm_layer", lib=_library)
def _(tokens, weights, epsilon, pool_grid):
    return tokens.new_empty(_rvm_shape(tokens, weights, pool_grid))


@register_flop_formula(torch.ops.lightm_unet.rvm_layer)
def _(tokens_shape, weights_shapes, *_, **__) -> int:
    batch, length, _ = tokens_shape
    shapes = dict(zip(RVM_WEIGHTS, weights_shapes, strict=True))
    products = ("in_proj", "conv_weight", "x_proj", "dt_weight", "out_proj", "projection_weight")
    macs = sum(shapes[name][0] * shapes[name][1] for name in products)
    return 2 * batch * length * macs + scan_flops(batch, length, *shapes["A_log"])


class Stage(NamedTuple):
    """What follows the sum in a stage of the decoder; csrc/ops/grid_stage.h has the formula."""

    depthwise: Tensor
    """`(channels, 3 ** dims)`."""
    pointwise: Tensor
    """`(channels, channels)`; without `last`, `(out_channels, channels)`."""
    depthwise_bias: Tensor | None = None
    """`(channels,)`."""
    pointwise_bias: Tensor | None = None
    """As many as `pointwise` has outputs."""
    scale: Tensor | None = None
    """`(channels,)`, s' of equation 4; where `pointwise` has as many outputs."""
    last: Tensor | None = None
    """`(out_channels, channels)`."""
    last_bias: Tensor | None = None
    """`(out_channels,)`."""
    slope: float = 1
    """Of the activation behind the pointwise product, for what is below zero."""


def decoder_stage(low: Tensor, skip: Tensor, grid: Sequence[int], stage: Stage) -> Tensor:
    """Run a decoder block or a head; ask `runs_natively` first.

    Args:
        low: tokens of the stage before, `(batch, low_length, channels)`; on the same grid, or on
            one of half the size, and then doubled by linear interpolation.
        skip: `(batch, length, channels)`, added to it.
        grid: spatial sizes of `skip`.
        stage: what happens to the sum.

    Returns:
        `(batch, length, out_channels)`.
    """
    return torch.ops.lightm_unet.decoder_stage(
        low,
        skip,
        grid,
        stage.depthwise,
        stage.depthwise_bias,
        stage.pointwise,
        stage.pointwise_bias,
        stage.scale,
        stage.last,
        stage.last_bias,
        stage.slope,
    )


@torch.library.impl(_library, "decoder_stage", "CPU")
def _(low, skip, grid, *weights_and_slope):
    *weights, slope = weights_and_slope
    out = empty(_stage_shape(skip, *weights))
    call(
        native.decoder_stage,
        low.contiguous(),
        skip.contiguous(),
        list(grid),
        1 if low.shape[1] == skip.shape[1] else 2,
        *(None if t is None else t.contiguous() for t in weights),
        slope,
        out,
    )
    return out


def _stage_shape(
    skip, depthwise, depthwise_bias, pointwise, pointwise_bias, scale, last, last_bias
):  # fmt: skip
    return (*skip.shape[:2], (pointwise if last is None else last).shape[0])


@torch.library.register_fake("lightm_unet::decoder_stage", lib=_library)
def _(low, skip, grid, *weights_and_slope):
    return skip.new_empty(_stage_shape(skip, *weights_and_slope[:-1]))


@register_flop_formula(torch.ops.lightm_unet.decoder_stage)
def _(low_shape, skip_shape, grid, *shapes, **__) -> int:
    depthwise, _, pointwise, _, _, last, *_ = shapes
    macs = sum(math.prod(shape) for shape in (depthwise, pointwise, last) if shape is not None)
    return 2 * skip_shape[0] * skip_shape[1] * macs


def stem(image: Tensor, depthwise: Tensor, pointwise: Tensor) -> Tensor:
    """Filter each channel of an image and mix them to tokens; ask `runs_natively` first.

    Args:
        image: `(batch, channels, *grid)`, the grid of 2 or 3 dimensions.
        depthwise: `(channels, 3 ** dims)`.
        pointwise: `(out_channels, channels)`.

    Returns:
        `(batch, length, out_channels)`, in raster order.
    """
    return torch.ops.lightm_unet.stem(image, depthwise, pointwise)


@torch.library.impl(_library, "stem", "CPU")
def _(image, depthwise, pointwise):
    out = empty(_stem_shape(image, pointwise))
    call(
        native.stem,
        image.contiguous(),
        depthwise.contiguous(),
        pointwise.contiguous(),
        out,
    )
    return out


def _stem_shape(image: Tensor, pointwise: Tensor) -> tuple[int, ...]:
    return image.shape[0], math.prod(image.shape[2:]), pointwise.shape[0]


@torch.library.register_fake("lightm_unet::stem", lib=_library)
def _(image, depthwise, pointwise):
    return image.new_empty(_stem_shape(image, pointwise))


@register_flop_formula(torch.ops.lightm_unet.stem)
def _(image_shape, depthwise_shape, pointwise_shape, *_, **__) -> int:
    batch, _, *grid = image_shape
    macs = math.prod(depthwise_shape) + math.prod(pointwise_shape)
    return 2 * batch * math.prod(grid) * macs


def conv_stem(image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve an image to tokens; ask `runs_natively` first.

    Args:
        image: `(batch, channels, *grid)`, the grid of 2 or 3 dimensions.
        weight: `(out_channels, channels * 3 ** dims)`.
        bias: `(out_channels,)`.

    Returns:
        `(batch, length, out_channels)`, in raster order.
    """
    return torch.ops.lightm_unet.conv_stem(image, weight, bias)


@torch.library.impl(_library, "conv_stem", "CPU")
def _(image, weight, bias):
    out = empty(_stem_shape(image, weight))
    call(native.conv_stem, image.contiguous(), weight.contiguous(), bias.contiguous(), out)
    return out


@torch.library.register_fake("lightm_unet::conv_stem", lib=_library)
def _(image, weight, bias):
    return image.new_empty(_stem_shape(image, weight))


@register_flop_formula(torch.ops.lightm_unet.conv_stem)
def _(image_shape, weight_shape, *_, **__) -> int:
    batch, _, *grid = image_shape
    return 2 * batch * math.prod(grid) * math.prod(weight_shape)


def norm_stem(image: Tensor, conv: Tensor, conv_bias: Tensor, stage: Stage) -> Tensor:
    """Convolve an image, then filter and mix it; a leaky ReLU of the same slope behind both.

    Ask `runs_natively` first. Norms are part of weights and biases.

    Args:
        image: `(batch, channels, *grid)`, the grid of 2 or 3 dimensions.
        conv: `(out_channels, channels * 3 ** dims)`.
        conv_bias: `(out_channels,)`.
        stage: with a pointwise bias, and without another bias, scale and `last`.

    Returns:
        `(batch, length, out_channels)`, in raster order.
    """
    return torch.ops.lightm_unet.norm_stem(
        image, conv, conv_bias, stage.depthwise, stage.pointwise, stage.pointwise_bias, stage.slope
    )


@torch.library.impl(_library, "norm_stem", "CPU")
def _(image, *weights_and_slope):
    *weights, slope = weights_and_slope
    out = empty(_stem_shape(image, weights[0]))
    call(native.norm_stem, image.contiguous(), *(t.contiguous() for t in weights), slope, out)
    return out


@torch.library.register_fake("lightm_unet::norm_stem", lib=_library)
def _(image, conv, *_):
    return image.new_empty(_stem_shape(image, conv))


@register_flop_formula(torch.ops.lightm_unet.norm_stem)
def _(image_shape, conv_shape, _, depthwise_shape, pointwise_shape, *__, **___) -> int:
    batch, _, *grid = image_shape
    macs = sum(math.prod(shape) for shape in (conv_shape, depthwise_shape, pointwise_shape))
    return 2 * batch * math.prod(grid) * macs


def refuse_second_derivative(ctx, *_) -> NoReturn:
    """The backward pass of a backward pass.

    Raises:
        UsageError: always; says what gives second derivatives.
    """
    raise UsageError(
        "the native layers have no second derivatives (create_graph=True and a second backward "
        f"pass); set {ENVIRONMENT_VARIABLE}=torch to compose these layers of torch's own operations"
    )
