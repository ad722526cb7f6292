"""The scores of one case, of many cases, and their means.

A case gets one `LabelScores` per class that occurs in its prediction or in its reference. A class
that occurs in neither has no score there: there was nothing to find, and the usual 1 for two empty
masks would raise the mean by cases that say nothing about the masks. nnU-Net's evaluation leaves
them out in the same way.

| the class is in  | dice | iou | hd95 | nsd  |
| ---------------- | ---- | --- | ---- | ---- |
| both masks       | number | number | number | number |
| only one of them | 0    | 0   | none (`inf`) | 0 |
| neither          | none (`nan`) | none | none | none |

The mean of a metric is taken as in the paper: over cases within each class first, then over the
classes, the background left out of both. What has no score is left out and counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import find_objects

from lightm_unet.evaluation.metrics import dice, iou, surface_distances

METRICS = ("dice", "iou", "hd95", "nsd")
"""The four metrics of each class in each case; attributes of `LabelScores`."""
DISTANCES = ("hd95",)
"""Those that exist only where both masks have the class."""


@dataclass(frozen=True)
class LabelScores:
    """How well one class of one case was found; see above for what an empty mask scores."""

    dice: float
    iou: float
    hd95: float
    """In the evaluation's unit; `inf` if exactly one mask is empty, `nan` if both are."""
    nsd: float
    pred_voxels: int
    ref_voxels: int


ABSENT = LabelScores(
    dice=math.nan, iou=math.nan, hd95=math.nan, nsd=math.nan, pred_voxels=0, ref_voxels=0
)
"""A class that is neither in the prediction nor in the reference, and so has no score."""


@dataclass(frozen=True)
class CaseScores:
    """The scores of one case."""

    name: str
    labels: Mapping[int, LabelScores]
    """By label value. A label that is missing here is in neither mask: `of` gives `ABSENT`."""
    spacing: tuple[float, ...]
    """Voxel size along each array axis, in mm, or 1 each where the file stores none."""
    fullness: float = 1.0
    """Volume (in 2D area) of a voxel as a share of its edges' product: 1 at right angles, less
    where the grid is sheared."""

    @property
    def voxel_size(self) -> float:
        """Volume of a voxel in mm³, in 2D area in mm²; 1 where the file stores no size."""
        return math.prod(self.spacing) * self.fullness

    def of(self, label: int) -> LabelScores:
        """The scores of one label value."""
        return self.labels.get(label, ABSENT)

    def occurs(self, label: int) -> bool:
        """Whether a label value is in the prediction or in the reference."""
        scores = self.of(label)
        return scores.pred_voxels + scores.ref_voxels > 0


@dataclass(frozen=True)
class FailedCase:
    """A case that could not be scored, and why, in one line."""

    name: str
    error: str


@dataclass(frozen=True)
class MetricSummary:
    """One metric of one class over all cases; values that are not finite are counted separately."""

    mean: float
    std: float
    """Sample standard deviation; `nan` for fewer than two values."""
    median: float
    n: int
    """Number of cases that `mean`, `std` and `median` are taken over."""
    infinite: int
    """Cases left out because exactly one of their masks has the class (distances only)."""
    undefined: int
    """Cases left out because neither mask has the class."""


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`."""

    label_names: Mapping[int, str]
    """Names of the classes by label value, background left out."""
    cases: tuple[CaseScores, ...]
    failed: tuple[FailedCase, ...]
    """Cases without scores, each with the reason; the command then ends with exit code 1."""
    unit: str
    """Unit of HD95 and the tolerance: "mm", or "px" if the files store no spacing (PNG, JPEG)."""
    tolerance: float
    """Tolerance of the NSD, in `unit`."""
    predictions: Path
    references: Path
    seconds: float
    classes: int | None = None
    """Number of labels, background included, as the masks were read; None if nobody names them."""

    def occurs(self, label: int) -> bool:
        """Whether a label value is in any mask of any case."""
        return any(case.occurs(label) for case in self.cases)

    def summary(self, label: int, metric: str) -> MetricSummary:
        """One of `METRICS` for one label value, over all cases."""
        return summarise([getattr(case.of(label), metric) for case in self.cases])

    def mean(self, metric: str) -> float:
        """Mean over cases within each class, then over the classes; `nan` if there is no value.

        Classes without a value in any case are left out.
        """
        means = [self.summary(label, metric).mean for label in self.label_names]
        return _mean([value for value in means if not math.isnan(value)])

    def case_mean(self, case: CaseScores, metric: str) -> float:
        """Mean of one case over the classes that have a finite value; `nan` if none has."""
        return summarise([getattr(case.of(label), metric) for label in self.label_names]).mean


def score_case(
    name: str,
    pred: np.ndarray,
    ref: np.ndarray,
    spacing: Sequence[float] | np.ndarray,
    tolerance: float,
) -> CaseScores:
    """Score every class that occurs in a predicted or a reference label map.

    Args:
        name: the case's name.
        pred: predicted labels, non-negative integers, `(H, W)` or `(D, H, W)`; 0 is background.
        ref: reference labels, same shape.
        spacing: voxel size along each array axis, in mm (or 1 for pixels); or the step along each
            axis as a column, see `metrics.surface_distances`.
        tolerance: tolerance of the NSD, in the unit of `spacing`.

    Raises:
        ValueError: shapes, or the length of `spacing`, disagree; the tolerance is negative.

    Example:
        >>> ref = np.array([[0, 1, 1, 2]])
        >>> case = score_case("a", np.array([[0, 1, 0, 0]]), ref, (1, 1), 2.0)
        >>> round(case.of(1).dice, 4), case.of(2).dice, case.of(3).dice
        (0.6667, 0.0, nan)
    """
    if pred.shape != ref.shape:
        raise ValueError(f"`pred` and `ref` need one shape, got {pred.shape} and {ref.shape}")
    # Most of a volume is background in both masks: one crop saves time for every class.
    box = next(iter(find_objects(((pred > 0) | (ref > 0)).view(np.uint8))), None)
    labels = {}
    if box is not None:
        pred, ref = pred[box], ref[box]
        for label in present_labels(pred) | present_labels(ref):
            labels[label] = _score_label(pred == label, ref == label, spacing, tolerance)
    lengths, fullness = _measure(np.asarray(spacing, dtype=float))
    return CaseScores(name, labels, lengths, fullness)


def _measure(steps: np.ndarray) -> tuple[tuple[float, ...], float]:
    """Lengths of a voxel's edges, and the share of their product that the voxel fills."""
    if steps.ndim == 1:
        return tuple(steps.tolist()), 1.0
    lengths = np.linalg.norm(steps, axis=0)
    directions = steps / lengths
    # The root of the Gram determinant also holds for two edges in three dimensions.
    fullness = math.sqrt(np.linalg.det(directions.T @ directions))
    return tuple(lengths.tolist()), fullness


def _score_label(
    pred: np.ndarray, ref: np.ndarray, spacing: Sequence[float] | np.ndarray, tolerance: float
) -> LabelScores:
    distances = surface_distances(pred, ref, spacing)
    return LabelScores(
        dice=dice(pred, ref),
        iou=iou(pred, ref),
        hd95=distances.hd95(),
        nsd=distances.nsd(tolerance),
        pred_voxels=int(np.count_nonzero(pred)),
        ref_voxels=int(np.count_nonzero(ref)),
    )


def present_labels(labels: np.ndarray) -> set[int]:
    """The label values above 0 in an integer array.

    Example:
        >>> sorted(present_labels(np.array([[0, 2], [7, 2]])))
        [2, 7]
    """
    # Counting is many times faster than sorting, and masks are uint8 nearly always.
    counted = labels.dtype == np.uint8
    values = np.flatnonzero(np.bincount(labels.ravel())) if counted else np.unique(labels)
    return {int(value) for value in values if value > 0}


def summarise(values: Sequence[float]) -> MetricSummary:
    """Mean, spread and median of the finite values, and how many were not.

    Example:
        >>> summarise([1.0, 3.0, float("inf"), float("nan")])
        MetricSummary(mean=2.0, std=1.4142135623730951, median=2.0, n=2, infinite=1, undefined=1)
    """
    finite = [value for value in values if math.isfinite(value)]
    return MetricSummary(
        mean=_mean(finite),
        std=float(np.std(finite, ddof=1)) if len(finite) > 1 else math.nan,
        median=float(np.median(finite)) if finite else math.nan,
        n=len(finite),
        infinite=sum(math.isinf(value) for value in values),
        undefined=sum(math.isnan(value) for value in values),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
