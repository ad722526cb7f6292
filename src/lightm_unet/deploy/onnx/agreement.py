"""An ONNX graph under ONNX Runtime against the network under torch.

Torch computes in float64, by its own operations: the native layers' float32 differs from that by up
to 5e-5 in a probability, which would be mistaken for a fault of the graph.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from lightm_unet.deploy.onnx.trace import IMAGE
from lightm_unet.errors import LightMUNetError

TOLERANCE = 1e-4
"""Largest difference of a probability."""


@dataclass(frozen=True)
class Agreement:
    """How far two forms of a network agree."""

    images: int
    """Batches that were compared."""
    voxels: int
    """Voxels in them."""
    difference: float
    """Largest difference of a probability."""
    other_labels: int
    """Voxels with another label; their two largest probabilities are within `TOLERANCE`."""

    def __str__(self) -> str:
        labels = f"{self.other_labels} of {self.voxels:,} labels differ"
        return (
            f"compared with torch on {self.images} inputs: probabilities differ by at most "
            f"{self.difference:.1g}, {labels if self.other_labels else 'all labels are the same'}"
        )


def compare(model: bytes, network: torch.nn.Module, images: Iterable[torch.Tensor]) -> Agreement:
    """Run both on images.

    Args:
        model: the ONNX file's bytes.
        network: in evaluation mode, on the CPU.
        images: `(batch, channels, *spatial)`.

    Raises:
        LightMUNetError: ONNX Runtime cannot run it, or the two do not agree.
    """
    import onnxruntime

    count = voxels = other_labels = 0
    difference = 0.0
    try:
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        for image in images:
            logits = session.run(None, {IMAGE: image.numpy()})[0]
            found = check_agreement(logits, _definition(network, image))
            count, voxels = count + 1, voxels + found.voxels
            difference = max(difference, found.difference)
            other_labels += found.other_labels
    except LightMUNetError:
        raise
    except Exception as error:  # onnxruntime has a class of its own for each kind
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        reason = " ".join(str(error).split())[:300]
        raise LightMUNetError(f"ONNX Runtime cannot run the network: {reason}") from error
    return Agreement(count, voxels, difference, other_labels)


def _definition(network: torch.nn.Module, image: torch.Tensor) -> np.ndarray:
    """A network's logits of an image in float64; in float32 where it cannot compute in another."""
    with torch.inference_mode():
        try:
            return copy.deepcopy(network).double()(image.double()).numpy()
        except RuntimeError:  # a user's network may make float32 tensors of its own
            return network(image).numpy()


def check_agreement(logits: np.ndarray, expected: np.ndarray) -> Agreement:
    """Compare two forms' logits of one batch, `(batch, classes, *spatial)`.

    Raises:
        LightMUNetError: shapes differ, a value is not finite, a probability differs by more than
            `TOLERANCE`, or a label does where the two largest lie further apart.
    """
    if logits.shape != expected.shape:
        raise LightMUNetError(f"ONNX gives logits of {logits.shape}, torch of {expected.shape}")
    ours, theirs = _probabilities(expected), _probabilities(logits)
    difference = float(np.abs(ours - theirs).max())
    if not difference <= TOLERANCE:  # so that NaN is refused too
        raise LightMUNetError(
            f"probabilities under ONNX and torch differ by {difference:.2g}; "
            f"expected {TOLERANCE:g} at most; nothing was written"
        )
    other = ours.argmax(1) != theirs.argmax(1)
    *_, second, first = np.sort(ours, axis=1).swapaxes(0, 1)
    if (other & (first - second > TOLERANCE)).any():
        raise LightMUNetError("ONNX and torch give different labels; nothing was written")
    return Agreement(1, other.size, difference, int(other.sum()))


def _probabilities(logits: np.ndarray) -> np.ndarray:
    return torch.from_numpy(logits).double().softmax(1).numpy()
