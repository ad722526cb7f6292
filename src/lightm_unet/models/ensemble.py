"""Several models on one image: the mean of their probabilities, on the image's own grid.

The models may differ in everything but their labels and channels: network, voxel size, image size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lightm_unet.errors import UsageError
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.models.model_folder import ModelFolder
from lightm_unet.models.predict_image import ImageLogits


@dataclass(frozen=True)
class EnsembleLogits:
    """What several networks make of one image; to be used as the `ImageLogits` of one."""

    members: tuple[ImageLogits, ...]
    """The first is the one that is compared with its training images."""

    @property
    def geometry(self) -> Geometry:
        """The image's own grid."""
        return self.members[0].geometry

    @property
    def labels(self) -> np.ndarray:
        """uint8, in the image's own axes and shape."""
        return self._winners[0]

    def probabilities(self, levels: int | None = None) -> Iterator[np.ndarray]:
        """One label's mean probabilities after the other, see `restore_probabilities`."""
        labels, best = self._winners
        largest = best if levels is None else np.rint(best * levels)
        below = np.nextafter(best, np.float32(0)) if levels is None else largest - 1
        for value, mean in enumerate(self._means()):
            rounded = mean if levels is None else np.rint(mean * levels)
            chosen = np.where(labels == value, largest, np.minimum(rounded, below))
            yield chosen.astype(np.float32 if levels is None else np.uint16)

    @cached_property
    def _winners(self) -> tuple[np.ndarray, np.ndarray]:
        """The likeliest label of each voxel, and its probability."""
        labels = np.zeros(self.geometry.shape, np.uint8)
        best = np.full(self.geometry.shape, -1, np.float32)
        for value, mean in enumerate(self._means()):
            larger = mean > best
            labels[larger] = value
            np.maximum(best, mean, out=best)
        return labels, best

    def _means(self) -> Iterator[np.ndarray]:
        for maps in zip(*(member.probabilities() for member in self.members), strict=True):
            mean = maps[0].copy()
            for each in maps[1:]:
                mean += each
            mean /= np.float32(len(maps))
            yield mean


def check_members(models: Sequence[ModelFolder]) -> None:
    """Refuse models that cannot vote together.

    Raises:
        UsageError: one has other labels, channels or dimensions than the first.
    """
    first = models[0]
    for model in models[1:]:
        pairs = {
            "labels": (model.label_names, first.label_names),
            "channels": (_channels(model), _channels(first)),
            "dimensions": (model.preprocessing.spatial_dims, first.preprocessing.spatial_dims),
        }
        for what, (mine, others) in pairs.items():
            if mine != others:
                raise UsageError(
                    f"ensemble needs models with the {what} of {first.path}, {_shown(others)}; "
                    f"{model.path} has {_shown(mine)}"
                )


def _channels(model: ModelFolder) -> object:
    names = model.card.get("channels")
    return tuple(map(str, names)) if names else model.preprocessing.channels


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
