"""The positions of an image's voxels, and the conversion to canonical axes.

| image | canonical axes |
| --- | --- |
| volume | those closest to RAS+: first to the right, second to the front, third upwards |
| flat NIfTI | rows and columns as a radiologist looks at the slice, see `canonical_axes` |
| picture, radiograph | its rows and columns as they are: nothing says how they lie |

A single slice is a flat image whichever axis its file keeps the length 1 on. `as_volume` and
`as_slice` go from one view to the other; the voxels are the same, in the same order.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import permutations, product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lightm_unet.imaging.dicom_source import Source
    from lightm_unet.imaging.nifti_header import NiftiHeader

_SQUARE = 1e-5
"""Cosine of an angle up to which it counts as a right angle: headers hold 7 digits."""


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
    """4x4 float64, voxel to world, mm, RAS+. Its first columns belong to the axes of `shape`. The
    identity for pictures: they store no size."""
    unit_axes: int = 0
    """Axes of length 1 that the file has besides `shape`, such as the third of `(i, j, 1)`."""
    header: NiftiHeader | None = None
    """Of the NIfTI file that it was read from, for a mask that lies at the same place."""
    stored_shape: tuple[int, ...] = ()
    """Spatial shape in the file, with all axes of length 1; by default those after `shape`."""
    stored_affine: np.ndarray | None = None
    """The affine of the file's own axes, `stored_shape`, in files without a NIfTI header."""
    dicom: Source | None = None
    """The DICOM images that it was read from, for a segmentation that refers to them."""
    radiograph: bool = False
    """Whether it is a projection, such as a chest X-ray: the pixel size is known, the place in the
    patient is not. Its affine is that of an upright view from the front."""

    def __post_init__(self) -> None:
        if not self.stored_shape:
            object.__setattr__(self, "stored_shape", self.shape + (1,) * self.unit_axes)

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """Voxel size along each array axis, in mm; 1 for pictures."""
        lengths = np.linalg.norm(self.affine[:3, : len(self.shape)], axis=0)
        return tuple(float(length) for length in lengths)

    @property
    def steps_mm(self) -> tuple[float, ...] | np.ndarray:
        """What distances are measured with: `spacing_mm`, or where the axes are not at right
        angles, as in a scan with a tilted gantry, the step along each axis as a column `(3, axes)`.
        """
        steps = self.affine[:3, : len(self.shape)]
        directions = steps / np.linalg.norm(steps, axis=0)
        cosines = directions.T @ directions - np.eye(len(self.shape))
        return steps.copy() if np.abs(cosines).max() > _SQUARE else self.spacing_mm

    @property
    def is_picture(self) -> bool:
        """Whether nothing is known about the directions of the axes: a radiograph, or two axes, no
        header, and no affine but the identity."""
        if self.radiograph:
            return True
        flat = len(self.shape) == 2 and self.header is None and len(self.stored_shape) == 2
        return flat and np.array_equal(self.affine, np.eye(4))

    @property
    def has_size(self) -> bool:
        """Whether the size of its pixels or voxels is known; of pictures it is not."""
        return not (self.is_picture and np.array_equal(self.affine, np.eye(4)))

    def as_volume(self) -> Geometry:
        """A slice as a volume whose third axis has length 1; a volume as it is."""
        if len(self.shape) == 3:
            return self
        return dataclasses.replace(
            self, shape=(*self.shape, 1), unit_axes=max(0, self.unit_axes - 1)
        )

    def as_slice(self) -> Geometry:
        """A volume of one slice as a flat image; anything else as it is.

        Of several axes with one voxel the one closest to upwards is left out, else to the front.
        """
        thin = [axis for axis, length in enumerate(self.shape) if length == 1]
        if len(self.shape) != 3 or not thin:
            return self
        world = _world_axes(self.affine[:3, :3])
        left_out = max(thin, key=lambda axis: world[axis])
        kept = [axis for axis in range(3) if axis != left_out]
        return dataclasses.replace(
            self,
            shape=tuple(self.shape[axis] for axis in kept),
            affine=self.affine[:, [*kept, left_out, 3]],
            unit_axes=self.unit_axes + 1,
        )

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
        spaces = {grid.dicom and grid.dicom.frame_of_reference for grid in (self, other)}
        if len(spaces - {None, ""}) == 2:
            return "another DICOM frame of reference, so that positions cannot be compared"
        ends = [(0, n - 1) for n in self.shape] + [(0,)] * (3 - len(self.shape))
        corners = np.array([[*corner, 1] for corner in product(*ends)], dtype=np.float64)
        apart_mm = np.linalg.norm(corners @ (other.affine - self.affine).T, axis=1).max()
        if apart_mm <= 0.1 * min(self.spacing_mm):
            return None
        return f"an affine that puts voxels up to {apart_mm:.3g} mm away"


def canonical_axes(geometry: Geometry) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """How a file's array axes become canonical ones.

    A flat NIfTI image becomes rows and columns, as a picture has them, however its file stores it:

    | slice | rows run | columns run |
    | --- | --- | --- |
    | axial | from front to back | from the patient's right to the left |
    | coronal | from top to bottom | from the patient's right to the left |
    | sagittal | from top to bottom | from front to back |

    Returns:
        For each canonical axis, the array axis that it is, and whether it must be flipped.

    Example:
        >>> lps = np.diag([-1.0, -1.0, 1.0, 1.0])
        >>> canonical_axes(Geometry((4, 5, 6), lps))
        ((0, 1, 2), (True, True, False))
        >>> canonical_axes(Geometry((4, 5), lps))
        ((1, 0), (False, False))
    """
    if geometry.is_picture:
        return (0, 1), (False, False)
    dims = len(geometry.shape)
    columns = geometry.affine[:3, :dims]
    world = _world_axes(columns)
    # Of a slice the higher world axis comes first, and both run against their world axes.
    axes = tuple(sorted(range(dims), key=lambda axis: world[axis], reverse=dims == 2))
    towards = [columns[world[axis], axis] >= 0 for axis in axes]
    return axes, tuple(bool(along) == (dims == 2) for along in towards)


def left_right_axis(geometry: Geometry) -> int | None:
    """The canonical axis along which left and right lie, for mirroring; None if there is none.

    0 for volumes; 1, the columns, for axial and coronal slices and for pictures, which are taken to
    be upright; None for a sagittal slice.

    Example:
        >>> left_right_axis(Geometry((4, 5, 6), np.eye(4)))
        0
    """
    if geometry.is_picture:
        return 1
    world = _world_axes(geometry.affine[:3, : len(geometry.shape)])
    axes, _ = canonical_axes(geometry)
    return next((number for number, axis in enumerate(axes) if world[axis] == 0), None)


def _world_axes(columns: np.ndarray) -> tuple[int, ...]:
    """The world axis that each array axis is closest to, each taken once.

    All assignments are compared, and equally good ones by the directions that they lead to, so that
    the answer does not depend on the order or direction in which a file keeps its axes. (nibabel
    assigns axis by axis, which does for grids that are turned by about 45 degrees.)

    Args:
        columns: the steps along the array axes, `(3, axes)`.
    """
    # The closest axes at right angles: a shear must not decide.
    left, _, right = np.linalg.svd(columns / np.linalg.norm(columns, axis=0), full_matrices=False)
    directions = left @ right

    def rank(world: tuple[int, ...]) -> tuple[float, list[list[float]]]:
        along = np.array([directions[row, axis] for axis, row in enumerate(world)])
        frame = (directions * np.where(along < 0, -1, 1))[:, np.argsort(world)]
        return round(float(np.abs(along).sum()), 6), frame.round(5).tolist()

    return max(permutations(range(3), columns.shape[1]), key=rank)
