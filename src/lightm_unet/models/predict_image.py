"""An image to labels and probabilities, by a trained model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from lightm_unet.errors import DataError
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import Image
from lightm_unet.models.likeness import Judgement, TrainingProfile, measure_in_parts
from lightm_unet.models.logits import compute_image_logits, mirrored
from lightm_unet.preprocessing.apply import GridRecord, preprocess_image
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.preprocessing.resizing import row_parts
from lightm_unet.preprocessing.restore import restore_logits, restore_probabilities


class Model(Protocol):
    """What a prediction needs of a model; a `ModelFolder` has it."""

    @property
    def network(self) -> torch.nn.Module:
        """Preprocessed images to logits."""

    @property
    def preprocessing(self) -> Preprocessing:
        """From an image to the network's input."""

    @property
    def profile(self) -> TrainingProfile | None:
        """The usual features of its training images."""


@dataclass(frozen=True)
class ImageLogits:
    """A network's output for one image, with the way back to the image's own grid."""

    logits: torch.Tensor
    """`(classes, *grid)` on the grid that the network saw; every value is finite."""
    record: GridRecord
    """How that grid was made."""
    image: torch.Tensor
    """The network's input, `(channels, *grid)`."""
    release: Callable[[], None] = lambda: None
    """Gives back what large logits, which lie in a file, take in memory."""

    @property
    def geometry(self) -> Geometry:
        """The image's own grid."""
        return self.record.geometry

    @cached_property
    def labels(self) -> np.ndarray:
        """uint8, in the image's own axes and shape."""
        return restore_logits(self.logits, self.record, self.release)

    def probabilities(self, levels: int | None = None) -> Iterator[np.ndarray]:
        """One label's probabilities after the other, see `restore_probabilities`."""
        return restore_probabilities(self.logits, self.record, levels, self.release)


def judge_image(
    profile: TrainingProfile, logits: ImageLogits, label_names: Sequence[str]
) -> Judgement | None:
    """Compare an image with those that the model was trained on; None where that cannot be done."""

    def parts() -> Iterator[torch.Tensor]:
        for rows in row_parts(tuple(logits.logits.shape[1:])):
            yield logits.logits[:, rows].detach().float().softmax(dim=0)
            logits.release()

    return profile.judge(measure_in_parts(logits.image, parts(), label_names))


def predict_image(
    model: Model,
    image: Image,
    *,
    device: torch.device | str = "cpu",
    overlap: float = 0.5,
) -> np.ndarray:
    """The labels that a model gives an image: uint8, in the image's own axes and shape.

    Arguments and errors are those of `image_logits`.
    """
    return image_logits(model, image, device=device, overlap=overlap).labels


def image_logits(
    model: Model,
    image: Image,
    *,
    device: torch.device | str = "cpu",
    overlap: float = 0.5,
) -> ImageLogits:
    """Run a model's network on an image.

    Args:
        model: a model returned by `load_model`; its network is moved to the device.
        image: an image as read from its file.
        device: device that runs the network.
        overlap: of neighbouring sliding windows, 0 to below 1; whole-image models ignore it.

    Raises:
        DataError: the image's dimensions or channels do not match the model; it is far larger than
            any volume that the model was trained on; the network's output holds NaN or infinite
            values, in which no label is the likeliest.
    """
    return prepared_logits(model, prepare_image(model, image), device=device, overlap=overlap)


@dataclass(frozen=True)
class PreparedImage:
    """An image as the network sees it."""

    tensor: torch.Tensor
    """`(channels, *grid)`."""
    record: GridRecord
    """How the grid was made."""
    path: str | Path
    """The image's file, for messages."""


def prepare_image(model: Model, image: Image) -> PreparedImage:
    """What is done with an image before the network runs; it needs no GPU.

    Raises:
        DataError: the image's dimensions or channels do not match the model; it is far larger than
            any volume that the model was trained on.
    """
    tensor, record = preprocess_image(image, model.preprocessing)
    if model.profile is not None:
        model.profile.refuse_other_extent(record.extent_mm, image.path)
    return PreparedImage(tensor, record, image.path)


def prepared_logits(
    model: Model,
    prepared: PreparedImage,
    *,
    device: torch.device | str = "cpu",
    overlap: float = 0.5,
    mirror_axes: Sequence[int] = (),
) -> ImageLogits:
    """Run a model's network on an image that `prepare_image` returned.

    Args:
        model: as `image_logits`, and so are `device` and `overlap`.
        prepared: the image.
        device: device that runs the network.
        overlap: of neighbouring sliding windows.
        mirror_axes: of the network's grid, along which its mirror images are looked at too.

    Raises:
        DataError: the network's output holds NaN or infinite values.
        UsageError: there is no space for the logits of a large image.
    """
    network = mirrored(model.network.to(device).eval(), mirror_axes)
    with torch.inference_mode():
        memory = compute_image_logits(
            network, prepared.tensor.to(device), model.preprocessing, overlap
        )
        logits, finite = memory.tensor, True
        for rows in row_parts(tuple(logits.shape[1:])):
            finite = finite and bool(torch.isfinite(logits[:, rows]).all())
            memory.release()
    if not finite:
        raise DataError(
            prepared.path,
            "an image for which the network gives NaN or infinite values",
            "finite ones",
            "check the model's weights and the image's intensities",
        )
    return ImageLogits(logits, prepared.record, prepared.tensor, memory.release)
