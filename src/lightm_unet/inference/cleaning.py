"""Rules that take away from a mask, or add to it, what the network got wrong in a known way.

They are applied label by label, in this order: only the largest part stays, parts below a size go,
holes are filled. A hole is background that the label encloses; another label within it stays. What
is taken away becomes background, and may be filled again by a rule for the label around it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from lightm_unet.errors import DataError, UsageError
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.inference.components import Components, box_of, find_components, voxel_size
from lightm_unet.inference.settings import PredictSettings


@dataclass(frozen=True)
class Cleaning:
    """The rules, with labels by their values."""

    largest: tuple[int, ...] = ()
    """Labels of which only the largest connected part stays."""
    smallest: tuple[tuple[int, float], ...] = ()
    """Labels with the size below which parts go: in mm3, of flat images in mm2."""
    fill: tuple[int, ...] = ()
    """Labels whose holes are filled."""

    @classmethod
    def of(cls, settings: PredictSettings, label_names: Sequence[str]) -> Cleaning:
        """The rules that the settings name, for a model's labels.

        Raises:
            UsageError: a label that the model does not have, or a size that is none.
        """
        smallest = []
        for rule in settings.minimum_size:
            name, equals, size = rule.rpartition("=")
            if not equals:
                raise UsageError(f"minimum_size needs LABEL=MM3, such as liver=500, got {rule!r}")
            smallest.append((_value("minimum_size", name, label_names), _size(rule, size)))
        return cls(
            largest=tuple(
                _value("largest_component", name, label_names)
                for name in settings.largest_component
            ),
            smallest=tuple(smallest),
            fill=tuple(_value("fill_holes", name, label_names) for name in settings.fill_holes),
        )

    def __bool__(self) -> bool:
        return bool(self.largest or self.smallest or self.fill)

    def apply(self, labels: np.ndarray, geometry: Geometry, name: str) -> np.ndarray:
        """A cleaned copy of a mask; the mask itself where there are no rules.

        Args:
            labels: uint8, of `geometry.shape`.
            geometry: the grid.
            name: of the image, for messages.

        Raises:
            DataError: a rule in mm, and an image whose pixels have no known size.
        """
        if not self:
            return labels
        labels = labels.copy()
        for value in self.largest:
            _keep(labels, value, geometry, lambda found: found.order[:1])
        for value, least in self.smallest:
            size = voxel_size(geometry)
            if size is None:
                raise DataError(
                    name,
                    "a picture, which stores no pixel size",
                    "an image with a voxel size, for minimum_size is in mm",
                    "leave the option out, or use an image with a voxel size",
                )
            # A part of exactly this size stays; the product of voxel sizes is rounded.
            _keep(labels, value, geometry, partial(_of_size, least / size[0] * (1 - 1e-6)))
        for value in self.fill:
            _fill_holes(labels, value)
        return labels


def _value(option: str, name: str, label_names: Sequence[str]) -> int:
    if name not in label_names[1:]:
        raise UsageError(
            f"{option} must be one of the model's labels {', '.join(label_names[1:])}, got {name!r}"
        )
    return label_names.index(name, 1)


def _size(rule: str, text: str) -> float:
    try:
        size = float(text)
    except ValueError:
        size = math.nan
    if not 0 <= size < math.inf:
        raise UsageError(f"minimum_size needs a size of 0 or more in mm3, got {rule!r}")
    return size


def _keep(
    labels: np.ndarray,
    value: int,
    geometry: Geometry,
    choose: Callable[[Components], Collection[int]],
) -> None:
    """Make background of the label's parts that are not chosen."""
    found = find_components(labels == value, geometry)
    kept = choose(found)
    if len(kept) < len(found):
        gone = (found.numbers > 0) & ~np.isin(found.numbers, list(kept))
        labels[found.box][gone] = 0


def _of_size(least: float, found: Components) -> list[int]:
    """The parts of at least so many voxels."""
    pairs = zip(found.order, found.voxels, strict=True)
    return [number for number, voxels in pairs if voxels >= least]


def _fill_holes(labels: np.ndarray, value: int) -> None:
    from scipy.ndimage import binary_fill_holes

    box = box_of(labels == value)
    if box is None:
        return
    part = labels[box]  # a view
    part[binary_fill_holes(part == value) & (part == 0)] = value
