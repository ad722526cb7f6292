"""Images of any size: padded at the start of a graph, cropped at its end.

What `SegmentationNetwork.pad` and `crop` do, as nodes.
"""

from __future__ import annotations

from onnx import ModelProto, TensorProto

from lightm_unet.deploy.onnx.nodes import Nodes
from lightm_unet.deploy.onnx.trace import IMAGE, LOGITS
from lightm_unet.networks.base import SegmentationNetwork

PADDED_IMAGE, PADDED_LOGITS = "padded_image", "padded_logits"


def takes_any_size(network: object) -> bool:
    """Whether one graph holds for images of all sizes of this network."""
    return (
        isinstance(network, SegmentationNetwork)
        and network.same_for_all_sizes
        and type(network).pad is SegmentationNetwork.pad
        and type(network).forward is SegmentationNetwork.forward
    )


def pad_and_crop(model: ModelProto, network: SegmentationNetwork) -> None:
    """Let a graph of `network.compute` take images of any size.

    Args:
        model: its sizes along all spatial axes are free. It is changed.
        network: one that `takes_any_size`.
    """
    graph, axes = model.graph, list(range(2, 2 + network.spatial_dims))
    for node in graph.node:
        node.input[:] = [PADDED_IMAGE if name == IMAGE else name for name in node.input]
        node.output[:] = [PADDED_LOGITS if name == LOGITS else name for name in node.output]
    before, after = Nodes("pad/"), Nodes("crop/")
    size = before.add("Shape", IMAGE, start=2)
    missing = before.add("Sub", _padded(before, size, network), size)
    none = before.constant([0] * (2 + network.spatial_dims))
    pads = before.add("Concat", none, before.constant([0, 0]), missing, axis=0)
    before.name(before.add("Pad", IMAGE, pads, mode="edge"), PADDED_IMAGE)
    starts = after.constant([0] * network.spatial_dims)
    after.name(after.add("Slice", PADDED_LOGITS, starts, size, after.constant(axes)), LOGITS)
    nodes = [*before.nodes, *graph.node, *after.nodes]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*before.constants, *after.constants])


def _padded(nodes: Nodes, size: str, network: SegmentationNetwork) -> str:
    """The size at which `compute` takes an image of another size."""
    multiple, most = nodes.constant([network.multiple]), nodes.constant([network.multiple - 1])
    count = nodes.add("Div", nodes.add("Add", size, most), multiple)  # at the lowest resolution
    if network.two_at_lowest:
        largest = nodes.add("ReduceMax", count, keepdims=1)
        only_one = nodes.add("Equal", largest, nodes.constant([1]))
        last = nodes.constant([0] * (network.spatial_dims - 1) + [1])
        more = nodes.add("Mul", nodes.add("Cast", only_one, to=TensorProto.INT64), last)
        count = nodes.add("Add", count, more)
    return nodes.add("Mul", count, multiple)
