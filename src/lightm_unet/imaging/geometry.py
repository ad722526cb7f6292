"""The positions of an image's voxels, and the conversion to canonical axes.

Canonical axes are those closest to RAS+ for volumes (first axis to the right, second to the front,
third upwards). Pictures and flat NIfTI keep their axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np


@dataclass(frozen=True, eq=False)
class Geometry:
    """The positions of an image's voxels.

    Example:
        >>> Geometry((4, 5), np.diag([0.5, 2.0, 1.0, 1.0])).spacing_mm
        (0.5, 2.0)
    """

    shape: tuple[int, ...]
    """Spatial shape in the file's own array order: `(i, j, k)` or `(i, j)` for NIfTI,
    `(height, width)` for pictures."""
    affine: np.ndarray
    """4x4 float64, voxel to world, mm, RAS+. The identity for pictures: they store no size."""
    unit_axes: int = 0
    """Axes of length 1 that the file has after `shape`, such as the third of `(i, j, 1)`."""

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """Voxel size along each array axis, in mm; 1 for pictures."""
        lengths = np.linalg.norm(self.affine[:3, : len(self.shape)], axis=0)
        return tuple(float(length) for length in lengths)

    def difference(self, other: Geometry) -> str | None:
        """The difference between another grid and this one, in a few words; None if they agree.

        Two affines agree when they put every corner of the grid within a tenth of this grid's
        smallest voxel edge: files round their affines differently.

        Example:
            >>> grid = Geometry((4, 5), np.eye(4))
            >>> grid.difference(Geometry((4, 6), np.eye(4)))
            'shape (4, 6) against (4, 5)'
        """
        if other.shape != self.shape:
            return f"shape {other.shape} against {self.shape}"
        ends = [(0, n - 1) for n in self.shape] + [(0,)] * (3 - len(self.shape))
        corners = np.array([[*corner, 1] for corner in product(*ends)], dtype=np.float64)
        apart_mm = np.linalg.norm(corners @ (other.affine - self.affine).T, axis=1).max()
        if apart_mm <= 0.1 * min(self.spacing_mm):
            return None
        return f"an affine that puts voxels up to {apart_mm:.3g} mm away"


def canonical_axes(geometry: Geometry) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """How a file's array axes become canonical ones.

    Returns:
        For each canonical axis, the array axis that it is, and whether it must be flipped.

    Example:
        >>> lps = Geometry((4, 5, 6), np.diag([-1.0, -1.0, 1.0, 1.0]))
        >>> canonical_axes(lps)
        ((0, 1, 2), (True, True, False))
    """
    if len(geometry.shape) == 2:
        return (0, 1), (False, False)
    from nibabel.orientations import io_orientation

    orientation = io_orientation(geometry.affine)  # per array axis: canonical axis, direction
    axes = tuple(int(axis) for axis in np.argsort(orientation[:, 0]))
    return axes, tuple(bool(orientation[axis, 1] < 0) for axis in axes)
