"""LayerNorm of the scan's output times SiLU of the gate (equation 3), as one op.

    n = (x - mean) / sqrt(variance + epsilon),    out = (weight n + bias) silu(gate)

Composed of torch's own, it would keep four large tensors for the backward pass. Here only x and
gate are kept, and the rest is computed again.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lightm_unet.errors import UsageError
from lightm_unet.ops.checks import check_tensors, compute_dtype
from lightm_unet.ops.cpu import dense_rows
from lightm_unet.ops.dispatch import choose_backend, native
from lightm_unet.ops.memory import empty_like
from lightm_unet.ops.native_call import call


def gated_norm(
    x: Tensor,
    gate: Tensor,
    weight: Tensor,
    bias: Tensor,
    epsilon: float = 1e-5,
    *,
    backend: str | None = None,
) -> Tensor:
    """Normalise each step's channels, then let the gate decide how much of each passes.

    Args:
        x: `(batch, length, channels)`.
        gate: x's shape, before SiLU.
        weight: `(channels,)`.
        bias: `(channels,)`.
        epsilon: added to the variance over the channels.
        backend: "cpu", "triton" or "torch"; by default the fastest that fits ("reference" means
            "torch").

    Returns:
        `(batch, length, channels)` in x's dtype; float32 inside (float64 if x is). Differentiable
        in every tensor.

    Raises:
        UsageError: shapes disagree, a tensor does not hold float32, float64, bfloat16 or float16,
            or the backend does not take such tensors.
        MissingPartError: the requested backend was not built.

    Example:
        >>> x = torch.tensor([[[1.0, 3.0]]])  # mean 2, variance 1: normed to -1 and 1
        >>> ones, zeros = torch.ones(2), torch.zeros(2)
        >>> gated_norm(x, torch.full((1, 1, 2), 20.0), ones, zeros).round().flatten().tolist()
        [-20.0, 20.0]
    """
    check_tensors("gated_norm", x=x, gate=gate, weight=weight, bias=bias)
    if x.dim() != 3 or 0 in x.shape or gate.shape != x.shape:
        raise UsageError(
            "gated_norm needs a non-empty x of (batch, length, channels) and a gate of the same "
            f"shape, got {tuple(x.shape)} and {tuple(gate.shape)}"
        )
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tuple(tensor.shape) != (x.shape[2],):
            raise UsageError(f"{name} needs shape ({x.shape[2]},), got {tuple(tensor.shape)}")
    dtype = compute_dtype(x)
    name = choose_backend(backend, x.device, dtype)
    tensors: tuple[Tensor, ...] = x, gate, weight, bias
    if name != "triton":  # whose kernels convert what they load
        tensors = tuple(t.to(dtype) for t in tensors)
    return _gated_norm(*tensors, epsilon, name).to(x.dtype)


@torch.library.custom_op("lightm_unet::gated_norm", mutates_args=())
def _gated_norm(
    x: Tensor, gate: Tensor, weight: Tensor, bias: Tensor, epsilon: float, backend: str
) -> Tensor:
    # Of who calls the registered op by itself.
    check_tensors("gated_norm", x=x, gate=gate, weight=weight, bias=bias)
    if backend == "triton":
        from lightm_unet.ops.triton_gated_norm import gated_norm_triton

        return gated_norm_triton(x, gate, weight, bias, epsilon)
    if backend == "cpu":
        out = empty_like(x)
        call(
            native.gated_norm_forward,
            dense_rows(x),
            dense_rows(gate),
            weight.contiguous(),
            bias.contiguous(),
            epsilon,
            out,
        )
        return out
    return F.layer_norm(x, weight.shape, weight, bias, epsilon) * F.silu(gate)


@torch.library.custom_op("lightm_unet::gated_norm_backward", mutates_args=())
def _gated_norm_backward(
    grad_out: Tensor,
    x: Tensor,
    gate: Tensor,
    weight: Tensor,
    bias: Tensor,
    epsilon: float,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    if backend == "triton":
        from lightm_unet.ops.triton_gated_norm import gated_norm_triton_backward

        return gated_norm_triton_backward(grad_out, x, gate, weight, bias, epsilon)
    if backend == "cpu":
        grads = empty_like(x), empty_like(gate), empty_like(weight), empty_like(bias)
        call(
            native.gated_norm_backward,
            dense_rows(grad_out),
            dense_rows(x),
            dense_rows(gate),
            weight.contiguous(),
            bias.contiguous(),
            epsilon,
            *grads,
        )
        return grads
    variance, mean = torch.var_mean(x, -1, correction=0, keepdim=True)
    factor = torch.rsqrt(variance + epsilon)
    n = (x - mean) * factor
    open_gate = torch.sigmoid(gate)
    into_normed = grad_out * gate * open_gate
    grad_gate = grad_out * (n * weight + bias) * open_gate * (1 + gate * (1 - open_gate))
    k = into_normed * weight
    grad_x = factor * (k - k.mean(-1, keepdim=True) - n * (k * n).mean(-1, keepdim=True))
    return grad_x, grad_gate, (into_normed * n).sum((0, 1)), into_normed.sum((0, 1))


@_gated_norm.register_fake
def _(x, gate, weight, bias, epsilon, backend):
    return torch.empty_like(x, memory_format=torch.contiguous_format)


@_gated_norm_backward.register_fake
def _(grad_out, x, gate, weight, bias, epsilon, backend):
    return tuple(
        torch.empty_like(t, memory_format=torch.contiguous_format) for t in (x, gate, weight, bias)
    )


def _setup_context(ctx, inputs, output) -> None:
    *tensors, ctx.epsilon, ctx.backend = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx, grad_out):
    grads = _gated_norm_backward(grad_out, *ctx.saved_tensors, ctx.epsilon, ctx.backend)
    return *grads, None, None


_gated_norm.register_autograd(_backward, setup_context=_setup_context)
