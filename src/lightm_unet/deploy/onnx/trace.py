"""A network as a graph of ONNX's operators, by torch's tracer."""

from __future__ import annotations

import io
import warnings
from collections.abc import Collection

import onnx
import torch
from onnx import GraphProto, ModelProto, NodeProto
from torch import nn

from lightm_unet.deploy.onnx.nodes import Nodes
from lightm_unet.deploy.onnx.operators import DOMAIN, SCAN, known_to_tracer
from lightm_unet.deploy.onnx.scan import ScanInputs, add_scan

OPSET = 17
"""ONNX's set of operators; 17, of 2022, is the first with LayerNormalization."""
IMAGE, LOGITS = "image", "logits"
AXES = {2: ("batch", "channels", "height", "width"), 3: ("batch", "channels", "i", "j", "k")}
"""Names of an image's axes, of a volume's the canonical ones, by the number of spatial ones."""


def trace(
    network: nn.Module, image: torch.Tensor, form: str, free_axes: Collection[int] = ()
) -> ModelProto:
    """The operations of a network on one image.

    Args:
        network: in evaluation mode, on the CPU.
        image: `(batch, channels, *spatial)`.
        form: of selective scans, see `scan`.
        free_axes: of the image, those along which other images may have another size. The
            operations are those for this image: whether they hold for others too must be tried.

    Returns:
        A model with an input `image` and an output `logits`.
    """
    file = io.BytesIO()
    free = {axis: AXES[image.dim() - 2][axis] for axis in free_axes}
    with warnings.catch_warnings(), known_to_tracer(OPSET, not free):
        # The tracer warns of each comparison of sizes, and that dynamo is to follow it: that needs
        # eight times its time, and cannot write a selective scan.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (image,),
            file,  # type: ignore[arg-type]  # the tracer takes one in memory too
            input_names=[IMAGE],
            output_names=[LOGITS],
            opset_version=OPSET,
            dynamic_axes={IMAGE: free} if free else None,
            dynamo=False,
        )
    model = onnx.load_model_from_string(file.getvalue())
    write_scans(model.graph, form)
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    return model


def write_scans(graph: GraphProto, form: str) -> None:
    """Put ONNX's operators in the place of every selective scan."""
    nodes: list[NodeProto] = []
    for number, node in enumerate(graph.node):
        if (node.domain, node.op_type) != (DOMAIN, SCAN):
            nodes.append(node)
            continue
        given = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        scan = Nodes(f"scan{number}/")
        y = add_scan(scan, ScanInputs(*node.input), form, tuple(given["shape"]), given["length"])
        scan.name(y, node.output[0])
        nodes += scan.nodes
        graph.initializer.extend(scan.constants)
    del graph.node[:]
    graph.node.extend(nodes)
