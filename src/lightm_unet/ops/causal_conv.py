"""The short causal convolution in front of the scan, with its SiLU: token-major, one op.

    p_t = bias + sum_k weight_k x_{t - width + 1 + k},    out_t = silu(p_t)

It sees the present step and the `width - 1` before it; before the first step there are zeros. Only
x is kept for the backward pass, which computes p again: two large tensors less per layer.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from lightm_unet.errors import UsageError
from lightm_unet.ops.checks import check_tensors, compute_dtype
from lightm_unet.ops.cpu import dense_rows
from lightm_unet.ops.dispatch import choose_backend, native
from lightm_unet.ops.memory import empty_like
from lightm_unet.ops.native_call import call


def causal_conv1d(
    x: Tensor, weight: Tensor, bias: Tensor, silu: bool = True, *, backend: str | None = None
) -> Tensor:
    """Mix every channel with its own last few steps.

    Args:
        x: `(batch, length, channels)`.
        weight: one filter for each channel, `(channels, width)`, the present step last.
        bias: `(channels,)`.
        silu: apply SiLU to the result.
        backend: "cpu", "triton" or "torch"; by default the fastest that fits ("reference" means
            "torch").

    Returns:
        `(batch, length, channels)` in x's dtype. Differentiable in every tensor.

    Raises:
        UsageError: shapes disagree, a tensor does not hold float32, float64, bfloat16 or float16,
            or the backend does not take such tensors.
        MissingPartError: the requested backend was not built.

    Example:
        >>> x = torch.tensor([1.0, 2.0, 4.0]).reshape(1, 3, 1)
        >>> difference = torch.tensor([[-1.0, 1.0]])
        >>> causal_conv1d(x, difference, torch.zeros(1), silu=False).flatten().tolist()
        [1.0, 1.0, 2.0]
    """
    check_tensors("causal_conv1d", x=x, weight=weight, bias=bias)
    if (
        x.dim() != 3
        or weight.dim() != 2
        or weight.shape[0] != x.shape[2]
        or 0 in (*x.shape, weight.shape[1])
    ):
        raise UsageError(
            "causal_conv1d needs a non-empty x of (batch, length, channels) and weight of "
            "(channels, width), "
            f"got {tuple(x.shape)} and {tuple(weight.shape)}"
        )
    if tuple(bias.shape) != (x.shape[2],):
        raise UsageError(f"bias needs shape ({x.shape[2]},), got {tuple(bias.shape)}")
    dtype = compute_dtype(x)
    name = choose_backend(backend, x.device, dtype)
    tensors: tuple[Tensor, ...] = x, weight, bias
    if name != "triton":  # whose kernels convert what they load
        tensors = tuple(t.to(dtype) for t in tensors)
    out = _conv(*tensors, silu, name)
    return out.to(x.dtype)


@torch.library.custom_op("lightm_unet::causal_conv1d", mutates_args=())
def _conv(x: Tensor, weight: Tensor, bias: Tensor, silu: bool, backend: str) -> Tensor:
    check_tensors("causal_conv1d", x=x, weight=weight, bias=bias)  # of the registered op's caller
    if backend == "cpu":
        out = empty_like(x)
        call(
            native.conv_forward,
            dense_rows(x),
            weight.contiguous(),
            bias.contiguous(),
            silu,
            out,
        )
        return out
    if backend == "triton":
        from lightm_unet.ops.triton_causal_conv import conv_triton

        return conv_triton(x, weight, bias, silu)
    p = _before_silu(x, weight, bias)
    return F.silu(p) if silu else p


@torch.library.custom_op("lightm_unet::causal_conv1d_backward", mutates_args=())
def _conv_backward(
    grad_out: Tensor, x: Tensor, weight: Tensor, bias: Tensor, silu: bool, backend: str
) -> tuple[Tensor, Tensor, Tensor]:
    if backend == "cpu":
        grads = empty_like(x), empty_like(weight), empty_like(bias)
        call(
            native.conv_backward,
            dense_rows(grad_out),
            dense_rows(x),
            weight.contiguous(),
            bias.contiguous(),
            silu,
            *grads,
        )
        return grads
    if backend == "triton":
        from lightm_unet.ops.triton_causal_conv import conv_triton_backward

        return conv_triton_backward(grad_out, x, weight, bias, silu)
    length, width = x.shape[1], weight.shape[1]
    grad_p = grad_out
    if silu:
        p = _before_silu(x, weight, bias)
        gate = torch.sigmoid(p)
        grad_p = grad_out * gate * (1 + p * (1 - gate))
    # Step t reached the outputs t ... t + width - 1: a convolution that looks ahead.
    ahead = F.pad(grad_p, (0, 0, 0, width - 1))
    behind = F.pad(x, (0, 0, width - 1, 0))
    grad_x = torch.zeros_like(x, memory_format=torch.contiguous_format)
    grad_weight = torch.empty_like(weight)
    for k in range(width):
        shift = width - 1 - k
        grad_x.addcmul_(ahead[:, shift : shift + length], weight[:, k])
        grad_weight[:, k] = (grad_p * behind[:, k : k + length]).sum((0, 1))
    return grad_x, grad_weight, grad_p.sum((0, 1))


def _before_silu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    length, width = x.shape[1], weight.shape[1]
    behind = F.pad(x, (0, 0, width - 1, 0))
    p = bias.expand(x.shape).clone()
    for k in range(width):
        p.addcmul_(behind[:, k : k + length], weight[:, k])
    return p


@_conv.register_fake
def _(x, weight, bias, silu, backend):
    return torch.empty_like(x, memory_format=torch.contiguous_format)


@_conv_backward.register_fake
def _(grad_out, x, weight, bias, silu, backend):
    return tuple(
        torch.empty_like(t, memory_format=torch.contiguous_format) for t in (x, weight, bias)
    )


def _setup_context(ctx, inputs, output) -> None:
    x, weight, bias, ctx.silu, ctx.backend = inputs
    ctx.save_for_backward(x, weight, bias)


def _backward(ctx, grad_out):
    grads = _conv_backward(grad_out, *ctx.saved_tensors, ctx.silu, ctx.backend)
    return *grads, None, None


_conv.register_autograd(_backward, setup_context=_setup_context)


@register_flop_formula(torch.ops.lightm_unet.causal_conv1d)
def _(x_shape, weight_shape, *_, **__) -> int:
    batch, length, channels = x_shape
    return 2 * batch * length * channels * weight_shape[1]


@register_flop_formula(torch.ops.lightm_unet.causal_conv1d_backward)
def _(grad_shape, x_shape, weight_shape, *_, **__) -> int:
    batch, length, channels = x_shape
    return 3 * 2 * batch * length * channels * weight_shape[1]
