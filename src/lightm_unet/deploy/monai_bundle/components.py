"""The parts of a bundle that inference.json names: the network, and the steps around it.

An image passes through a bundle as MONAI expects it, a dictionary whose "image" is the network's
input and whose "pred" is its output; "case" is the name of its mask. What the steps after the
network must know of the file and its grid stays in `Cases`, for MONAI can only collate numbers,
texts and tensors.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform

from lightm_unet.imaging.image import write_labels
from lightm_unet.inference.cases import VOLUME_ENDING, InputCase, find_cases
from lightm_unet.inference.output_folder import check_masks_folder
from lightm_unet.models.model_folder import ModelFolder, load_model
from lightm_unet.preprocessing.apply import GridRecord, preprocess_image
from lightm_unet.preprocessing.restore import restore_logits

MODELS = "models"
"""The bundle's folder with the model's files."""

Item = dict[Hashable, Any]
"""One image on its way."""


def load_network(bundle_root: str | os.PathLike[str]) -> torch.nn.Module:
    """The bundle's trained network, on the CPU in evaluation mode.

    Its weights are a file of safetensors, which holds numbers only: nothing is executed.

    Raises:
        UsageError: the bundle has no model.
        DataError: the model's files are damaged, or do not belong together.
    """
    return _model(bundle_root).network


class Cases(Sequence[Item]):
    """The images of a folder, as the items that go through the bundle.

    `inference.cases.find_cases` says which files are one image, and how its mask is named; masks of
    DICOM are NIfTI.

    Args:
        bundle_root: the bundle's folder.
        dataset_dir: a folder of images, an image, or a zip archive of DICOM.
        output_dir: folder for the masks; made if missing.

    Raises:
        DataError: there is no image, or one cannot be used.
        UsageError: two masks would have one name.
    """

    def __init__(
        self,
        bundle_root: str | os.PathLike[str],
        dataset_dir: str | os.PathLike[str],
        output_dir: str | os.PathLike[str],
    ) -> None:
        self.preprocessing = _model(bundle_root).preprocessing
        self._output = Path(output_dir)
        self._records: dict[str, GridRecord] = {}
        self._cases: dict[str, InputCase] = {}
        channels = self.preprocessing.channels
        images = [Path(dataset_dir)]
        for case in find_cases(images, self._output, channels, dicom_ending=VOLUME_ENDING):
            if case.problem:
                raise case.problem
            assert case.output is not None  # only cases with a problem have none
            self._cases[case.output.name] = case
        check_masks_folder(self._output, list(self._cases))

    def __len__(self) -> int:
        return len(self._cases)

    def __getitem__(self, index: Any) -> Any:
        return {"case": list(self._cases)[index]}

    def read(self, name: str) -> torch.Tensor:
        """Read an image, and make the network's input of it: float32, `(channels, *grid)`.

        Raises:
            DataError: a file cannot be used, or is no image for this model.
        """
        image = self._cases[name].read(self.preprocessing.channels)
        tensor, self._records[name] = preprocess_image(image, self.preprocessing)
        return tensor

    def restore(self, name: str, logits: torch.Tensor) -> np.ndarray:
        """Turn `(classes, *grid)` into labels on the image's own grid: uint8, in its axes."""
        return restore_logits(logits, self._records[name])

    def write(self, name: str, labels: np.ndarray) -> None:
        """Write labels as the image's mask; the image has then passed through."""
        write_labels(labels, self._records.pop(name).geometry, self._output / name)


class ReadAndPrepare(Transform):
    """Read an item's files as its "image", the network's input."""

    def __init__(self, cases: Cases) -> None:
        self._cases = cases

    def __call__(self, data: Item) -> Item:
        """Add "image", float32 `(channels, *grid)`."""
        return {**data, "image": self._cases.read(data["case"])}


class RestoreLabels(Transform):
    """Turn "pred", the logits, into labels on the image's own grid."""

    def __init__(self, cases: Cases) -> None:
        self._cases = cases

    def __call__(self, data: Item) -> Item:
        """Replace "pred", `(classes, *grid)`, by uint8 in the image's axes."""
        labels = self._cases.restore(data["case"], data["pred"])
        return {**data, "pred": torch.from_numpy(labels)}


class WriteMask(Transform):
    """Write "pred", the labels, as the image's mask."""

    def __init__(self, cases: Cases) -> None:
        self._cases = cases

    def __call__(self, data: Item) -> Item:
        """Write one mask; the item stays as it is."""
        self._cases.write(data["case"], data["pred"].numpy())
        return data


def run(evaluator: Any) -> None:
    """Segment all images; a call, because a bundle without expressions can name functions only."""
    evaluator.run()


def _model(bundle_root: str | os.PathLike[str]) -> ModelFolder:
    return _loaded(Path(bundle_root).absolute() / MODELS)


@lru_cache(maxsize=2)
def _loaded(folder: Path) -> ModelFolder:
    """The parts of one bundle share a model; a notebook may hold two."""
    return load_model(folder)
