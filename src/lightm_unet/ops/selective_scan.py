"""The public selective scan: checks, the registered op, its autograd, fake and FLOP formula.

Symbols and shapes are those of `reference.py`. Two ops are registered, forward and backward. The
backend's name travels through both as an argument: the backward pass needs the states as its own
forward pass kept them, and two threads may use two backends at once.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from lightm_unet.errors import UsageError
from lightm_unet.ops import chunked, cpu
from lightm_unet.ops.checks import check_tensors, compute_dtype
from lightm_unet.ops.dispatch import choose_backend, native
from lightm_unet.ops.reference import scan_reference
from lightm_unet.ops.scan_tensors import ScanTensors


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    *,
    backend: str | None = None,
) -> Tensor:
    """Let every channel remember what it has seen so far, and for how long, step by step.

    Time and memory are linear in the length. The state and the decay are float32 under any
    autocast (float64 if u is), because half-precision scans overflow.

    Args:
        u: input, `(batch, length, channels)`.
        delta: step size, same shape.
        A: decay rates, `(channels, state)`, negative for a stable scan. Where a state grows, the
            CPU kernels bound its growth in one step to 2^122.
        B: input map for each step, `(batch, length, state)`.
        C: output map for each step, `(batch, length, state)`.
        D: skip weight, `(channels,)`.
        z: gate, u's shape; the output is multiplied by silu(z).
        delta_bias: added to delta before softplus, `(channels,)`.
        delta_softplus: pass delta through softplus first.
        backend: "cpu", "triton", "torch" or "reference"; by default the fastest that fits, see
            `backends()`.

    Returns:
        `(batch, length, channels)` in u's dtype. Differentiable in every tensor.

    Raises:
        UsageError: shapes disagree, an axis is empty, a tensor does not hold float32, float64,
            bfloat16 or float16, or the backend does not take such tensors.
        MissingPartError: the requested backend was not built.

    Source: Gu and Dao 2023, "Mamba"; agrees with mamba_ssm's selective_scan_ref, which has the
    length last.

    Example:
        >>> ones = torch.ones(1, 3, 1)  # with A = 0 nothing is forgotten: a running sum
        >>> selective_scan(ones, ones, torch.zeros(1, 1), ones, ones).flatten().tolist()
        [1.0, 2.0, 3.0]
    """
    if not isinstance(delta_softplus, bool):
        raise UsageError(f"delta_softplus is True or False, got {delta_softplus!r:.60}")
    check_tensors(
        "selective_scan", u=u, delta=delta, A=A, B=B, C=C, D=D, z=z, delta_bias=delta_bias
    )
    _check_shapes(u, delta, A, B, C, D, z, delta_bias)
    dtype = compute_dtype(u)
    name = choose_backend(backend, u.device, dtype)
    # The GPU kernels convert what they load: half-precision inputs are half the traffic.
    as_is = (torch.float32, torch.bfloat16, torch.float16) if name == "triton" else (dtype,)

    def ready(t: Tensor) -> Tensor:
        return t if t.dtype in as_is else t.to(dtype)

    tensors = ScanTensors(
        ready(u),
        ready(delta),
        ready(A),
        ready(B),
        ready(C),
        None if D is None else ready(D),
        None if z is None else ready(z),
        None if delta_bias is None else ready(delta_bias),
    )
    if name == "reference":
        return scan_reference(*tensors, delta_softplus).to(u.dtype)
    keep_states = torch.is_grad_enabled() and any(
        t is not None and t.requires_grad for t in tensors
    )
    out, _ = _scan(*tensors, delta_softplus, keep_states, name)
    return out.to(u.dtype)


def _check_shapes(u, delta, A, B, C, D, z, delta_bias) -> None:
    if u.dim() != 3 or A.dim() != 2 or 0 in u.shape or 0 in A.shape:
        raise UsageError(
            "selective_scan needs a non-empty u of (batch, length, channels) and a non-empty A of "
            f"(channels, state), got {tuple(u.shape)} and {tuple(A.shape)}"
        )
    batch, length, channels = u.shape
    state = A.shape[1]
    expected = {
        "delta": (delta, (batch, length, channels)),
        "A": (A, (channels, state)),
        "B": (B, (batch, length, state)),
        "C": (C, (batch, length, state)),
        "D": (D, (channels,)),
        "z": (z, (batch, length, channels)),
        "delta_bias": (delta_bias, (channels,)),
    }
    for name, (tensor, shape) in expected.items():
        if tensor is None:
            continue
        if tuple(tensor.shape) != shape:
            raise UsageError(
                f"{name} needs shape {shape} to go with u of {tuple(u.shape)} and "
                f"A of {tuple(A.shape)}, got {tuple(tensor.shape)}"
            )


@torch.library.custom_op("lightm_unet::selective_scan", mutates_args=())
def _scan(
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
    backend: str,
) -> tuple[Tensor, Tensor]:
    tensors = ScanTensors(u, delta, A, B, C, D, z, delta_bias)
    check_tensors("selective_scan", **tensors._asdict())  # who calls the registered op by itself
    if backend == "triton":
        from lightm_unet.ops.triton_scan import scan_triton as scan
    else:
        scan = cpu.scan_cpu if backend == "cpu" else chunked.scan_chunked
    return scan(tensors, delta_softplus, keep_states)


@torch.library.custom_op("lightm_unet::selective_scan_backward", mutates_args=())
def _scan_backward(
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
    backend: str,
) -> list[Tensor]:
    """Gradients of the tensors that are there, in the order of the arguments."""
    if backend == "triton":
        from lightm_unet.ops.triton_scan_backward import scan_triton_backward as scan_backward
    else:
        scan_backward = cpu.scan_cpu_backward if backend == "cpu" else chunked.scan_chunked_backward
    tensors = ScanTensors(u, delta, A, B, C, D, z, delta_bias)
    gradients = scan_backward(grad_out, states, tensors, delta_softplus)
    return [g for g in gradients if g is not None]


@_scan.register_fake
def _(u, delta, A, B, C, D, z, delta_bias, delta_softplus, keep_states, backend):
    batch, length, _ = u.shape
    if backend == "triton":
        from lightm_unet.ops.triton_scan import STATE_INTERVAL as interval
    elif backend == "cpu":
        interval = native.STATE_INTERVAL
    else:
        interval = chunked.state_interval(u.device.type)
    kept = -(-length // interval) if keep_states else 0
    out = torch.empty_like(u, memory_format=torch.contiguous_format)
    dtype = compute_dtype(u)
    each = A.shape[::-1] if backend == "cpu" else A.shape
    return out, u.new_empty(batch, kept, *each, dtype=dtype)


@_scan_backward.register_fake
def _(grad_out, states, u, delta, A, B, C, D, z, delta_bias, delta_softplus, backend):
    return [
        torch.empty_like(t, memory_format=torch.contiguous_format)
        for t in (u, delta, A, B, C, D, z, delta_bias)
        if t is not None
    ]


def _setup_context(ctx, inputs, output) -> None:
    *tensors, delta_softplus, _, backend = inputs
    _, states = output
    ctx.save_for_backward(states, *tensors)
    ctx.mark_non_differentiable(states)
    ctx.delta_softplus, ctx.backend = delta_softplus, backend


def _backward(ctx, grad_out, _):
    states, *tensors = ctx.saved_tensors
    gradients = iter(_scan_backward(grad_out, states, *tensors, ctx.delta_softplus, ctx.backend))
    return *(None if t is None else next(gradients) for t in tensors), None, None, None


_scan.register_autograd(_backward, setup_context=_setup_context)


def scan_flops(batch: int, length: int, channels: int, state: int) -> int:
    """Operations of one forward scan, exp counted as one.

    Per step, channel and state: delta A, exp, decay h, delta u B (2), the sum of both, h C, the sum
    over states, and one for delta u shared out: 9, the usual count. Per step and channel: skip, 2.
    """
    return batch * length * channels * (9 * state + 2)


@register_flop_formula(torch.ops.lightm_unet.selective_scan)
def _(u_shape, delta_shape, A_shape, *_, **__) -> int:
    batch, length, channels = u_shape
    return scan_flops(batch, length, channels, A_shape[1])


@register_flop_formula(torch.ops.lightm_unet.selective_scan_backward)
def _(grad_shape, states_shape, u_shape, delta_shape, A_shape, *_, **__) -> int:
    # The forward pass again, and the same number of terms for each of the two products it had.
    batch, length, channels = u_shape
    return 3 * scan_flops(batch, length, channels, A_shape[1])
