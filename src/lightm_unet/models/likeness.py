"""Whether an image looks like those that a model was trained on.

A network segments a photograph as readily as an X-ray. A few features of the network's input and
of its probabilities tell most wrong images: brightness, detail at several scales, symmetry, the
coarse layout, and how much of each label was found with which certainty. The training cases give
their mean and covariance; the Mahalanobis distance from them is an image's score.

A warning is no proof that a mask is wrong, and no warning none that it is right.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from lightm_unet.errors import DataError

_PERCENTILES = (2, 10, 25, 50, 75, 90, 98)
_LAYOUT = {2: 16, 3: 8}
"""Voxels along each axis of the coarse layout, in 2D and 3D."""
_SCALES = 6
_CERTAIN = 0.9
_SMALLEST_SHARE = 1e-4
_SMALLEST_STD = 1e-3
_FOLDS = 10
_SHRINKAGE = 0.2
"""Part of the identity in the correlation matrix: few cases do not determine all its entries."""
FEWEST_CASES = 20
"""Fewer training cases than this do not say what is usual."""
LONGER = 1.5
"""A volume may be this many times as long as the longest training volume, along each axis."""

NOT_COMPARED = "too thin to be compared with the images that the model was trained on"
"""What is said of an image of which `TrainingProfile.judge` knows nothing."""


@dataclass(frozen=True, eq=False)
class Measured:
    """The features of one image."""

    features: dict[str, float]
    """Each with its name in words."""
    layout: np.ndarray
    """The image averaged to a few voxels, flat, float32."""


@dataclass(frozen=True)
class Judgement:
    """The comparison of an image with the training images."""

    score: float
    """Mahalanobis distance divided by the root of the number of features: 1 is usual."""
    limit: float
    """Scores above it are unlike the training images."""
    most_unusual: str
    """The feature that is farthest from its mean."""

    @property
    def unlike(self) -> bool:
        """Whether the image is unlike the training images."""
        return self.score > self.limit

    def __str__(self) -> str:
        return (
            f"unlike the images that the model was trained on (score {self.score:.1f}, usual up "
            f"to {self.limit:.1f}), most in its {self.most_unusual}"
        )


@dataclass(frozen=True)
class TrainingProfile:
    """The usual features of a model's training images; stored in model.json."""

    features: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    inverse_correlation: tuple[tuple[float, ...], ...]
    layout: tuple[float, ...]
    """The mean training image, averaged to a few voxels."""
    longest_mm: tuple[float, ...] | None
    """The longest training volume along each canonical axis; None for pictures, whose pixels have
    no size."""
    limit: float
    training_cases: int
    false_alarms: float
    """Fraction of the validation cases above the limit."""

    def refuse_other_extent(self, extent_mm: Sequence[float], path: Path) -> None:
        """Refuse a volume that shows far more of the body than any training volume.

        Args:
            extent_mm: length along each canonical axis.
            path: for messages.

        Raises:
            DataError: it is more than `LONGER` times as long as the longest one, along an axis.
        """
        if self.longest_mm is None:
            return
        pairs = zip(extent_mm, self.longest_mm, strict=True)
        if any(length > LONGER * longest for length, longest in pairs):
            raise DataError(
                path,
                f"a volume of {_in_mm(extent_mm)}",
                f"at most {LONGER:g} times the largest volume that the model was trained on, "
                f"{_in_mm(self.longest_mm)}",
                "cut out the region that the model is for, as its card says",
            )

    def judge(self, measured: Measured) -> Judgement | None:
        """Compare an image with the training images.

        Returns:
            None where it cannot be compared: its grid is too thin for every scale of detail that
            the training images have, or has more of them.
        """
        if (*measured.features, "layout") != self.features:
            return None
        usual = _Usual(*map(np.array, (self.mean, self.std, self.inverse_correlation, self.layout)))
        deviations = usual.deviations(measured)
        most = self.features[int(np.argmax(np.abs(deviations)))]
        return Judgement(usual.score(deviations), self.limit, most)


def measure(
    image: torch.Tensor, probabilities: torch.Tensor, label_names: Sequence[str]
) -> Measured:
    """Measure an image's features.

    Args:
        image: the network's input, float32 `(channels, *grid)`, in canonical axis order.
        probabilities: the network's softmax on the same grid, float32 `(labels, *grid)`.
        label_names: the index is the label's value; 0 is the background.
    """
    return measure_in_parts(image, [probabilities], label_names)


def measure_in_parts(
    image: torch.Tensor, parts: Iterable[torch.Tensor], label_names: Sequence[str]
) -> Measured:
    """As `measure`, with the probabilities in parts along the first axis of the grid."""
    image = image.cpu()
    features = {
        f"brightness (percentile {percent})": float(value)
        for percent, value in zip(
            _PERCENTILES, np.percentile(image.numpy(), _PERCENTILES), strict=True
        )
    }
    features |= _details(image)
    layout = _coarse(image)
    mirrored = layout.flip(0 if layout.dim() == 3 else -1)  # the axis that is left-right
    features["left-right symmetry"] = _correlation(layout, mirrored)
    voxels, unsure = 0, 0
    inside, certainty = np.zeros(len(label_names)), np.zeros(len(label_names))
    for probabilities in parts:
        largest, labels = probabilities.cpu().max(dim=0)
        voxels += labels.numel()
        unsure += int((largest < _CERTAIN).sum())
        counts = torch.bincount(labels.flatten(), minlength=len(label_names))
        sums = torch.bincount(labels.flatten(), largest.flatten().double(), len(label_names))
        inside += counts.numpy()
        certainty += sums.numpy()
    for value, name in enumerate(label_names[1:], start=1):
        share = inside[value] / voxels
        features[f"share of {name}"] = math.log10(share + _SMALLEST_SHARE)
        features[f"certainty of {name}"] = certainty[value] / inside[value] if share else 0.0
    features["share of uncertain voxels"] = math.log10(unsure / voxels + _SMALLEST_SHARE)
    return Measured(features, layout.flatten().numpy())


def fit_profile(
    training: Sequence[Measured],
    validation: Sequence[Measured],
    extents_mm: Sequence[Sequence[float]] = (),
) -> TrainingProfile | None:
    """Learn the usual features, and the limit.

    The limit is the 97.5th percentile of the training cases' scores, each by the other nine tenths
    of the cases, or larger, so that at most 5 % of the validation cases are above it.

    Args:
        training: the features of the training cases.
        validation: those of the validation cases.
        extents_mm: length of each training volume along each canonical axis; none for pictures.

    Returns:
        None where there are fewer than `FEWEST_CASES` training cases, or their grids differ so much
        that some are too thin for a scale of detail that others have.
    """
    if len(training) < FEWEST_CASES:
        return None
    if len({tuple(case.features) for case in (*training, *validation)}) > 1:
        return None
    own: list[float] = []
    for fold in range(_FOLDS):
        others = [case for index, case in enumerate(training) if index % _FOLDS != fold]
        own.extend(_Usual.of(others).scores(training[fold::_FOLDS]))
    usual = _Usual.of(training)
    limit = float(np.quantile(own, 0.975))
    false_alarms = 0.0
    if validation:
        scores = np.sort(usual.scores(validation))
        limit = max(limit, float(scores[-1 - math.floor(0.05 * len(scores))]))
        false_alarms = float((scores > limit).mean())
    return TrainingProfile(
        features=(*training[0].features, "layout"),
        mean=_floats(usual.mean),
        std=_floats(usual.std),
        inverse_correlation=tuple(map(_floats, usual.inverse_correlation)),
        layout=_floats(usual.layout),
        longest_mm=_floats(np.max(extents_mm, axis=0)) if len(extents_mm) else None,
        limit=limit,
        training_cases=len(training),
        false_alarms=false_alarms,
    )


class _Usual(NamedTuple):
    """What `TrainingProfile` holds, as arrays."""

    mean: np.ndarray
    std: np.ndarray
    inverse_correlation: np.ndarray
    layout: np.ndarray

    @classmethod
    def of(cls, cases: Sequence[Measured]) -> _Usual:
        """Of these cases."""
        layout = np.mean([case.layout for case in cases], axis=0)
        values = np.array([_vector(case, layout) for case in cases])
        mean, std = values.mean(axis=0), np.maximum(values.std(axis=0), _SMALLEST_STD)
        deviations = (values - mean) / std
        correlation = deviations.T @ deviations / len(values)
        shrunk = (1 - _SHRINKAGE) * correlation + _SHRINKAGE * np.eye(len(std))
        return cls(mean, std, np.linalg.inv(shrunk), layout)

    def scores(self, cases: Sequence[Measured]) -> list[float]:
        """The score of each case."""
        return [self.score(self.deviations(case)) for case in cases]

    def score(self, deviations: np.ndarray) -> float:
        """Mahalanobis distance divided by the root of the number of features."""
        squared = deviations @ self.inverse_correlation @ deviations
        return math.sqrt(squared / len(deviations))

    def deviations(self, case: Measured) -> np.ndarray:
        """Each feature's distance from its mean, in standard deviations."""
        return (_vector(case, self.layout) - self.mean) / self.std


def _details(image: torch.Tensor) -> dict[str, float]:
    """Log variance of what is lost when voxels are averaged in pairs, at each scale."""
    pool = F.avg_pool2d if image.dim() == 3 else F.avg_pool3d
    details = {}
    level = image[None]
    for scale in range(_SCALES):
        if min(level.shape[2:]) < 2:
            break
        coarser = pool(level, 2)
        lost = level - F.interpolate(coarser, level.shape[2:], mode="nearest")
        details[f"detail of {2**scale} voxels"] = math.log10(float(lost.var()) + 1e-6)
        level = coarser
    return details


def _coarse(image: torch.Tensor) -> torch.Tensor:
    """The channels' mean, averaged to a few voxels along each axis."""
    dims = image.dim() - 1
    pool = F.adaptive_avg_pool2d if dims == 2 else F.adaptive_avg_pool3d
    return pool(image.mean(dim=0, keepdim=True), _LAYOUT[dims])[0]


def _correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    """Pearson's; 0 where one of them is constant."""
    a, b = (each.flatten().double() - each.double().mean() for each in (a, b))
    norms = float(a.norm() * b.norm())
    return float(a @ b) / norms if norms else 0.0


def _vector(measured: Measured, layout: np.ndarray) -> np.ndarray:
    """All features, and last the layout's likeness to the mean one (Fisher's z, at most 3.8)."""
    likeness = _correlation(torch.from_numpy(measured.layout), torch.from_numpy(layout))
    return np.array([*measured.features.values(), math.atanh(np.clip(likeness, -0.999, 0.999))])


def _in_mm(lengths: Sequence[float]) -> str:
    return " x ".join(f"{length:.0f}" for length in lengths) + " mm"


def _floats(values: np.ndarray) -> tuple[float, ...]:
    """Rounded to what a float32 holds: model.json is read by people too."""
    return tuple(float(f"{value:.7g}") for value in values)
