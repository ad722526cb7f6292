"""A model as one ONNX file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import onnx
import torch
from onnx import ModelProto
from torch import nn

from lightm_unet import __version__
from lightm_unet.deploy.onnx.agreement import compare
from lightm_unet.deploy.onnx.metadata import describe
from lightm_unet.deploy.onnx.sizes import pad_and_crop, takes_any_size
from lightm_unet.deploy.onnx.trace import AXES, LOGITS, trace
from lightm_unet.deploy.settings import ExportSettings
from lightm_unet.deploy.writer import Exported
from lightm_unet.errors import UsageError
from lightm_unet.models.model_folder import ModelFolder
from lightm_unet.networks.base import SegmentationNetwork
from lightm_unet.system.files import write_bytes

LARGEST = 2**31 - 2**20
"""Bytes of a file without external data, which is a protocol buffer."""


def write_onnx(model: ModelFolder, path: Path, settings: ExportSettings) -> Exported:
    """Write a model's ONNX file after it agreed with the model.

    Raises:
        UsageError: the size is of other dimensions, or the network too large for one file.
        LightMUNetError: the file would compute something else than the model.
    """
    preprocessing, network = model.preprocessing, model.network.cpu()
    size = settings.size_for(preprocessing.spatial_dims)
    size = size or preprocessing.size or preprocessing.roi_size
    assert size is not None  # `Preprocessing` has one of the two
    form = settings.operators or "scan"
    proto, any_size = build_graph(network, size, form)
    onnx.helper.set_model_props(proto, describe(model, size, any_size))
    data = proto.SerializeToString()
    agreement = compare(data, network, _images(network, size, form, any_size))
    write_bytes(data, path)
    takes = "images of any size" if any_size else f"images of {'x'.join(map(str, size))}"
    return Exported(path, len(data), f"{agreement}; takes {takes}")


def build_graph(network: nn.Module, size: tuple[int, ...], form: str) -> tuple[ModelProto, bool]:
    """The graph of a network: `image` in, `logits` out, both `(batch, channels, *spatial)`.

    Args:
        network: one that `build_network` builds, in evaluation mode, on the CPU.
        size: spatial sizes of the image.
        form: of selective scans. "scan" lets the batch free, and the sizes where one graph holds
            for all; "basic" fixes all of them, with a batch of one.

    Returns:
        The graph, and whether it takes images of any size.
    """
    weights = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    if weights > LARGEST:
        raise UsageError(
            f"the network's weights need {weights / 1e9:.1f} GB, and an ONNX file holds 2 GB at "
            "most (it is written without external data); choose a smaller network"
        )
    any_size = form != "basic" and takes_any_size(network)
    if any_size:
        assert isinstance(network, SegmentationNetwork)
        free_axes = [0, *range(2, 2 + len(size))]
        # On a small image, which takes little time.
        smallest = (network.multiple,) * (len(size) - 1) + (2 * network.multiple,)
        inner = _Compute(network).eval()
        proto = trace(inner, _image(network, 1, smallest), form, free_axes)
        pad_and_crop(proto, network)
    else:
        free_axes = [] if form == "basic" else [0]
        proto = trace(network, _image(network, 1, size), form, free_axes)
    classes = cast(int, network.out_channels)  # an nn.Module declares its attributes as tensors
    shape = [
        name if axis in free_axes else length
        for axis, (name, length) in enumerate(
            zip(AXES[len(size)], (1, classes, *size), strict=True)
        )
    ]
    logits = onnx.helper.make_tensor_value_info(LOGITS, onnx.TensorProto.FLOAT, shape)
    proto.graph.output[0].CopyFrom(logits)
    proto.graph.name = str(network.name)
    proto.producer_name, proto.producer_version = "lightm-unet", __version__
    onnx.checker.check_model(proto, full_check=True)
    return proto, any_size


class _Compute(nn.Module):
    """A network without padding and cropping."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of an image of a size that `compute` takes."""
        logits = self.network.compute(image)
        assert isinstance(logits, torch.Tensor)  # in evaluation mode
        return logits


def _image(network: nn.Module, batch: int, size: tuple[int, ...]) -> torch.Tensor:
    """Noise of mean 0 and deviation 1, as a preprocessed image has them; always the same."""
    generator = torch.Generator().manual_seed(sum(size) + batch)
    return torch.randn(batch, network.in_channels, *size, generator=generator)  # type: ignore[call-overload]


def _images(
    network: nn.Module, size: tuple[int, ...], form: str, any_size: bool
) -> Iterator[torch.Tensor]:
    """Images of the model's own size, and of every kind of size that the graph takes."""
    yield _image(network, 1, size)
    if any_size:
        multiple, others = int(network.multiple), len(size) - 1  # type: ignore[arg-type]
        yield _image(network, 2, (multiple // 2 + 1,) * len(size))
        yield _image(network, 1, (2 * multiple + 1,) + (max(1, multiple - 1),) * others)
    elif form == "scan":
        yield _image(network, 2, size)
    else:
        yield 3 * _image(network, 1, size) + 1
