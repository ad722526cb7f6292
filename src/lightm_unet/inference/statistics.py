"""How much of each label a mask holds: voxels, and volume or area where their size is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightm_unet.imaging.geometry import Geometry
from lightm_unet.inference.components import count_values, voxel_size


@dataclass(frozen=True)
class LabelAmount:
    """How much of one label there is."""

    value: int
    name: str
    voxels: int
    """Of a picture, pixels."""
    share: float
    """Of all voxels, 0 to 1."""
    volume_ml: float | None
    """None in a flat image."""
    area_cm2: float | None
    """None in a volume, and in pictures, which store no size."""


def measure_labels(
    labels: np.ndarray, geometry: Geometry, names: Sequence[str]
) -> list[LabelAmount]:
    """Measure each label but the background.

    Args:
        labels: whole numbers from 0, of `geometry.shape`.
        geometry: the grid.
        names: the index is the label's value.

    Example:
        >>> grid = Geometry((2, 5), np.diag([10.0, 20.0, 1.0, 1.0]), unit_axes=1)
        >>> [amount] = measure_labels(np.eye(2, 5, dtype=int), grid, ["background", "lung"])
        >>> amount.voxels, amount.share, amount.area_cm2
        (2, 0.2, 4.0)
    """
    counts = count_values(labels, len(names))
    size, unit = voxel_size(geometry) or (0.0, "")
    ml = size / 1000 if unit == "mm3" else None
    cm2 = size / 100 if unit == "mm2" else None
    return [
        LabelAmount(
            value=value,
            name=name,
            voxels=int(counts[value]),
            share=float(counts[value] / labels.size),
            volume_ml=None if ml is None else float(counts[value] * ml),
            area_cm2=None if cm2 is None else float(counts[value] * cm2),
        )
        for value, name in enumerate(names)
        if value
    ]
