# ruff: noqa: RUF005 - the compiler of the kernels adds tuples, and cannot unpack them
"""From what every chunk does to a zero state to the true state at every chunk's start, in Triton.

Chunk k maps the state at its start to decay_k * state + end_k, decay_k = exp(A sum of its steps).
The recurrence over chunks is independent for each channel and state, and small; but one volume of
128x128x128 voxels has 16,384 chunks, too many to visit one after the other. So it is done as the
scan itself is: groups of chunks from zero, then the groups in order, then each group again.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from lightm_unet.ops.triton_math import LOG2_E, ONE_WARP, load_row

GROUP = 128  # chunks that one program visits in order
AHEAD = 8  # chunks whose loads are under way at once
BLOCK = 32  # pairs of channel and state in one program: one for each lane


def states_at_starts(ends: Tensor, sums: Tensor, A: Tensor, reverse: bool = False) -> Tensor:
    """Replace every chunk's end state by the true state where the chunk begins.

    Args:
        ends: the state after each chunk, had it begun from zero, `(batch, chunks, channels,
            state)`, float32, dense; overwritten.
        sums: sum of the step sizes in each chunk, `(batch, chunks, channels)`, float32, dense.
        A: decay rates, `(channels, state)`, float32, dense.
        reverse: the last chunk comes first, as in the backward pass.

    Returns:
        `ends`.
    """
    chunks = ends.shape[1]
    if chunks <= GROUP:
        _launch(ends, sums, A, None, None, reverse)
        return ends
    batch, _, channels, state = ends.shape
    groups = triton.cdiv(chunks, GROUP)
    group_ends = ends.new_empty(batch, groups, channels, state)
    group_sums = sums.new_empty(batch, groups, channels)
    _launch(ends, sums, A, group_ends, group_sums, reverse, summarise=True)
    states_at_starts(group_ends, group_sums, A)  # groups are numbered in the order of visits
    _launch(ends, sums, A, group_ends, None, reverse)
    return ends


def _launch(
    ends: Tensor,
    sums: Tensor,
    A: Tensor,
    group_states: Tensor | None,
    group_sums: Tensor | None,
    reverse: bool,
    summarise: bool = False,
) -> None:
    batch, chunks, channels, state = ends.shape
    groups = triton.cdiv(chunks, GROUP)
    blocks = triton.cdiv(channels * state, BLOCK)
    _combine[(blocks * groups * batch,)](
        ends, sums, A, group_states, group_sums,
        chunks, groups, channels, state,
        REVERSE=reverse, SUMMARISE=summarise, GROUP=GROUP, AHEAD=AHEAD, BLOCK=BLOCK, **ONE_WARP,
    )  # fmt: skip


@triton.jit
def _combine(
    ends, sums, A, group_states, group_sums,
    chunks, groups, channels, state,
    REVERSE: tl.constexpr, SUMMARISE: tl.constexpr,
    GROUP: tl.constexpr, AHEAD: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One group of chunks of one batch entry, for BLOCK pairs of channel and state.

    SUMMARISE writes only what the group does to a zero state, into `group_states` and
    `group_sums`. Otherwise the states are replaced, starting from `group_states` or from zero.
    """
    width = channels * state
    blocks = tl.cdiv(width, BLOCK)
    block = tl.program_id(0) % blocks
    group = (tl.program_id(0) // blocks) % groups
    batch = (tl.program_id(0) // blocks // groups).to(tl.int64)

    pair = block * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,)
    here = pair < width
    channel = pair // state  # (BLOCK,)
    rate = load_row(A + pair, here) * LOG2_E  # (BLOCK,)
    group_row = batch * groups + group
    h = tl.zeros((BLOCK,), tl.float32)
    if not SUMMARISE and group_states is not None:
        h = load_row(group_states + group_row * width + pair, here)
    total = tl.zeros((BLOCK,), tl.float32)

    visits = tl.minimum(chunks - group * GROUP, GROUP)
    for first in range(0, visits, AHEAD):
        rows = ()
        steps = ()
        afters = ()
        for i in tl.static_range(AHEAD):
            k = group * GROUP + first + i  # in the order of visits
            row = batch * chunks + (chunks - 1 - k if REVERSE else k)
            inside = pair < tl.where(k < chunks, width, 0)
            rows = rows + (row,)
            steps = steps + (load_row(sums + row * channels + channel, inside),)
            afters = afters + (load_row(ends + row * width + pair, inside),)
        for i in tl.static_range(AHEAD):
            if SUMMARISE:
                total += steps[i]
            else:
                inside = pair < tl.where(first + i < visits, width, 0)
                tl.store(ends + rows[i] * width + pair, h, mask=inside)
            h = tl.exp2(rate * steps[i]) * h + afters[i]

    if SUMMARISE:
        tl.store(group_states + group_row * width + pair, h, mask=here)
        is_first_state = here & (pair % state == 0)
        tl.store(group_sums + group_row * channels + channel, total, mask=is_first_state)
