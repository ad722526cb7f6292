"""The RVM layer as a native op that is differentiable, for training.

The forward pass is that of inference. It keeps its input, the scan's output, the scan's states at
intervals and little else; the backward pass does the other steps again, tile by tile, while a
tile's rows are in cache (csrc/ops/rvm_backward_kernel.h). Composed of torch's modules, the layer
would keep every step's result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from lightm_unet.ops.dispatch import native
from lightm_unet.ops.memory import empty, empty_like
from lightm_unet.ops.native_call import call
from lightm_unet.ops.native_layers import RVM_WEIGHTS, refuse_second_derivative
from lightm_unet.ops.selective_scan import scan_flops

_library = torch.library.Library("lightm_unet", "FRAGMENT")
_library.define(
    "rvm_layer_training(Tensor tokens, Tensor[] weights, float epsilon, SymInt[] pool_grid) "
    "-> (Tensor, Tensor)"
)
_library.define(
    "rvm_layer_backward(Tensor grad_out, Tensor tokens, Tensor kept, Tensor[] weights, "
    "float epsilon, SymInt[] pool_grid) -> (Tensor, Tensor[])"
)


def rvm_layer_training(
    tokens: Tensor, weights: Mapping[str, Tensor], epsilon: float, pool_grid: Sequence[int]
) -> Tensor:
    """Run an RVM layer as `native_layers.rvm_layer` does, and keep what its gradients need.

    Ask `trains_natively` first. Differentiable in the tokens and every weight; the gradients have
    the same bits for any number of threads. There is no second derivative.
    """
    in_order = [weights[name] for name in RVM_WEIGHTS]
    out, _ = torch.ops.lightm_unet.rvm_layer_training(tokens, in_order, epsilon, pool_grid)
    return out


@torch.library.impl(_library, "rvm_layer_training", "CPU")
def _(tokens, weights, epsilon, pool_grid):
    tokens, weights = tokens.contiguous(), [t.contiguous() for t in weights]
    out, kept = map(empty, _shapes(tokens, weights, pool_grid))
    call(native.rvm_layer, tokens, weights, epsilon, list(pool_grid), out, kept)
    return out, kept


def _shapes(tokens, weights, pool_grid) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of the result, and of what is kept."""
    batch, length, channels = tokens.shape
    shapes = dict(zip(RVM_WEIGHTS, (t.shape for t in weights), strict=True))
    (inner, state), conv_width = shapes["A_log"], shapes["conv_weight"][1]
    out_channels, dims = shapes["projection_weight"][0], len(pool_grid)
    kept = native.rvm_kept_floats(
        batch, length, channels, inner, state, conv_width, out_channels, dims
    )
    return (batch, length // 2**dims, out_channels), (kept,)


@torch.library.register_fake("lightm_unet::rvm_layer_training", lib=_library)
def _(tokens, weights, epsilon, pool_grid):
    return tuple(map(tokens.new_empty, _shapes(tokens, weights, pool_grid)))


@torch.library.impl(_library, "rvm_layer_backward", "CPU")
def _(grad_out, tokens, kept, weights, epsilon, pool_grid):
    tokens, weights = tokens.contiguous(), [t.contiguous() for t in weights]
    grad_tokens, gradients = empty_like(tokens), [empty_like(t) for t in weights]
    call(
        native.rvm_backward,
        grad_out.contiguous(),
        tokens,
        kept,
        weights,
        epsilon,
        list(pool_grid),
        grad_tokens,
        gradients,
    )
    return grad_tokens, gradients


@torch.library.register_fake("lightm_unet::rvm_layer_backward", lib=_library)
def _(grad_out, tokens, kept, weights, epsilon, pool_grid):
    dense = torch.contiguous_format
    return torch.empty_like(tokens, memory_format=dense), [
        torch.empty_like(t, memory_format=dense) for t in weights
    ]


def _setup_context(ctx, inputs, output) -> None:
    tokens, weights, ctx.epsilon, ctx.pool_grid = inputs
    _, kept = output
    ctx.save_for_backward(tokens, kept, *weights)
    ctx.mark_non_differentiable(kept)
    ctx.set_materialize_grads(False)


def _backward(ctx, grad_out, _):
    # torch takes an empty list for one of tensors, whose gradients are an empty list.
    of_grid = None if ctx.pool_grid else []
    if grad_out is None:
        return None, [None] * len(RVM_WEIGHTS), None, of_grid
    tokens, kept, *weights = ctx.saved_tensors
    grad_tokens, gradients = torch.ops.lightm_unet.rvm_layer_backward(
        grad_out, tokens, kept, weights, ctx.epsilon, ctx.pool_grid
    )
    return grad_tokens, gradients, None, of_grid


torch.library.register_autograd(
    "lightm_unet::rvm_layer_training", _backward, setup_context=_setup_context, lib=_library
)
torch.library.register_autograd(
    "lightm_unet::rvm_layer_backward", refuse_second_derivative, lib=_library
)


@register_flop_formula(torch.ops.lightm_unet.rvm_layer_training)
def _(tokens_shape, weights_shapes, *_, **__) -> int:
    return _flops(tokens_shape, weights_shapes, products=1, convolution=1, scan=1)


@register_flop_formula(torch.ops.lightm_unet.rvm_layer_backward)
def _(grad_shape, tokens_shape, kept_shape, weights_shapes, *_, **__) -> int:
    # As the composed layer counts: a product's backward is two, the convolution and the scan do
    # their forward again. What else is done again, to save memory, is no part of the count.
    return _flops(tokens_shape, weights_shapes, products=2, convolution=3, scan=3)


def _flops(tokens_shape, weights_shapes, *, products: int, convolution: int, scan: int) -> int:
    batch, length, _ = tokens_shape
    shapes = dict(zip(RVM_WEIGHTS, weights_shapes, strict=True))
    names = ("in_proj", "x_proj", "dt_weight", "out_proj", "projection_weight")
    macs = products * sum(shapes[name][0] * shapes[name][1] for name in names)
    inner, width = shapes["conv_weight"]
    macs += convolution * inner * width
    return 2 * batch * length * macs + scan * scan_flops(batch, length, *shapes["A_log"])
