"""Calls into the native kernels: float32 on the CPU, rows of any stride, torch's thread count."""

from __future__ import annotations

from torch import Tensor

from lightm_unet.ops.dispatch import native
from lightm_unet.ops.memory import empty, empty_like
from lightm_unet.ops.native_call import call
from lightm_unet.ops.scan_tensors import ScanTensors


def scan_cpu(
    tensors: ScanTensors,
    delta_softplus: bool,
    keep_states: bool,
) -> tuple[Tensor, Tensor]:
    """Native forward scan; as `chunked.scan_chunked`, but states end in (state, channels)."""
    batch, length, channels = tensors.u.shape
    intervals = -(-length // native.STATE_INTERVAL) if keep_states else 0
    out = empty_like(tensors.u)
    states = empty((batch, intervals, tensors.A.shape[1], channels))
    call(
        native.scan_forward,
        *_as_kernels_read(tensors),
        delta_softplus,
        out,
        states if keep_states else None,
    )
    return out, states


def scan_cpu_backward(
    grad_out: Tensor,
    states: Tensor,
    tensors: ScanTensors,
    delta_softplus: bool,
) -> ScanTensors:
    """Native backward scan; arguments and results as `chunked.scan_chunked_backward`."""
    gradients = ScanTensors._make(None if t is None else empty_like(t) for t in tensors)
    call(
        native.scan_backward,
        dense_rows(grad_out),
        states,
        *_as_kernels_read(tensors),
        delta_softplus,
        *gradients,
    )
    return gradients


def _as_kernels_read(tensors: ScanTensors) -> tuple[Tensor | None, ...]:
    """Sequences with dense rows, (batch, length, ...); everything else dense."""
    return tuple(
        None if t is None else dense_rows(t) if t.dim() == 3 else t.contiguous() for t in tensors
    )


def dense_rows(t: Tensor) -> Tensor:
    """The same values with a dense last axis; slices of wider rows pass without a copy."""
    return t if t.stride(-1) == 1 or t.shape[-1] == 1 else t.contiguous()
