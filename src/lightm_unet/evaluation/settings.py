"""The settings of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class EvaluationSettings:
    """Settings of an evaluation."""

    images: Path | None = None
    """Folder of images to draw the masks on in the report; by default those of the data set."""
    labels: tuple[str, ...] | None = None
    """Names of the label values 1, 2, and so on; by default those of the data set, or those
    recorded beside predicted masks."""
    tolerance_mm: float = 2.0
    """Distance in mm up to which two boundaries count as the same, for the surface Dice; in pixels
    for images that store no voxel size."""
