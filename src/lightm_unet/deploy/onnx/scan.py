r"""The selective scan of ONNX's operators.

Step by step it would run ONNX's Scan once for each of the 262,144 tokens of a 512x512 image, each
time on a few hundred numbers: 100 times slower than what it computes. So the sequence is cut into
chunks of equal length, and one operator works on the same step of all chunks at once. With
a_t = exp(delta_t A) and b_t = delta_t u_t B_t:

    1  h = a_t h + b_t through every chunk from h = 0: its last state, as if nothing came before
    2  across the chunks, last state and product of decays: the true state before each chunk,
       in log2(chunks) rounds of doubling
    3  h = a_t h + b_t through every chunk from its true state, and y_t = sum over states of h C_t

Only products of decays appear, never their quotients, so float32 cannot overflow. The product of a
chunk's decays is exp(A sum of its delta). What a sequence lacks to whole chunks is filled with
delta = 0, which leaves a state as it is.

Values are (steps, channels, states, batch, chunks): the chunks, last, are what runtimes vectorise.

Forms: "scan" walks through the chunks with ONNX's Scan, for any batch and length; "basic" writes
the steps out, for one length, and needs elementwise operators, Reshape, Transpose and ReduceSum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lightm_unet.deploy.onnx.nodes import Nodes

CHUNKS = 128
"""Chunks of the form "scan". Of 64 to 1024 the best for short and nearly for long sequences."""
STEPS = 32
"""Steps in a chunk of the form "basic", each about a dozen nodes."""


class ScanInputs(NamedTuple):
    """Names of a scan's inputs; the symbols are those of `ops/reference.py`."""

    u: str
    """(batch, length, channels)"""
    delta: str
    """The step size, after bias and softplus; (batch, length, channels)."""
    A: str
    """(channels, state)"""
    B: str
    """(batch, length, state)"""
    C: str
    """(batch, length, state)"""


class _Steps(NamedTuple):
    """The same, step by step, for all chunks at once."""

    delta: str
    """(steps, channels, 1, batch, chunks)"""
    driven: str
    """delta u, of the same shape."""
    A: str
    """(channels, state, 1, 1)"""
    B: str
    """(steps, 1, state, batch, chunks)"""
    C: str
    """(steps, 1, state, batch, chunks)"""
    steps: int
    """How many; 0 where only the running program knows."""


def add_scan(
    nodes: Nodes, inputs: ScanInputs, form: str, shape: tuple[int, int], length: int
) -> str:
    """Add a selective scan without skip and gate.

    Args:
        nodes: where to.
        inputs: names of its inputs.
        form: "scan" or "basic".
        shape: channels and states, the shape of A.
        length: of the sequence; the form "scan" takes any other as well.

    Returns:
        The output's name, (batch, length, channels).
    """
    channels, states = shape
    walk = _walk_by_scan if form == "scan" else _walk_written_out
    if form == "scan":
        count, chunks = 0, CHUNKS
        end = nodes.add("Shape", inputs.u, start=1, end=2)
        missing = _missing(nodes, end, chunks)
    else:
        count = min(STEPS, length)
        chunks = -(-length // count)
        end, missing = nodes.constant([length]), nodes.constant([count * chunks - length])
    pads = nodes.add("Concat", nodes.constant([0] * 4), missing, nodes.constant([0]), axis=0)

    def by_steps(value: str, width: int, free_axis: int) -> str:
        padded = nodes.add("Pad", value, pads)
        cut = nodes.add("Reshape", padded, nodes.constant([0, chunks, -1, width]))
        steps_first = nodes.add("Transpose", cut, perm=[2, 3, 0, 1])
        return nodes.add("Unsqueeze", steps_first, nodes.constant([free_axis]))

    steps = _Steps(
        by_steps(inputs.delta, channels, 2),
        by_steps(nodes.add("Mul", inputs.delta, inputs.u), channels, 2),
        nodes.add("Unsqueeze", inputs.A, nodes.constant([2, 3])),
        by_steps(inputs.B, states, 1),
        by_steps(inputs.C, states, 1),
        count,
    )
    time = nodes.add("ReduceSum", steps.delta, nodes.constant([0]), keepdims=0)
    decay = nodes.add("Exp", nodes.add("Mul", time, steps.A))  # of a whole chunk
    start = None
    if form == "scan":
        start = nodes.add("ConstantOfShape", nodes.add("Shape", decay))  # zeros
    if chunks > 1:
        last = walk(nodes, steps, start, gives_output=False)
        start = _states_before(nodes, decay, last, chunks)
    y = walk(nodes, steps, start, gives_output=True)  # (steps, channels, batch, chunks)
    batch_first = nodes.add("Transpose", y, perm=[2, 3, 0, 1])
    joined = nodes.add("Reshape", batch_first, nodes.constant([0, -1, channels]))
    return nodes.add("Slice", joined, nodes.constant([0]), end, nodes.constant([1]))


def _missing(nodes: Nodes, length: str, chunks: int) -> str:
    """What a length lacks to a multiple of the number of chunks."""
    most, count = nodes.constant([chunks - 1]), nodes.constant([chunks])
    steps = nodes.add("Div", nodes.add("Add", length, most), count)
    return nodes.add("Sub", nodes.add("Mul", steps, count), length)


def _next_state(nodes: Nodes, state: str | None, delta: str, driven: str, A: str, B: str) -> str:
    """(channels, state, batch, chunks) after one more step; no state is one of zeros."""
    added = nodes.add("Mul", driven, B)
    if state is None:
        return added
    decay = nodes.add("Exp", nodes.add("Mul", delta, A))
    return nodes.add("Add", nodes.add("Mul", decay, state), added)


def _output(nodes: Nodes, state: str, C: str) -> str:
    """(channels, batch, chunks)"""
    return nodes.add("ReduceSum", nodes.add("Mul", state, C), nodes.constant([1]), keepdims=0)


def _walk_by_scan(nodes: Nodes, steps: _Steps, start: str | None, gives_output: bool) -> str:
    """Through every chunk by one Scan: the last state, or all outputs."""
    assert start is not None
    rows = [steps.delta, steps.driven, steps.B, *([steps.C] if gives_output else [])]
    # A goes along as a second state that stays as it is: OpenVINO knows no values of the graph
    # around a body. The names are unique, as some runtimes put the body into that graph.
    A, state, *row = inputs = [nodes.new_name() for _ in (steps.A, start, *rows)]
    body = nodes.inner()
    delta, driven, B, *C = row
    outputs = [body.add("Identity", A), _next_state(body, state, delta, driven, A, B)]
    if gives_output:
        outputs.append(_output(body, outputs[1], *C))
    return nodes.add(
        "Scan",
        *(steps.A, start, *rows),
        outputs=len(outputs),
        body=body.graph("steps", inputs, outputs),
        num_scan_inputs=len(rows),
    )[-1]


def _walk_written_out(nodes: Nodes, steps: _Steps, state: str | None, gives_output: bool) -> str:
    """The same, with nodes of its own for each step."""
    outputs = []
    for number in range(steps.steps):
        step = nodes.constant(number)
        delta, driven, B, C = (
            nodes.add("Gather", rows, step, axis=0)
            for rows in (steps.delta, steps.driven, steps.B, steps.C)
        )
        state = _next_state(nodes, state, delta, driven, steps.A, B)
        if gives_output:
            y = _output(nodes, state, C)
            outputs.append(nodes.add("Unsqueeze", y, nodes.constant([0])))
    if gives_output:
        return nodes.add("Concat", *outputs, axis=0)
    assert state is not None  # there is one step at least
    return state


def _states_before(nodes: Nodes, decay: str, last: str, chunks: int) -> str:
    """The state before each chunk, from each chunk's decay and last state, both of it alone.

    After each round a chunk's last state includes twice as many chunks before it.
    """
    start, axis, one = nodes.constant([0]), nodes.constant([3]), nodes.constant(1, np.float32)

    def moved(value: str, by: int, *filling: str) -> str:
        """The value of the chunk that lies `by` chunks before."""
        kept = nodes.add("Slice", value, start, nodes.constant([chunks - by]), axis)
        return nodes.add("Pad", kept, nodes.constant([0, 0, 0, by, 0, 0, 0, 0]), *filling)

    reach = 1
    while reach < chunks:
        last = nodes.add("Add", nodes.add("Mul", decay, moved(last, reach)), last)
        decay = nodes.add("Mul", decay, moved(decay, reach, one))
        reach *= 2
    return moved(last, 1)
