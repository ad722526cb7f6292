"""How well a predicted mask matches a reference: Dice, IoU, HD95 and surface Dice.

All four compare one class at a time, as boolean arrays in 2D or 3D, and all four have an answer
for empty masks, because well-known tools return `nan`, 0 or 1 there and a mean over cases depends
on which:

| masks            | dice | iou | hd95  | nsd |
| ---------------- | ---- | --- | ----- | --- |
| both empty       | 1    | 1   | `nan` | 1   |
| exactly one empty| 0    | 0   | `inf` | 0   |

HD95 and NSD look at the same thing, the distances between the two boundaries. Finding them is
nearly all the work, so `surface_distances` does it once and both read the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_erosion, find_objects
from scipy.spatial import KDTree

ROUNDING_MM = 1e-6
"""Slack when a distance is compared with a tolerance: 3 voxels of 0.1 mm are within 0.3 mm."""


def dice(pred: np.ndarray, ref: np.ndarray) -> float:
    """Overlap of two masks, 0 (none) to 1 (identical): twice the shared part over the sum of both.

    Args:
        pred: predicted mask, bool, `(H, W)` or `(D, H, W)`.
        ref: reference mask, same shape.

    Returns:
        `2 |pred & ref| / (|pred| + |ref|)`. 1 if both masks are empty, 0 if exactly one is.

    Raises:
        TypeError: a mask is not bool.
        ValueError: the shapes disagree.

    Source: Dice 1945. Agrees with MONAI's `compute_dice` on non-empty masks (MONAI gives `nan`
    when the reference is empty, unless told otherwise).

    Example:
        >>> a = np.array([[1, 1, 0, 0]], dtype=bool)
        >>> b = np.array([[0, 1, 0, 0]], dtype=bool)
        >>> round(dice(a, b), 4)
        0.6667
    """
    _check_masks(pred, ref)
    total = np.count_nonzero(pred) + np.count_nonzero(ref)
    return float(2 * np.count_nonzero(pred & ref) / total) if total else 1.0


def iou(pred: np.ndarray, ref: np.ndarray) -> float:
    """Overlap of two masks, 0 (none) to 1 (identical): the shared part over the union.

    The mean of this value over classes, background left out, is the mIoU of the tables.

    Args:
        pred: predicted mask, bool, `(H, W)` or `(D, H, W)`.
        ref: reference mask, same shape.

    Returns:
        `|pred & ref| / |pred | ref|`. 1 if both masks are empty, 0 if exactly one is.

    Raises:
        TypeError: a mask is not bool.
        ValueError: the shapes disagree.

    Source: Jaccard 1912; equals `dice / (2 - dice)`.

    Example:
        >>> a = np.array([[1, 1, 0, 0]], dtype=bool)
        >>> b = np.array([[0, 1, 0, 0]], dtype=bool)
        >>> iou(a, b)
        0.5
    """
    _check_masks(pred, ref)
    union = np.count_nonzero(pred | ref)
    return float(np.count_nonzero(pred & ref) / union) if union else 1.0


def hd95(pred: np.ndarray, ref: np.ndarray, spacing_mm: Sequence[float] | np.ndarray) -> float:
    """95th-percentile Hausdorff distance in mm: almost the worst gap between two outlines.

    Boundary voxels are foreground voxels with a face neighbour outside the mask; outside the
    image counts as outside the mask. The value is the larger of the two directed 95th
    percentiles; every boundary voxel weighs the same.

    Args:
        pred: predicted mask, bool, `(H, W)` or `(D, H, W)`.
        ref: reference mask, same shape.
        spacing_mm: voxel size along each array axis; see `surface_distances` for sheared grids.

    Returns:
        Distance in mm. 0 for identical non-empty masks, `inf` if exactly one mask is empty,
        `nan` if both are.

    Raises:
        TypeError: a mask is not bool.
        ValueError: shapes, or the length of `spacing_mm`, disagree.

    Source: agrees with MONAI's `compute_hausdorff_distance(percentile=95)` on non-empty masks
    (MONAI gives `inf` or `nan` if either is empty). The surface-distance package weights by
    surface area, so its numbers differ.

    Example:
        >>> a = np.zeros((8, 8), dtype=bool); a[2, 2] = True
        >>> b = np.zeros((8, 8), dtype=bool); b[2, 5] = True
        >>> hd95(a, b, spacing_mm=(1.0, 0.5))
        1.5
    """
    return surface_distances(pred, ref, spacing_mm).hd95()


def nsd(
    pred: np.ndarray,
    ref: np.ndarray,
    spacing_mm: Sequence[float] | np.ndarray,
    tolerance_mm: float = 2.0,
) -> float:
    """Normalised surface Dice: the share of both boundaries that lies within a tolerance.

    Args:
        pred: predicted mask, bool, `(H, W)` or `(D, H, W)`.
        ref: reference mask, same shape.
        spacing_mm: voxel size along each array axis; see `surface_distances` for sheared grids.
        tolerance_mm: the largest distance that still counts as agreement; it is included.

    Returns:
        0 (boundaries everywhere further apart) to 1 (nowhere). 1 if both masks are empty, 0 if
        exactly one is.

    Raises:
        TypeError: a mask is not bool.
        ValueError: shapes, or the length of `spacing_mm`, disagree; the tolerance is negative.

    Source: Nikolov et al. 2018, arXiv 1809.04430, with every boundary voxel weighing the same, as
    in MONAI's `compute_surface_dice(use_subvoxels=False)`. The surface-distance package weights
    by surface area, so its numbers differ.

    Example:
        >>> a = np.zeros((8, 8), dtype=bool); a[2, 2] = True
        >>> b = np.zeros((8, 8), dtype=bool); b[2, 5] = True
        >>> nsd(a, b, spacing_mm=(1.0, 0.5), tolerance_mm=1.5)
        1.0
        >>> nsd(a, b, spacing_mm=(1.0, 1.0), tolerance_mm=1.5)
        0.0
    """
    return surface_distances(pred, ref, spacing_mm).nsd(tolerance_mm)


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances between the boundaries of two masks, in mm, both ways."""

    pred_to_ref: np.ndarray
    """From each boundary voxel of the prediction to the nearest one of the reference; `inf`
    throughout if the reference is empty, no values if the prediction is."""

    ref_to_pred: np.ndarray
    """The same, from the reference to the prediction."""

    def hd95(self) -> float:
        """The larger of the two directed 95th percentiles: see the function `hd95`."""
        if not self.pred_to_ref.size and not self.ref_to_pred.size:
            return float("nan")
        if not self.pred_to_ref.size or not self.ref_to_pred.size:
            return float("inf")
        return float(max(np.percentile(d, 95) for d in (self.pred_to_ref, self.ref_to_pred)))

    def nsd(self, tolerance_mm: float) -> float:
        """The share of both boundaries within `tolerance_mm`: see the function `nsd`."""
        if not tolerance_mm >= 0:
            raise ValueError(f"`tolerance_mm` needs 0 or a positive number, got {tolerance_mm}")
        boundary = self.pred_to_ref.size + self.ref_to_pred.size
        if not boundary:
            return 1.0
        limit = tolerance_mm + ROUNDING_MM
        within = sum(np.count_nonzero(d <= limit) for d in (self.pred_to_ref, self.ref_to_pred))
        return float(within / boundary)


def surface_distances(
    pred: np.ndarray, ref: np.ndarray, spacing_mm: Sequence[float] | np.ndarray
) -> SurfaceDistances:
    """How far each boundary voxel of either mask is from the other mask's boundary, in mm.

    Args:
        pred: predicted mask, bool, `(H, W)` or `(D, H, W)`.
        ref: reference mask, same shape.
        spacing_mm: voxel size along each array axis; or, where the axes are not at right angles,
            the step along each of them as a column, `(world axes, array axes)`, in mm.

    Raises:
        TypeError: a mask is not bool.
        ValueError: shapes, or the length of `spacing_mm`, disagree.

    Example:
        >>> a = np.zeros((8, 8), dtype=bool); a[2, 2] = True
        >>> b = np.zeros((8, 8), dtype=bool); b[2, 5] = b[2, 7] = True
        >>> surface_distances(a, b, spacing_mm=(1.0, 1.0))
        SurfaceDistances(pred_to_ref=array([3.]), ref_to_pred=array([3., 5.]))
        >>> steps = np.array([[1.0, 4.0], [0.0, 1.0]])  # each column lies 4 mm further down
        >>> surface_distances(a, b, steps).pred_to_ref.round(2)
        array([12.37])
    """
    _check_masks(pred, ref)
    steps = np.asarray(spacing_mm, dtype=float)
    if steps.shape[-1:] != (pred.ndim,):
        found = steps.shape[-1] if steps.ndim else 1
        raise ValueError(
            f"`spacing_mm` needs {pred.ndim} values for a {pred.ndim}D mask, got {found}"
        )
    box = _bounding_box(pred | ref)
    # Cropping never removes a background neighbour inside the image, and erosion treats what is
    # beyond the crop as background, which is what lies there.
    from_pred, from_ref = (
        _boundary(mask[box]) * steps if steps.ndim == 1 else _boundary(mask[box]) @ steps.T
        for mask in (pred, ref)
    )
    return SurfaceDistances(_nearest(from_pred, from_ref), _nearest(from_ref, from_pred))


def _check_masks(pred: np.ndarray, ref: np.ndarray) -> None:
    for name, mask in (("pred", pred), ("ref", ref)):
        if mask.dtype != np.bool_:
            raise TypeError(f"`{name}` needs a bool mask, got {mask.dtype}; compare with a label")
    if pred.shape != ref.shape:
        raise ValueError(f"`pred` and `ref` need one shape, got {pred.shape} and {ref.shape}")


def _bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    boxes = find_objects(mask.view(np.uint8))
    return boxes[0] if boxes else tuple(slice(0, 0) for _ in mask.shape)


def _boundary(mask: np.ndarray) -> np.ndarray:
    """Indices `(n, ndim)` of the foreground voxels with a face neighbour outside the mask."""
    if not mask.any():
        return np.empty((0, mask.ndim))
    return np.argwhere(mask & ~binary_erosion(mask))


def _nearest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance from each of `points` to the nearest of `others`; `inf` if there are none.

    A k-d tree over boundary voxels: 5 times faster than a distance transform of a liver's
    bounding box at full resolution (0.27 s against 1.3 s), and its memory grows with the surface.
    """
    if not len(points) or not len(others):
        return np.full(len(points), np.inf)
    return np.asarray(KDTree(others, leafsize=32).query(points)[0])
