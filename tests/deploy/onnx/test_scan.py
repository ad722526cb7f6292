"""The scan of ONNX's operators against the definition."""

import numpy as np
import pytest
import torch

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnxruntime
from onnx import TensorProto, checker, helper

from lightm_unet.deploy.onnx.nodes import Nodes
from lightm_unet.deploy.onnx.scan import CHUNKS, STEPS, ScanInputs, add_scan
from lightm_unet.deploy.onnx.trace import OPSET
from lightm_unet.ops.reference import scan_reference

CHANNELS, STATES = 3, 4


def scan_session(form, length):
    """A graph of nothing but one scan, under ONNX Runtime."""
    nodes = Nodes("n")
    inputs = ScanInputs("u", "delta", "A", "B", "C")
    nodes.name(add_scan(nodes, inputs, form, (CHANNELS, STATES), length), "y")

    def declare(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes.nodes,
        "scan",
        [
            *(declare(name, "batch", "length", CHANNELS) for name in ("u", "delta")),
            declare("A", CHANNELS, STATES),
            *(declare(name, "batch", "length", STATES) for name in ("B", "C")),
        ],
        [declare("y", "batch", "length", CHANNELS)],
        nodes.constants,
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def some_inputs(batch, length, largest_step=2.0):
    rng = np.random.default_rng(length)
    u, delta = rng.standard_normal((2, batch, length, CHANNELS))
    B, C = rng.standard_normal((2, batch, length, STATES))
    A = -np.exp(rng.standard_normal((CHANNELS, STATES)))
    values = {"u": u, "delta": largest_step * np.abs(delta), "A": A, "B": B, "C": C}
    return {name: value.astype(np.float32) for name, value in values.items()}


def expected(inputs):
    """The definition in float64."""
    tensors = {name: torch.from_numpy(value).double() for name, value in inputs.items()}
    return scan_reference(**tensors).float().numpy()


@pytest.mark.parametrize("length", [1, STEPS - 1, STEPS, STEPS + 1, 5 * STEPS + 7])
def test_written_out_it_computes_the_definition(length):
    session, inputs = scan_session("basic", length), some_inputs(2, length)
    np.testing.assert_allclose(session.run(None, inputs)[0], expected(inputs), rtol=0, atol=2e-5)


def test_by_scan_it_computes_the_definition_for_every_batch_and_length():
    session = scan_session("scan", 10)
    for batch, length in ((1, 1), (2, CHUNKS - 1), (3, CHUNKS), (1, CHUNKS + 1), (2, 700)):
        inputs = some_inputs(batch, length)
        np.testing.assert_allclose(
            session.run(None, inputs)[0], expected(inputs), rtol=0, atol=2e-5
        )


@pytest.mark.parametrize("form", ["scan", "basic"])
def test_steps_that_forget_everything_or_nothing_are_no_trouble(form):
    for largest_step in (1e-6, 1e4):  # decays of almost 1, and of 0
        inputs = some_inputs(1, 300, largest_step)
        found, wanted = scan_session(form, 300).run(None, inputs)[0], expected(inputs)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())


def test_basic_means_without_loops():
    nodes = Nodes("n")
    add_scan(nodes, ScanInputs("u", "delta", "A", "B", "C"), "basic", (CHANNELS, STATES), 100)
    kinds = {node.op_type for node in nodes.nodes}
    assert not kinds & {"Scan", "Loop", "If", "CumSum"}
