"""The connected parts of a mask.

Two voxels are connected if they touch, be it at a corner. What is found does not depend on how a
file keeps its axes: parts of the same size are ordered by their place in the world.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lightm_unet.imaging.geometry import Geometry
from lightm_unet.preprocessing.resizing import row_parts

_SAME_PLACE = 3
"""Decimals of a mm to which places are compared."""


@dataclass(frozen=True, eq=False)
class Components:
    """The connected parts of a mask, the largest first."""

    box: tuple[slice, ...]
    """The part of the grid that holds all of them."""
    numbers: np.ndarray
    """int32 within the box: 0 outside the mask, else a number from 1 in no special order."""
    order: tuple[int, ...]
    """The numbers, the largest part's first."""
    voxels: tuple[int, ...]
    """Of each part, in the same order."""

    def __len__(self) -> int:
        return len(self.order)

    def parts(self, most: int) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
        """The largest parts: the box of each on the whole grid, and its mask within that box."""
        from scipy.ndimage import find_objects

        boxes = find_objects(self.numbers)
        for number in self.order[:most]:
            box = boxes[number - 1]
            yield moved(box, self.box), self.numbers[box] == number


def find_components(mask: np.ndarray, geometry: Geometry) -> Components:
    """Split a mask into its connected parts.

    Args:
        mask: bool, of `geometry.shape`.
        geometry: the grid.

    Example:
        >>> row = np.array([[True, True, False, True]])
        >>> find_components(row, Geometry((1, 4), np.eye(4))).voxels
        (2, 1)
    """
    from scipy.ndimage import find_objects, label

    box = box_of(mask)
    if box is None:
        return Components((slice(0, 0),) * mask.ndim, np.zeros((0,) * mask.ndim, np.int32), (), ())
    numbers, count = label(mask[box], np.ones((3,) * mask.ndim))
    sizes = count_values(numbers, count + 1)[1:]
    order = np.argsort(-sizes, kind="stable")
    if len(np.unique(sizes)) < count:  # some are of the same size
        # The middle of a part's box is the same however the axes are kept.
        middles = [[(s.start + s.stop - 1) / 2 for s in each] for each in find_objects(numbers)]
        places = world(np.array(middles) + [each.start for each in box], geometry)
        order = np.lexsort((*places.round(_SAME_PLACE).T[::-1], -sizes))
    return Components(
        box, numbers, tuple(int(each) + 1 for each in order), tuple(map(int, sizes[order]))
    )


def count_values(array: np.ndarray, count: int) -> np.ndarray:
    """How often each of the numbers from 0 to below `count` occurs.

    As `np.bincount`, which takes eight bytes for each voxel, in parts.

    Example:
        >>> count_values(np.array([[0, 2], [2, 0]]), 3).tolist()
        [2, 0, 2]
    """
    parts = (array[rows] for rows in row_parts(array.shape))
    return sum((np.bincount(p.ravel(), minlength=count) for p in parts), np.zeros(count, np.int64))


def box_of(mask: np.ndarray) -> tuple[slice, ...] | None:
    """The smallest box that holds a mask; None if nothing is in it.

    Example:
        >>> box_of(np.array([[False, True, False]]))
        (slice(0, 1, None), slice(1, 2, None))
    """
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        held = np.flatnonzero(mask.any(axis=others))
        if not held.size:
            return None
        box.append(slice(int(held[0]), int(held[-1]) + 1))
    return tuple(box)


def moved(box: tuple[slice, ...], outer: tuple[slice, ...]) -> tuple[slice, ...]:
    """A box within another one, on the grid of the other."""
    pairs = zip(box, outer, strict=True)
    return tuple(slice(each.start + o.start, each.stop + o.start) for each, o in pairs)


def world(voxels: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Places of voxels `(count, axes)` in the world, `(count, 3)`, in mm, RAS+."""
    steps = geometry.affine[:3, : len(geometry.shape)]
    return voxels @ steps.T + geometry.affine[:3, 3]


def voxel_size(geometry: Geometry) -> tuple[float, str] | None:
    """The size of a voxel, in mm3, or of a flat image's pixel, in mm2; None if nobody knows it.

    Example:
        >>> voxel_size(Geometry((4, 5, 6), np.diag([1.0, 2.0, 3.0, 1.0])))
        (6.0, 'mm3')
    """
    steps = geometry.affine[:3, :3]
    if len(geometry.shape) == 3:
        return abs(float(np.linalg.det(steps))), "mm3"
    if geometry.has_size:
        return float(np.linalg.norm(np.cross(steps[:, 0], steps[:, 1]))), "mm2"
    return None
