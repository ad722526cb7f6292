"""Stages on a grid that train natively: the stem, the decoder's blocks, the head.

    mix_stage     P = upsample(low) + skip,   pointwise(depthwise(P)) + scale * P
    norm_stage    last(leaky(norm(x))), the norm by the batch's own statistics, or none
    conv_stem     a full convolution of the image; `native_layers` has its forward pass

The networks compose all this of torch's modules as well; that is the definition. Here tokens stay
tokens, nothing is copied to another layout, and the backward passes keep the inputs of a stage only
and compute the rest again, a few rows at a time. csrc/ops/mix_stage.h and norm_stage.h have the
formulas.

Ask `native_layers.trains_natively` first. Second derivatives are refused: the kernels have none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from lightm_unet.errors import UsageError
from lightm_unet.ops.dispatch import ENVIRONMENT_VARIABLE, native
from lightm_unet.ops.memory import empty, empty_like
from lightm_unet.ops.native_call import call
from lightm_unet.ops.native_layers import Stage, refuse_second_derivative

_library = torch.library.Library("lightm_unet", "FRAGMENT")
_library.define(
    "mix_stage(Tensor? low, Tensor skip, SymInt[] grid, Tensor depthwise, Tensor? depthwise_bias, "
    "Tensor pointwise, Tensor? pointwise_bias, Tensor? scale) -> Tensor"
)
_library.define(
    "mix_stage_backward(Tensor grad, Tensor? low, Tensor skip, SymInt[] grid, Tensor depthwise, "
    "Tensor? depthwise_bias, Tensor pointwise, Tensor? pointwise_bias, Tensor? scale, "
    "bool inputs, bool weights) -> Tensor[]"
)
_library.define(
    "norm_stage(Tensor x, Tensor? weight, Tensor? bias, float epsilon, Tensor? last, "
    "Tensor? last_bias, float slope) -> (Tensor, Tensor, Tensor)"
)
_library.define(
    "norm_stage_backward(Tensor grad, Tensor x, Tensor mean, Tensor variance, Tensor? weight, "
    "Tensor? bias, float epsilon, Tensor? last, Tensor? last_bias, float slope, bool inputs, "
    "bool weights) -> Tensor[]"
)
_library.define("conv_stem_backward(Tensor grad, Tensor image, Tensor weight) -> (Tensor, Tensor)")


def mix_stage(low: Tensor | None, skip: Tensor, grid: Sequence[int], stage: Stage) -> Tensor:
    """Add the skip, filter each channel and mix them: a stage up to its norm.

    Args:
        low: tokens of the stage before, `(batch, low_length, channels)`; on the same grid, or on
            one of half the size, and then doubled by linear interpolation. None: the skip alone.
        skip: `(batch, length, channels)`.
        grid: spatial sizes of `skip`.
        stage: of which the filter, the mixture, their biases and the scale are read.

    Returns:
        `(batch, length, outputs of the mixture)`. Differentiable once in every tensor.
    """
    return torch.ops.lightm_unet.mix_stage(
        low,
        skip,
        grid,
        stage.depthwise,
        stage.depthwise_bias,
        stage.pointwise,
        stage.pointwise_bias,
        stage.scale,
    )


def _factor(low: Tensor | None, skip: Tensor) -> int:
    return 1 if low is None or low.shape[1] == skip.shape[1] else 2


def _contiguous(*tensors: Tensor | None) -> list[Tensor | None]:
    return [None if t is None else t.contiguous() for t in tensors]


@torch.library.impl(_library, "mix_stage", "CPU")
def _(low, skip, grid, *weights):
    out = empty(_mix_shape(skip, weights[2]))
    call(
        native.decoder_stage,
        *_contiguous(low, skip),
        list(grid),
        _factor(low, skip),
        *_contiguous(*weights),
        None,
        None,
        1.0,
        out,
    )
    return out


def _mix_shape(skip: Tensor, pointwise: Tensor) -> tuple[int, ...]:
    return (*skip.shape[:2], pointwise.shape[0])


@torch.library.register_fake("lightm_unet::mix_stage", lib=_library)
def _(low, skip, grid, depthwise, depthwise_bias, pointwise, pointwise_bias, scale):
    return skip.new_empty(_mix_shape(skip, pointwise))


@torch.library.impl(_library, "mix_stage_backward", "CPU")
def _(
    grad, low, skip, grid, depthwise, depthwise_bias, pointwise, pointwise_bias, scale,
    inputs, weights,
):  # fmt: skip
    factor = _factor(low, skip)
    of_inputs = [low if factor == 2 else None, skip]
    of_weights = [depthwise, depthwise_bias, pointwise, pointwise_bias, scale]
    gradients = [
        empty_like(t) if wanted and t is not None else None
        for group, wanted in ((of_inputs, inputs), (of_weights, weights))
        for t in group
    ]
    call(
        native.mix_stage_backward,
        *_contiguous(grad, low, skip),
        list(grid),
        factor,
        *_contiguous(depthwise, depthwise_bias, pointwise, scale),
        *gradients,
    )
    return [g for g in gradients if g is not None]


@torch.library.register_fake("lightm_unet::mix_stage_backward", lib=_library)
def _(
    grad, low, skip, grid, depthwise, depthwise_bias, pointwise, pointwise_bias, scale,
    inputs, weights,
):  # fmt: skip
    of_inputs = (low if _factor(low, skip) == 2 else None, skip)
    of_weights = (depthwise, depthwise_bias, pointwise, pointwise_bias, scale)
    return [
        t.new_empty(t.shape)
        for t in (*(of_inputs if inputs else ()), *(of_weights if weights else ()))
        if t is not None
    ]


def _mix_setup(ctx, inputs, output) -> None:
    low, skip, ctx.grid, *weights = inputs
    ctx.save_for_backward(low, skip, *weights)


def _mix_backward(ctx, grad):
    low, skip, *weights = ctx.saved_tensors
    need_low, need_skip, _, *need_weights = ctx.needs_input_grad
    inputs = need_low or need_skip
    found = iter(
        torch.ops.lightm_unet.mix_stage_backward(
            grad, low, skip, ctx.grid, *weights, inputs, any(need_weights)
        )
    )
    grad_low = next(found) if inputs and _factor(low, skip) == 2 else None
    grad_skip = next(found) if inputs else None
    if low is not None and grad_low is None:
        grad_low = grad_skip
    grad_weights = (next(found) if t is not None and any(need_weights) else None for t in weights)
    return grad_low, grad_skip, None, *grad_weights


@register_flop_formula(torch.ops.lightm_unet.mix_stage)
def _(low_shape, skip_shape, grid, depthwise_shape, _, pointwise_shape, *__, **___) -> int:
    macs = math.prod(depthwise_shape) + math.prod(pointwise_shape)
    return 2 * skip_shape[0] * skip_shape[1] * macs


@register_flop_formula(torch.ops.lightm_unet.mix_stage_backward)
def _(grad_shape, low_shape, skip_shape, grid, depthwise_shape, _, pointwise_shape, *more, **__):
    # Back through the mixture always; back through the filter for the inputs; for the weights the
    # filter again, and as many products as both have.
    *_, inputs, weights = more
    filter_macs, mixture_macs = math.prod(depthwise_shape), math.prod(pointwise_shape)
    macs = mixture_macs + inputs * filter_macs + weights * (2 * filter_macs + mixture_macs)
    return 2 * skip_shape[0] * skip_shape[1] * macs


class BatchMoments(NamedTuple):
    """What a norm by the batch found, of each channel: `(channels,)`."""

    mean: Tensor
    variance: Tensor
    """The mean square deviation, by which it norms."""


def norm_stage(
    x: Tensor,
    stage: Stage,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    epsilon: float = 0.0,
) -> tuple[Tensor, BatchMoments]:
    """Norm each channel over all tokens of the batch, activate, and mix: a stage from its norm on.

    Args:
        x: what `mix_stage` gave, `(batch, length, channels)`.
        stage: of which the activation's slope (from 0 to 1) and `last` with its bias are read.
        weight: of the norm, `(channels,)`; None for no norm.
        bias: of the norm, `(channels,)`.
        epsilon: added to the variance.

    Returns:
        `(batch, length, out_channels)`, differentiable once in every tensor; and what the norm
        found, empty without one.
    """
    out, mean, variance = torch.ops.lightm_unet.norm_stage(
        x, weight, bias, epsilon, stage.last, stage.last_bias, stage.slope
    )
    return out, BatchMoments(mean, variance)


@torch.library.impl(_library, "norm_stage", "CPU")
def _(x, weight, bias, epsilon, last, last_bias, slope):
    out = empty(_norm_shape(x, last))
    mean, variance = (empty((0 if weight is None else x.shape[2],)) for _ in range(2))
    call(
        native.norm_stage,
        *_contiguous(x, weight, bias),
        epsilon,
        *_contiguous(last, last_bias),
        slope,
        out,
        *((mean, variance) if weight is not None else (None, None)),
    )
    return out, mean, variance


def _norm_shape(x: Tensor, last: Tensor | None) -> tuple[int, ...]:
    return (*x.shape[:2], x.shape[2] if last is None else last.shape[0])


@torch.library.register_fake("lightm_unet::norm_stage", lib=_library)
def _(x, weight, bias, epsilon, last, last_bias, slope):
    channels = 0 if weight is None else x.shape[2]
    return x.new_empty(_norm_shape(x, last)), x.new_empty(channels), x.new_empty(channels)


@torch.library.impl(_library, "norm_stage_backward", "CPU")
def _(
    grad, x, mean, variance, weight, bias, epsilon, last, last_bias, slope, inputs, weights
):  # fmt: skip
    grad_x = empty_like(x) if inputs else None
    gradients = [
        empty_like(t) if weights and t is not None else None
        for t in (weight, bias, last, last_bias)
    ]
    call(
        native.norm_stage_backward,
        *_contiguous(grad, x, weight, bias),
        epsilon,
        *_contiguous(last),
        slope,
        *((mean, variance) if weight is not None else (None, None)),
        grad_x,
        *gradients,
    )
    return [g for g in (grad_x, *gradients) if g is not None]


@torch.library.register_fake("lightm_unet::norm_stage_backward", lib=_library)
def _(
    grad, x, mean, variance, weight, bias, epsilon, last, last_bias, slope, inputs, weights
):  # fmt: skip
    wanted = (*((x,) if inputs else ()), *((weight, bias, last, last_bias) if weights else ()))
    return [t.new_empty(t.shape) for t in wanted if t is not None]


def _norm_setup(ctx, inputs, output) -> None:
    x, weight, bias, ctx.epsilon, last, last_bias, ctx.slope = inputs
    _, mean, variance = output
    ctx.save_for_backward(x, mean, variance, weight, bias, last, last_bias)
    ctx.mark_non_differentiable(mean, variance)


def _norm_backward(ctx, grad, *_):
    x, mean, variance, weight, bias, last, last_bias = ctx.saved_tensors
    need_x, *need = ctx.needs_input_grad
    found = iter(
        torch.ops.lightm_unet.norm_stage_backward(
            grad,
            x,
            mean,
            variance,
            weight,
            bias,
            ctx.epsilon,
            last,
            last_bias,
            ctx.slope,
            need_x,
            any(need),
        )
    )
    grad_x = next(found) if need_x else None
    grad_weight, grad_bias, grad_last, grad_last_bias = (
        next(found) if t is not None and any(need) else None
        for t in (weight, bias, last, last_bias)
    )
    return grad_x, grad_weight, grad_bias, None, grad_last, grad_last_bias, None


@register_flop_formula(torch.ops.lightm_unet.norm_stage)
def _(x_shape, weight_shape, bias_shape, epsilon, last_shape, *_, **__) -> int:
    return 2 * x_shape[0] * x_shape[1] * (math.prod(last_shape) if last_shape else 0)


@register_flop_formula(torch.ops.lightm_unet.norm_stage_backward)
def _(grad_shape, x_shape, mean, variance, weight, bias, epsilon, last_shape, *more, **__) -> int:
    *_, weights = more
    return (
        2 * x_shape[0] * x_shape[1] * (math.prod(last_shape) if last_shape else 0) * (1 + weights)
    )


@torch.library.impl(_library, "conv_stem_backward", "CPU")
def _(grad, image, weight):
    gradients = empty_like(weight), empty((weight.shape[0],))
    call(native.conv_stem_backward, *_contiguous(grad, image), *gradients)
    return gradients


@torch.library.register_fake("lightm_unet::conv_stem_backward", lib=_library)
def _(grad, image, weight):
    return weight.new_empty(weight.shape), weight.new_empty(weight.shape[0])


def _conv_setup(ctx, inputs, output) -> None:
    image, weight, _ = inputs
    ctx.save_for_backward(image, weight)


def _conv_backward(ctx, grad):
    if ctx.needs_input_grad[0]:
        raise UsageError(
            "the native convolution of an image has no gradient for the image itself; set "
            f"{ENVIRONMENT_VARIABLE}=torch to run torch's own"
        )
    grad_weight, grad_bias = torch.ops.lightm_unet.conv_stem_backward(grad, *ctx.saved_tensors)
    return None, grad_weight, grad_bias


@register_flop_formula(torch.ops.lightm_unet.conv_stem_backward)
def _(grad_shape, image_shape, weight_shape, *_, **__) -> int:
    return 2 * grad_shape[0] * grad_shape[1] * math.prod(weight_shape)


for _name, _backward, _setup in (
    ("mix_stage", _mix_backward, _mix_setup),
    ("norm_stage", _norm_backward, _norm_setup),
    ("conv_stem", _conv_backward, _conv_setup),
):
    torch.library.register_autograd(
        f"lightm_unet::{_name}", _backward, setup_context=_setup, lib=_library
    )
    torch.library.register_autograd(
        f"lightm_unet::{_name}_backward", refuse_second_derivative, lib=_library
    )
