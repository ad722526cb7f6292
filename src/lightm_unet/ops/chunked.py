r"""The selective scan in plain torch: any device, time and memory linear in the length, trains.

The sequence is cut into chunks that are visited in order; only the state at each chunk's start is
kept for the backward pass, which computes everything else again. Inside a chunk of T steps the
recurrence h_t = a_t h_{t-1} + b_t runs on rows of about sqrt(T) steps: all rows at once, then the
rows' last states in order, then one fix-up. That is about 2 sqrt(T) tensor operations for a chunk,
and only products of decays ever appear, never their quotients, so nothing overflows.

The backward pass is the same recurrence run from the end, with g_t the gradient of h_t:

    g_t = a_{t+1} g_{t+1} + C_t dy_t

Every other gradient is a sum over g; the derivation is in this folder's README.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lightm_unet.ops.scan_tensors import ScanTensors


def state_interval(device_type: str) -> int:
    """Steps from one kept state to the next.

    Short chunks stay in a CPU's cache; a GPU wants few launches of much work.
    """
    return 256 if device_type == "cpu" else 4096


def scan_chunked(
    tensors: ScanTensors,
    delta_softplus: bool,
    keep_states: bool,
) -> tuple[Tensor, Tensor]:
    """Forward scan; symbols and shapes as in `reference.py`.

    Returns:
        The output `(batch, length, channels)`, and the state before each chunk
        `(batch, chunks, channels, state)`, with no chunks if `keep_states` is false.
    """
    u, delta, A, B, C, D, z, delta_bias = tensors
    batch, length, channels = u.shape
    interval = state_interval(u.device.type)
    chunks = math.ceil(length / interval)
    out = torch.empty_like(u, memory_format=torch.contiguous_format)
    states = u.new_empty(batch, chunks if keep_states else 0, channels, A.shape[1])
    h = u.new_zeros(batch, channels, A.shape[1])
    for i in range(chunks):
        if keep_states:
            states[:, i] = h
        here = slice(i * interval, (i + 1) * interval)
        step = _step_size(delta[:, here], delta_bias, delta_softplus)
        h_all = _states_in_chunk(u[:, here], step, A, B[:, here], h)
        h = h_all[:, -1]
        y = torch.einsum("btdn,btn->btd", h_all, C[:, here])
        if D is not None:
            y = torch.addcmul(y, D, u[:, here])
        if z is not None:
            y = y * F.silu(z[:, here])
        out[:, here] = y
    return out, states


def scan_chunked_backward(
    grad_out: Tensor,
    states: Tensor,
    tensors: ScanTensors,
    delta_softplus: bool,
) -> ScanTensors:
    """All gradients of `scan_chunked`, given the states that it kept."""
    u, delta, A, B, C, D, z, delta_bias = tensors
    length = u.shape[1]
    interval = state_interval(u.device.type)
    grad_u, grad_delta = torch.empty_like(u), torch.empty_like(delta)
    grad_B, grad_C = torch.empty_like(B), torch.empty_like(C)
    grad_z = None if z is None else torch.empty_like(z)
    grad_A = torch.zeros_like(A)
    grad_D = None if D is None else torch.zeros_like(D)
    carried = torch.zeros_like(states[:, 0])  # a_{t+1} g_{t+1}, from the chunk after this one

    for i in reversed(range(states.shape[1])):
        here = slice(i * interval, min((i + 1) * interval, length))
        raw = delta[:, here] if delta_bias is None else delta[:, here] + delta_bias
        step = F.softplus(raw) if delta_softplus else raw
        x = u[:, here]
        decay = torch.exp(step[..., None] * A)  # (batch, steps, channels, state)
        h_all = _states_in_chunk(x, step, A, B[:, here], states[:, i], decay)
        before = torch.cat([states[:, i, None], h_all[:, :-1]], dim=1)  # h_{t-1}

        grad_y = grad_out[:, here]
        if z is not None:
            gate = torch.sigmoid(z[:, here])
            y = torch.einsum("btdn,btn->btd", h_all, C[:, here])
            if D is not None:
                y = torch.addcmul(y, D, x)
            assert grad_z is not None  # as z
            grad_z[:, here] = grad_y * y * gate * (1 + z[:, here] * (1 - gate))
            grad_y = grad_y * z[:, here] * gate

        # Reverse recurrence: the decay that reaches step t is that of step t + 1.
        driven = grad_y[..., None] * C[:, here, None, :]
        driven[:, -1] += carried
        decay_after = torch.cat([decay[:, 1:], torch.zeros_like(decay[:, :1])], dim=1)
        g = _linear_recurrence(decay_after.flip(1), driven.flip(1)).flip(1)
        carried = decay[:, 0] * g[:, 0]

        grad_C[:, here] = torch.einsum("btdn,btd->btn", h_all, grad_y)
        grad_B[:, here] = torch.einsum("btdn,btd->btn", g, step * x)
        through_input = torch.einsum("btdn,btn->btd", g, B[:, here])  # gradient of delta_t u_t
        through_decay = g * decay * before  # gradient of delta_t A
        grad_A += torch.einsum("btdn,btd->dn", through_decay, step)
        grad_step = torch.einsum("btdn,dn->btd", through_decay, A) + through_input * x
        grad_u[:, here] = through_input * step
        if D is not None:
            grad_u[:, here] += grad_y * D
            assert grad_D is not None  # as D
            grad_D += (grad_y * x).sum((0, 1))
        grad_delta[:, here] = grad_step * torch.sigmoid(raw) if delta_softplus else grad_step

    grad_bias = None if delta_bias is None else grad_delta.sum((0, 1))
    return ScanTensors(grad_u, grad_delta, grad_A, grad_B, grad_C, grad_D, grad_z, grad_bias)


def _step_size(delta: Tensor, delta_bias: Tensor | None, delta_softplus: bool) -> Tensor:
    if delta_bias is not None:
        delta = delta + delta_bias
    return F.softplus(delta) if delta_softplus else delta


def _states_in_chunk(
    u: Tensor, step: Tensor, A: Tensor, B: Tensor, h: Tensor, decay: Tensor | None = None
) -> Tensor:
    """All states of a chunk, `(batch, steps, channels, state)`, from the state `h` before it."""
    decay = torch.exp(step[..., None] * A) if decay is None else decay.clone()
    driven = (step * u)[..., None] * B[:, :, None, :]
    driven[:, 0] += decay[:, 0] * h
    return _linear_recurrence(decay, driven)


def _linear_recurrence(a: Tensor, b: Tensor) -> Tensor:
    """Solve h_t = a_t h_{t-1} + b_t along axis 1, with nothing before the first step.

    Both arguments, `(batch, steps, channels, state)`, are used as scratch space.
    """
    batch, steps, *rest = a.shape
    row = math.isqrt(steps - 1) + 1
    missing = -steps % row
    if missing:
        pad = (0, 0) * len(rest) + (0, missing)
        a, b = F.pad(a, pad), F.pad(b, pad)
    a, b = a.view(batch, -1, row, *rest), b.view(batch, -1, row, *rest)
    for j in range(1, row):  # every row at once, each as if nothing came before it
        b[:, :, j].addcmul_(a[:, :, j], b[:, :, j - 1])
        a[:, :, j].mul_(a[:, :, j - 1])
    for i in range(1, a.shape[1]):  # the true last state of each row, in order
        b[:, i].addcmul_(a[:, i], b[:, i - 1, -1:])
    return b.reshape(batch, -1, *rest)[:, :steps]
