# ruff: noqa: RUF005 - the compiler of the kernels adds tuples, and cannot unpack them
"""The selective scan forward in Triton: chunked over the length, so that one image fills a GPU.

Symbols and shapes are those of `reference.py`, the three steps those of this folder's README:

1. every chunk on its own, from a zero state: its end state, and the sum of its step sizes;
2. the true state at every chunk's start (`triton_combine.py`);
3. every chunk again, from its true start, writing the output.

A program is one warp with one chunk of BLOCK_C neighbouring channels. A lane holds one channel and
all its states, so that rows of u, delta and the output are coalesced, B and C are broadcasts, and
the sum over states needs no other lane. A is read with its states first for the same reason: the
compiler lays out the whole computation as it lays out this load.

Float32 inside, whatever comes in; only products of decays, never quotients.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from lightm_unet.ops.cpu import dense_rows
from lightm_unet.ops.scan_tensors import ScanTensors
from lightm_unet.ops.triton_combine import states_at_starts
from lightm_unet.ops.triton_math import (
    LOG2_E,
    ONE_WARP,
    load_row,
    row_strides,
    sigmoid,
    softplus,
)

STATE_INTERVAL = 128
"""Steps of a chunk, from one kept state to the next.

The states kept for 16 states a channel are then an eighth of u in float32, and the smallest level
of a 128x128x128 volume, 4096 steps of 512 channels, still makes 512 programs.
"""
UNROLL = 8  # steps whose loads are under way at once


def scan_triton(
    tensors: ScanTensors,
    delta_softplus: bool,
    keep_states: bool,
) -> tuple[Tensor, Tensor]:
    """Forward scan on a GPU; float32, bfloat16 and float16 in any mixture.

    Returns:
        The output in u's dtype, and the float32 state before each chunk
        `(batch, chunks, channels, state)`, with no chunks if `keep_states` is false.
    """
    u, delta, A, B, C, D, z, delta_bias = tensors
    batch, length, channels = u.shape
    state = A.shape[1]
    chunks = triton.cdiv(length, STATE_INTERVAL)
    u, delta, B, C, z = (None if t is None else dense_rows(t) for t in (u, delta, B, C, z))
    D, delta_bias = (None if t is None else t.contiguous() for t in (D, delta_bias))
    A = A.float().contiguous()
    out = torch.empty_like(u, memory_format=torch.contiguous_format)
    states = torch.empty(batch, chunks, channels, state, dtype=torch.float32, device=u.device)
    block_c = min(32, triton.next_power_of_2(channels))
    grid = (triton.cdiv(channels, block_c) * chunks * batch,)
    sizes = {
        "SOFTPLUS": delta_softplus,
        "CHUNK": STATE_INTERVAL,
        "UNROLL": UNROLL,
        "BLOCK_C": block_c,
        "BLOCK_N": triton.next_power_of_2(state),
        **ONE_WARP,
    }
    with torch.cuda.device_of(u):
        if chunks == 1:
            states.zero_()
        else:
            sums = torch.empty(batch, chunks, channels, dtype=torch.float32, device=u.device)
            chunk_ends[grid](
                u, delta, A, B, delta_bias, states, sums,
                length, channels, state, chunks, *A.stride(),
                *row_strides(u), *row_strides(delta), *row_strides(B), **sizes,
            )  # fmt: skip
            states_at_starts(states, sums, A)
        chunk_outputs[grid](
            u, delta, A, B, C, D, z, delta_bias, states, out,
            length, channels, state, chunks, *A.stride(),
            *row_strides(u), *row_strides(delta), *row_strides(B), *row_strides(C),
            *row_strides(z), **sizes,
        )  # fmt: skip
    return out, states if keep_states else states[:, :0].clone()


@triton.jit
def which_chunk(channels, chunks, BLOCK_C: tl.constexpr):
    """This program's block of channels, chunk and batch entry, the channels fastest.

    Neighbouring programs then read the same rows of B and C. One axis of the grid holds all
    three, because the others end at 65,535.
    """
    blocks = tl.cdiv(channels, BLOCK_C)
    program = tl.program_id(0)
    return (
        program % blocks,
        (program // blocks) % chunks,
        (program // blocks // chunks).to(tl.int64),
    )


@triton.jit(do_not_specialize=["pair_c", "pair_n"])
def chunk_ends(
    u, delta, A, B, delta_bias, ends, sums,
    length, channels, state, chunks, pair_c, pair_n,
    u_batch, u_row, delta_batch, delta_row, B_batch, B_row,
    SOFTPLUS: tl.constexpr, CHUNK: tl.constexpr, UNROLL: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Step 1: the state that each chunk ends with if it begins with zero, and its sum of steps."""
    block, chunk, batch = which_chunk(channels, chunks, BLOCK_C)
    c = block * BLOCK_C + tl.arange(0, BLOCK_C)  # (BLOCK_C,)
    n = tl.arange(0, BLOCK_N)  # (BLOCK_N,)
    has_c, has_n = c < channels, n < state
    has_pair = has_n[:, None] & has_c[None, :]  # (BLOCK_N, BLOCK_C)
    pairs = c[None, :] * pair_c + n[:, None] * pair_n  # (BLOCK_N, BLOCK_C)
    rate = load_row(A + pairs, has_pair) * LOG2_E
    bias = 0.0
    if delta_bias is not None:
        bias = load_row(delta_bias + c, has_c)  # (BLOCK_C,)

    start = chunk.to(tl.int64) * CHUNK
    steps_here = tl.minimum(length - start, CHUNK).to(tl.int32)
    u += batch * u_batch + start * u_row
    delta += batch * delta_batch + start * delta_row
    B += batch * B_batch + start * B_row

    h = tl.zeros((BLOCK_N, BLOCK_C), tl.float32)
    total = tl.zeros((BLOCK_C,), tl.float32)
    for first in range(0, steps_here, UNROLL):
        xs = ()
        steps = ()
        for i in tl.static_range(UNROLL):  # the loads of all steps before the first is waited for
            t = first + i
            inside = c < tl.where(t < steps_here, channels, 0)  # (BLOCK_C,)
            step = load_row(delta + t * delta_row + c, inside) + bias  # (BLOCK_C,)
            if SOFTPLUS:
                step = softplus(step)
            steps = steps + (tl.where(inside, step, 0.0),)  # past the end nothing decays
            xs = xs + (load_row(u + t * u_row + c, inside),)
        for i in tl.static_range(UNROLL):
            t = first + i
            b = load_row(B + t * B_row + n, n < tl.where(t < steps_here, state, 0))  # (BLOCK_N,)
            h = tl.exp2(rate * steps[i][None, :]) * h + b[:, None] * (steps[i] * xs[i])[None, :]
            total += steps[i]

    row = batch * chunks + chunk
    tl.store(sums + row * channels + c, total, mask=has_c)
    tl.store(ends + row * channels * state + pairs, h, mask=has_pair)


@triton.jit(do_not_specialize=["pair_c", "pair_n"])
def chunk_outputs(
    u, delta, A, B, C, D, z, delta_bias, starts, out,
    length, channels, state, chunks, pair_c, pair_n,
    u_batch, u_row, delta_batch, delta_row, B_batch, B_row, C_batch, C_row, z_batch, z_row,
    SOFTPLUS: tl.constexpr, CHUNK: tl.constexpr, UNROLL: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Step 3: each chunk from its true start state to its output."""
    block, chunk, batch = which_chunk(channels, chunks, BLOCK_C)
    c = block * BLOCK_C + tl.arange(0, BLOCK_C)  # (BLOCK_C,)
    n = tl.arange(0, BLOCK_N)  # (BLOCK_N,)
    has_c, has_n = c < channels, n < state
    has_pair = has_n[:, None] & has_c[None, :]  # (BLOCK_N, BLOCK_C)
    pairs = c[None, :] * pair_c + n[:, None] * pair_n  # (BLOCK_N, BLOCK_C)
    rate = load_row(A + pairs, has_pair) * LOG2_E
    bias = 0.0
    if delta_bias is not None:
        bias = load_row(delta_bias + c, has_c)  # (BLOCK_C,)
    if D is not None:
        skip = load_row(D + c, has_c)  # (BLOCK_C,)

    start = chunk.to(tl.int64) * CHUNK
    steps_here = tl.minimum(length - start, CHUNK).to(tl.int32)
    u += batch * u_batch + start * u_row
    delta += batch * delta_batch + start * delta_row
    B += batch * B_batch + start * B_row
    C += batch * C_batch + start * C_row
    if z is not None:
        z += batch * z_batch + start * z_row
    out += (batch * length + start) * channels

    starts += (batch * chunks + chunk) * channels * state
    h = load_row(starts + pairs, has_pair)  # (BLOCK_N, BLOCK_C)
    for first in range(0, steps_here, UNROLL):
        xs = ()
        steps = ()
        for i in tl.static_range(UNROLL):  # the loads of all steps before the first is waited for
            t = first + i
            inside = c < tl.where(t < steps_here, channels, 0)  # (BLOCK_C,)
            step = load_row(delta + t * delta_row + c, inside) + bias  # (BLOCK_C,)
            if SOFTPLUS:
                step = softplus(step)
            steps = steps + (step,)
            xs = xs + (load_row(u + t * u_row + c, inside),)
        for i in tl.static_range(UNROLL):
            t = first + i
            inside = c < tl.where(t < steps_here, channels, 0)  # (BLOCK_C,)
            has_map = n < tl.where(t < steps_here, state, 0)  # (BLOCK_N,)
            b = load_row(B + t * B_row + n, has_map)  # (BLOCK_N,)
            m = load_row(C + t * C_row + n, has_map)  # (BLOCK_N,)
            h = tl.exp2(rate * steps[i][None, :]) * h + b[:, None] * (steps[i] * xs[i])[None, :]
            y = tl.sum(h * m[:, None], 0)  # (BLOCK_C,)
            if D is not None:
                y += skip * xs[i]
            if z is not None:
                gate = load_row(z + t * z_row + c, inside)  # (BLOCK_C,)
                y *= gate * sigmoid(gate)
            tl.store(out + t * channels + c, y.to(out.dtype.element_ty), mask=inside)
