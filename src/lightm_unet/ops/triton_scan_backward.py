# ruff: noqa: RUF005 - the compiler of the kernels adds tuples, and cannot unpack them
"""The selective scan backward in Triton: the reverse recurrence, chunked as the forward pass is.

The formulas are those of this folder's README. With q_t = a_{t+1} g_{t+1}, what reaches step t from
all later ones, the gradient of the state is g_t = q_t + dy_t C_t, and q_{t-1} = a_t g_t. So

1. every chunk from its end, with q = 0 there: q at its start, and the sum of its step sizes;
2. the true q at every chunk's end (`triton_combine.py`, in reverse);
3. every chunk again, with its true start state and its true q: all gradients.

Step 3 needs the states in reverse order. It runs forward once, putting down the state before each
block of UNROLL steps, then takes the blocks from the last: forward with decays and states in
registers, and back. What it puts down lies in scratch memory that belongs to the program, not to
the chunk; there are only so many programs, and it stays in the L2 cache.

The gradients of B and C are sums over channels, within a program in the order of its channel
blocks, and over programs in order too: no atomics, the same bits each time.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from lightm_unet.ops import triton_scan
from lightm_unet.ops.cpu import dense_rows
from lightm_unet.ops.scan_tensors import ScanTensors
from lightm_unet.ops.triton_combine import states_at_starts
from lightm_unet.ops.triton_math import LOG2_E, ONE_WARP, load_row, row_strides, sigmoid, softplus
from lightm_unet.ops.triton_scan import which_chunk

BLOCK_C = 32
"""Channels of a program in step 3.

The compiler spreads the states of a channel over 4 lanes and gives each lane 4 channels, so sums
over states take 2 shuffles, sums over channels 3. Compiled for an H100, that is 890 instructions
for a step of 32 channels; with 16 channels in a program it is 1400, with one lane a channel 1200.
"""
UNROLL = 4  # steps whose states and decays are in registers; with 8, they no longer fit
PROGRAMS_PER_PROCESSOR = 8  # as many as the registers allow
WORK_PER_PROGRAM = 4  # channel blocks in order, where there are chunks enough to fill the GPU


def scan_triton_backward(
    grad_out: Tensor,
    states: Tensor,
    tensors: ScanTensors,
    delta_softplus: bool,
) -> ScanTensors:
    """All gradients of `scan_triton`, each in its tensor's dtype, given the states that it kept."""
    u, delta, A, B, C, D, z, delta_bias = tensors
    kinds = [None if t is None else t.dtype for t in tensors]
    batch, length, channels = u.shape
    state = A.shape[1]
    chunks = states.shape[1]
    grad_out, u, delta, B, C, z = (
        None if t is None else dense_rows(t) for t in (grad_out, u, delta, B, C, z)
    )
    D, delta_bias = (None if t is None else t.contiguous() for t in (D, delta_bias))
    A = A.float().contiguous()
    carried = torch.zeros_like(states)
    with torch.cuda.device_of(u):
        if chunks > 1:
            _carry_back(carried, grad_out, delta, A, C, z, delta_bias, delta_softplus)
        programs, groups = _shares(u.device, batch * chunks, channels)

        def fresh(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.empty(shape, dtype=dtype, device=u.device)

        grad_u, grad_delta = (fresh(*t.shape, dtype=t.dtype) for t in (u, delta))
        grad_z = None if z is None else fresh(*z.shape, dtype=z.dtype)
        maps = fresh(2, groups, batch, length, state)  # gradients of B and C, by group of channels
        rows = fresh(2, batch * chunks, channels)  # gradients of D and the bias, by chunk
        block_c = min(BLOCK_C, triton.next_power_of_2(channels))
        blocks = triton.cdiv(channels, block_c)
        padded_state = triton.next_power_of_2(state)
        scratch = fresh(programs, triton_scan.STATE_INTERVAL // UNROLL, padded_state, block_c)
        chunk_gradients[(programs,)](
            grad_out, u, delta, A, B, C, D, z, delta_bias, states, carried, scratch,
            grad_u, grad_delta, grad_z, maps[0], maps[1], rows[0], rows[1],
            batch, length, channels, state, chunks, groups, triton.cdiv(blocks, groups),
            *A.stride(),
            *row_strides(grad_out), *row_strides(u), *row_strides(delta),
            *row_strides(B), *row_strides(C), *row_strides(z),
            SOFTPLUS=delta_softplus, CHUNK=triton_scan.STATE_INTERVAL, UNROLL=UNROLL,
            BLOCK_C=block_c, BLOCK_N=padded_state, **ONE_WARP,
        )  # fmt: skip
    grad_B, grad_C = maps.sum(1) if groups > 1 else maps[:, 0]
    grad_D, grad_bias = rows.sum(1)
    grad_A = carried.sum((0, 1))  # by chunk, in the place of what it was made from
    gradients = (grad_u, grad_delta, grad_A, grad_B, grad_C, grad_D, grad_z, grad_bias)
    return ScanTensors(
        *(
            None if kind is None else _own(gradient, kind)
            for gradient, kind in zip(gradients, kinds, strict=True)
        )
    )


def _own(gradient: Tensor, dtype: torch.dtype) -> Tensor:
    """In `dtype`, and not a part of another result's memory, which an op may not return."""
    converted = gradient.to(dtype)
    return converted.clone() if converted._base is not None else converted


def _shares(device: torch.device, rows: int, channels: int) -> tuple[int, int]:
    """Programs of step 3, and groups of channel blocks that each chunk's work is cut into.

    More groups give more to do at once where chunks are few, and cost a copy of B's and C's
    gradients each. So there are as many as the work needs, not as many as there could be.
    """
    processors = 4
    if device.type == "cuda":
        processors = torch.cuda.get_device_properties(device).multi_processor_count
    blocks = triton.cdiv(channels, BLOCK_C)
    wanted = processors * PROGRAMS_PER_PROCESSOR
    each = max(1, min(WORK_PER_PROGRAM, rows * blocks // wanted))
    groups = triton.cdiv(blocks, each)
    return min(wanted, rows * groups), groups


def _carry_back(
    carried: Tensor,
    grad_out: Tensor,
    delta: Tensor,
    A: Tensor,
    C: Tensor,
    z: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
) -> None:
    """Steps 1 and 2: the true q at every chunk's end, into `carried`."""
    batch, length, channels = delta.shape
    chunks, state = carried.shape[1], carried.shape[3]
    sums = carried.new_empty(batch, chunks, channels)
    block_c = min(32, triton.next_power_of_2(channels))
    chunk_carries[(triton.cdiv(channels, block_c) * chunks * batch,)](
        grad_out, delta, A, C, z, delta_bias, carried, sums,
        length, channels, state, chunks, *A.stride(),
        *row_strides(grad_out), *row_strides(delta), *row_strides(C), *row_strides(z),
        SOFTPLUS=delta_softplus, CHUNK=triton_scan.STATE_INTERVAL, UNROLL=triton_scan.UNROLL,
        BLOCK_C=block_c, BLOCK_N=triton.next_power_of_2(state), **ONE_WARP,
    )  # fmt: skip
    states_at_starts(carried, sums, A, reverse=True)


@triton.jit(do_not_specialize=["pair_c", "pair_n"])
def chunk_carries(
    grad_out, delta, A, C, z, delta_bias, carried, sums,
    length, channels, state, chunks, pair_c, pair_n,
    grad_batch, grad_row, delta_batch, delta_row, C_batch, C_row, z_batch, z_row,
    SOFTPLUS: tl.constexpr, CHUNK: tl.constexpr, UNROLL: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Step 1: q before each chunk if it is zero behind it, and the chunk's sum of steps."""
    block, chunk, batch = which_chunk(channels, chunks, BLOCK_C)
    c = block * BLOCK_C + tl.arange(0, BLOCK_C)  # (BLOCK_C,)
    n = tl.arange(0, BLOCK_N)  # (BLOCK_N,)
    has_c, has_n = c < channels, n < state
    has_pair = has_n[:, None] & has_c[None, :]  # (BLOCK_N, BLOCK_C)
    pairs = c[None, :] * pair_c + n[:, None] * pair_n  # (BLOCK_N, BLOCK_C)
    rate = load_row(A + pairs, has_pair) * LOG2_E  # (BLOCK_N, BLOCK_C)
    bias = 0.0
    if delta_bias is not None:
        bias = load_row(delta_bias + c, has_c)  # (BLOCK_C,)

    start = chunk.to(tl.int64) * CHUNK
    steps_here = tl.minimum(length - start, CHUNK).to(tl.int32)
    grad_out += batch * grad_batch + start * grad_row
    delta += batch * delta_batch + start * delta_row
    C += batch * C_batch + start * C_row
    if z is not None:
        z += batch * z_batch + start * z_row

    q = tl.zeros((BLOCK_N, BLOCK_C), tl.float32)
    total = tl.zeros((BLOCK_C,), tl.float32)
    for done in range(0, steps_here, UNROLL):
        last = (steps_here - 1) // UNROLL * UNROLL + UNROLL - 1 - done
        grads = ()
        steps = ()
        for i in tl.static_range(UNROLL):  # the loads of all steps before the first is waited for
            t = last - i
            inside = c < tl.where(t < steps_here, channels, 0)  # (BLOCK_C,)
            step = load_row(delta + t * delta_row + c, inside) + bias  # (BLOCK_C,)
            if SOFTPLUS:
                step = softplus(step)
            steps = steps + (tl.where(inside, step, 0.0),)  # past the end nothing decays
            grad = load_row(grad_out + t * grad_row + c, inside)  # (BLOCK_C,)
            if z is not None:
                gate = load_row(z + t * z_row + c, inside)  # (BLOCK_C,)
                grad *= gate * sigmoid(gate)
            grads = grads + (grad,)
        for i in tl.static_range(UNROLL):
            t = last - i
            m = load_row(C + t * C_row + n, n < tl.where(t < steps_here, state, 0))  # (BLOCK_N,)
            q = tl.exp2(rate * steps[i][None, :]) * (q + m[:, None] * grads[i][None, :])
            total += steps[i]

    row = batch * chunks + chunk
    tl.store(sums + row * channels + c, total, mask=has_c)
    tl.store(carried + row * channels * state + pairs, q, mask=has_pair)


@triton.jit(do_not_specialize=["pair_c", "pair_n"])
def chunk_gradients(
    grad_out, u, delta, A, B, C, D, z, delta_bias, starts, carried, scratch,
    grad_u, grad_delta, grad_z, grad_B, grad_C, grad_D, grad_bias,
    batches, length, channels, state, chunks, groups, blocks_each, pair_c, pair_n,
    grad_batch, grad_row, u_batch, u_row, delta_batch, delta_row,
    B_batch, B_row, C_batch, C_row, z_batch, z_row,
    SOFTPLUS: tl.constexpr, CHUNK: tl.constexpr, UNROLL: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Step 3: every gradient. A program takes chunks and groups of channels in turn.

    `carried` holds q at each chunk's end, and takes the chunk's part of A's gradient. `grad_B` and
    `grad_C` are `(groups, batch, length, state)`, `grad_D` and `grad_bias` `(batch * chunks,
    channels)`, all float32 and dense.
    """
    n = tl.arange(0, BLOCK_N)  # (BLOCK_N,)
    lane = tl.arange(0, BLOCK_C)  # (BLOCK_C,)
    tile = n[:, None] * BLOCK_C + lane[None, :]  # (BLOCK_N, BLOCK_C)
    scratch += tl.program_id(0).to(tl.int64) * (CHUNK // UNROLL) * BLOCK_N * BLOCK_C

    for item in range(tl.program_id(0), batches * chunks * groups, tl.num_programs(0)):
        group = item % groups
        row = (item // groups).to(tl.int64)  # batch * chunks + chunk
        batch = row // chunks
        start = (row % chunks) * CHUNK
        steps_here = tl.minimum(length - start, CHUNK).to(tl.int32)
        dense_row = batch * length + start
        map_rows = (group.to(tl.int64) * batches * length + dense_row) * state
        grad_out_here = grad_out + batch * grad_batch + start * grad_row
        u_here = u + batch * u_batch + start * u_row
        delta_here = delta + batch * delta_batch + start * delta_row
        B_here = B + batch * B_batch + start * B_row
        C_here = C + batch * C_batch + start * C_row
        if z is not None:
            z_here = z + batch * z_batch + start * z_row

        for block in range(blocks_each):
            c = (group * blocks_each + block) * BLOCK_C + lane  # (BLOCK_C,)
            has_c = c < channels
            has_pair = (n < state)[:, None] & has_c[None, :]  # (BLOCK_N, BLOCK_C)
            pairs = c[None, :] * pair_c + n[:, None] * pair_n  # (BLOCK_N, BLOCK_C)
            own_pairs = row * channels * state + pairs
            decay_rate = load_row(A + pairs, has_pair)  # (BLOCK_N, BLOCK_C)
            rate = decay_rate * LOG2_E
            bias = tl.zeros((BLOCK_C,), tl.float32)
            if delta_bias is not None:
                bias = load_row(delta_bias + c, has_c)
            skip = tl.zeros((BLOCK_C,), tl.float32)
            if D is not None:
                skip = load_row(D + c, has_c)

            # Forward, putting down the state before each block of steps.
            h = load_row(starts + own_pairs, has_pair)  # (BLOCK_N, BLOCK_C)
            tl.store(scratch + tile, h)
            for first in range(0, steps_here - UNROLL, UNROLL):  # all of these steps exist
                for i in tl.static_range(UNROLL):
                    t = first + i
                    x = load_row(u_here + t * u_row + c, has_c)  # (BLOCK_C,)
                    step = load_row(delta_here + t * delta_row + c, has_c) + bias  # (BLOCK_C,)
                    if SOFTPLUS:
                        step = softplus(step)
                    b = load_row(B_here + t * B_row + n, n < state)  # (BLOCK_N,)
                    h = tl.exp2(rate * step[None, :]) * h + b[:, None] * (step * x)[None, :]
                block_of_steps = first // UNROLL + 1
                tl.store(scratch + block_of_steps * (BLOCK_N * BLOCK_C) + tile, h)
            tl.debug_barrier()  # all of it is there for every lane

            q = load_row(carried + own_pairs, has_pair)  # (BLOCK_N, BLOCK_C)
            sum_A = tl.zeros((BLOCK_N, BLOCK_C), tl.float32)
            sum_D = tl.zeros((BLOCK_C,), tl.float32)
            sum_bias = tl.zeros((BLOCK_C,), tl.float32)
            for done in range(0, steps_here, UNROLL):
                first = (steps_here - 1) // UNROLL * UNROLL - done
                h = tl.load(scratch + first // UNROLL * (BLOCK_N * BLOCK_C) + tile)
                xs = ()
                raws = ()
                steps = ()
                befores = ()  # h_{t-1}
                decays = ()
                for i in tl.static_range(UNROLL):
                    t = first + i
                    inside = c < tl.where(t < steps_here, channels, 0)  # (BLOCK_C,)
                    x = load_row(u_here + t * u_row + c, inside)  # (BLOCK_C,)
                    raw = load_row(delta_here + t * delta_row + c, inside) + bias  # (BLOCK_C,)
                    step = raw
                    if SOFTPLUS:
                        step = softplus(raw)
                    step = tl.where(inside, step, 0.0)  # past the end nothing decays
                    b = load_row(B_here + t * B_row + n, n < tl.where(t < steps_here, state, 0))
                    decay = tl.exp2(rate * step[None, :])  # (BLOCK_N, BLOCK_C)
                    xs = xs + (x,)
                    raws = raws + (raw,)
                    steps = steps + (step,)
                    befores = befores + (h,)
                    decays = decays + (decay,)
                    h = decay * h + b[:, None] * (step * x)[None, :]

                for i in tl.static_range(UNROLL - 1, -1, -1):
                    t = first + i
                    inside = c < tl.where(t < steps_here, channels, 0)  # (BLOCK_C,)
                    has_map = n < tl.where(t < steps_here, state, 0)  # (BLOCK_N,)
                    x, step = xs[i], steps[i]
                    b = load_row(B_here + t * B_row + n, has_map)  # (BLOCK_N,)
                    m = load_row(C_here + t * C_row + n, has_map)  # (BLOCK_N,)
                    grad_y = load_row(grad_out_here + t * grad_row + c, inside)  # (BLOCK_C,)
                    dense = (dense_row + t) * channels + c  # (BLOCK_C,)
                    if z is not None:
                        gate = load_row(z_here + t * z_row + c, inside)  # (BLOCK_C,)
                        opened = sigmoid(gate)
                        y = tl.sum(h * m[:, None], 0) + skip * x  # (BLOCK_C,)
                        through_gate = grad_y * y * opened * (1.0 + gate * (1.0 - opened))
                        tl.store(
                            grad_z + dense, through_gate.to(grad_z.dtype.element_ty), mask=inside
                        )
                        grad_y *= gate * opened

                    g = q + m[:, None] * grad_y[None, :]  # (BLOCK_N, BLOCK_C)
                    q = decays[i] * g
                    through_decay = q * befores[i]  # (BLOCK_N, BLOCK_C), gradient of step A
                    through_input = tl.sum(g * b[:, None], 0)  # (BLOCK_C,), gradient of step u
                    grad_step = tl.sum(through_decay * decay_rate, 0) + through_input * x
                    if SOFTPLUS:
                        grad_step *= sigmoid(raws[i])
                    grad_x = through_input * step + skip * grad_y
                    tl.store(grad_u + dense, grad_x.to(grad_u.dtype.element_ty), mask=inside)
                    tl.store(
                        grad_delta + dense, grad_step.to(grad_delta.dtype.element_ty), mask=inside
                    )
                    sum_A += through_decay * step[None, :]
                    sum_D += grad_y * x
                    sum_bias += tl.where(inside, grad_step, 0.0)

                    # Sums over channels so far: nothing before the first block of the group.
                    at = map_rows + t * state + n  # (BLOCK_N,)
                    earlier = n < tl.where((t < steps_here) & (block > 0), state, 0)
                    map_B = tl.sum(g * (step * x)[None, :], 1) + load_row(grad_B + at, earlier)
                    map_C = tl.sum(h * grad_y[None, :], 1) + load_row(grad_C + at, earlier)
                    tl.store(grad_B + at, map_B, mask=has_map)
                    tl.store(grad_C + at, map_C, mask=has_map)
                    h = befores[i]

            tl.store(carried + own_pairs, sum_A, mask=has_pair)
            tl.store(grad_D + row * channels + c, sum_D, mask=has_c)
            tl.store(grad_bias + row * channels + c, sum_bias, mask=has_c)
            tl.debug_barrier()  # before the scratch is used again, and the sums are read
