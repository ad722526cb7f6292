"""The ops of this package as nodes of ONNX, for torch's tracer, and one that it writes too rarely.

Everything around the selective scan is ONNX's own. The scan is one node, `SCAN`, with the inputs of
`ScanInputs`, until `scan.add_scan` has put others in its place: which ones depends on the form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.onnx import register_custom_op_symbolic, symbolic_helper, unregister_custom_op_symbolic

DOMAIN = "lightm_unet"
SCAN = "SelectiveScan"


@contextmanager
def known_to_tracer(opset: int, sizes_are_fixed: bool) -> Iterator[None]:
    """Let torch's tracer write this package's ops.

    Args:
        opset: ONNX's set of operators.
        sizes_are_fixed: whether the sizes of the traced image are those of all images: what is
            computed of them is then written as a number.
    """

    def with_type(symbolic: Callable[..., Any]) -> Callable[..., Any]:
        """Give the result the type of the op's first argument, which all of them have."""

        def symbolic_with_type(g, x, *others):
            result = symbolic(g, x, *others)
            first = result[0] if isinstance(result, tuple) else result
            first.setType(_as_traced(g) if sizes_are_fixed else x.type())
            return result

        return symbolic_with_type

    symbolics: dict[str, Callable[..., Any]] = {
        "lightm_unet::selective_scan": _selective_scan,
        "lightm_unet::causal_conv1d": _causal_conv1d,
        "lightm_unet::gated_norm": _gated_norm,
        "aten::instance_norm": _instance_norm,
    }
    for name, symbolic in symbolics.items():
        register_custom_op_symbolic(name, with_type(symbolic), opset)
    try:
        yield
    finally:
        for name in symbolics:
            unregister_custom_op_symbolic(name, opset)


# The arguments are those of the ops; `g` is the graph that grows, values are its own.


def _selective_scan(
    g, u, delta, A, B, C, D, z, delta_bias, delta_softplus, keep_states, backend
) -> tuple[Any, Any]:
    if not symbolic_helper._is_none(delta_bias):
        delta = g.op("Add", delta, delta_bias)
    if symbolic_helper._get_const(delta_softplus, "b", "delta_softplus"):
        delta = g.op("Softplus", delta)
    y = g.op(
        f"{DOMAIN}::{SCAN}",
        *(u, delta, A, B, C),
        shape_i=symbolic_helper._get_tensor_sizes(A),
        length_i=_as_traced(g).sizes()[1],
    )
    if not symbolic_helper._is_none(D):
        y = g.op("Add", y, g.op("Mul", u, D))
    if not symbolic_helper._is_none(z):
        y = g.op("Mul", y, _silu(g, z))
    no_states = g.op("Constant", value_t=torch.zeros(0))  # of use in training only
    return y, no_states


def _causal_conv1d(g, x, weight, bias, silu, backend) -> Any:
    channels, width = symbolic_helper._get_tensor_sizes(weight)
    along = g.op(
        "Conv",
        g.op("Transpose", x, perm_i=(0, 2, 1)),
        symbolic_helper._unsqueeze_helper(g, weight, [1]),
        bias,
        group_i=channels,
        kernel_shape_i=(width,),
        pads_i=(width - 1, 0),
    )
    p = g.op("Transpose", along, perm_i=(0, 2, 1))
    return _silu(g, p) if symbolic_helper._get_const(silu, "b", "silu") else p


def _gated_norm(g, x, gate, weight, bias, epsilon, backend) -> Any:
    epsilon = symbolic_helper._get_const(epsilon, "f", "epsilon")
    normed = g.op("LayerNormalization", x, weight, bias, axis_i=-1, epsilon_f=epsilon)
    return g.op("Mul", normed, _silu(g, gate))


def _instance_norm(g, x, weight, bias, mean, variance, uses_own, momentum, epsilon, cudnn) -> Any:
    """Torch's own needs to be told the channels again, and has lost them behind a permutation."""
    channels = _as_traced(g).sizes()[1]

    def given(value, default: float) -> Any:
        if symbolic_helper._is_none(value):
            return g.op("Constant", value_t=torch.full((channels,), default))
        return value

    factor_and_shift = given(weight, 1.0), given(bias, 0.0)
    epsilon = symbolic_helper._get_const(epsilon, "f", "epsilon")
    if symbolic_helper._get_const(uses_own, "b", "use_input_stats"):
        return g.op("InstanceNormalization", x, *factor_and_shift, epsilon_f=epsilon)
    return g.op("BatchNormalization", x, *factor_and_shift, mean, variance, epsilon_f=epsilon)


def _as_traced(g) -> Any:
    """The type of the op's first argument, with the sizes that it had."""
    first, *_ = g.original_node.inputs()
    return first.type()


def _silu(g, x) -> Any:
    return g.op("Mul", x, g.op("Sigmoid", x))
