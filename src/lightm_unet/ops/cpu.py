"""Calls into the native kernels: float32 on the CPU, rows of any stride, torch's thread count."""

from __future__ import annotations

from torch import Tensor

from lightm_unet.ops.chunked import ScanGradients
from lightm_unet.ops.dispatch import native
from lightm_unet.ops.memory import empty, empty_like
from lightm_unet.ops.native_call import call


def scan_cpu(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    keep_states: bool,
) -> tuple[Tensor, Tensor]:
    """Native forward scan; as `chunked.scan_chunked`, but states end in (state, channels)."""
    batch, length, channels = u.shape
    intervals = -(-length // native.STATE_INTERVAL) if keep_states else 0
    out = empty_like(u)
    states = empty((batch, intervals, A.shape[1], channels))
    call(
        native.scan_forward,
        *_inputs(u, delta, A, B, C, D, z, delta_bias),
        delta_softplus,
        out,
        states if keep_states else None,
    )
    return out, states


def scan_cpu_backward(
    grad_out: Tensor,
    states: Tensor,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
) -> ScanGradients:
    """Native backward scan; arguments and results as `chunked.scan_chunked_backward`."""
    inputs = (u, delta, A, B, C, D, z, delta_bias)
    gradients = ScanGradients(*(None if t is None else empty_like(t) for t in inputs))
    call(
        native.scan_backward,
        dense_rows(grad_out),
        states,
        *_inputs(*inputs),
        delta_softplus,
        *gradients,
    )
    return gradients


def _inputs(u, delta, A, B, C, D, z, delta_bias) -> tuple[Tensor | None, ...]:
    return (
        dense_rows(u),
        dense_rows(delta),
        A.contiguous(),
        dense_rows(B),
        dense_rows(C),
        None if D is None else D.contiguous(),
        None if z is None else dense_rows(z),
        None if delta_bias is None else delta_bias.contiguous(),
    )


def dense_rows(t: Tensor) -> Tensor:
    """The same values with a dense last axis; slices of wider rows pass without a copy."""
    return t if t.stride(-1) == 1 or t.shape[-1] == 1 else t.contiguous()
