"""The numbers of each case of a data set, and which of them are unusual.

What is unusual need not be wrong: it is where to look first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lightm_unet.imaging.geometry import canonical_axes
from lightm_unet.imaging.image import Image
from lightm_unet.reporting.palette import Colour, label_colour, on_grey
from lightm_unet.reporting.pictures import Picture, draw_slice, view_slice

PERCENTILES = (0.5, 50, 99.5)
FEWEST_CASES = 5
"""Below so many cases nothing is called unusual."""
FAR = 5.0
"""Robust standard deviations from the median from which on a number is unusual."""
_LEAST_SPREAD = 0.02
"""Of the median, the least that counts as the usual spread: rounding must not make outliers."""
_AXES = ("x", "y", "z")


@dataclass(frozen=True)
class CaseFingerprint:
    """The numbers of one case that could be read."""

    case: str
    part: str
    """imagesTr or imagesTs."""
    shape: tuple[int, ...]
    """In canonical axis order, as are the next two."""
    spacing_mm: tuple[float, ...] | None
    """None for pictures, which store none."""
    extent_mm: tuple[float, ...] | None
    intensities: tuple[float, ...]
    """Smallest, 0.5th percentile, median, 99.5th percentile, largest; mean and deviation."""
    label_voxels: tuple[int, ...] | None
    """Voxels of each label; None without a label map."""
    label_ml: tuple[float, ...] | None
    """Their volume in ml, of flat images their area in cm2; None where the size is unknown."""

    @property
    def numbers(self) -> dict[str, float]:
        """What is compared between cases, by name."""
        found: dict[str, float] = {}
        for name, values in (("size", self.shape), ("spacing", self.spacing_mm)):
            for axis, value in zip(_AXES, values or (), strict=False):
                found[f"{name} {axis}"] = float(value)
        names = ("smallest", "0.5th percentile", "median", "99.5th percentile", "largest", "mean")
        for name, value in zip((*names, "deviation"), self.intensities, strict=True):
            if name not in ("smallest", "largest"):
                found[f"{name} intensity"] = value
        return found


def fingerprint(
    case: str, part: str, image: Image, labels: np.ndarray | None, classes: int
) -> CaseFingerprint:
    """Measure one case.

    Args:
        case: its name.
        part: imagesTr or imagesTs.
        image: all channels.
        labels: its label map, uint8.
        classes: how many labels there are.
    """
    geometry = image.geometry
    axes, _ = canonical_axes(geometry)
    spacing = tuple(geometry.spacing_mm[axis] for axis in axes) if geometry.has_size else None
    shape = tuple(geometry.shape[axis] for axis in axes)
    steps = (slice(None), *(slice(None, None, max(1, n // 128)) for n in geometry.shape))
    values = image.array[steps].astype(np.float64)
    counts = None if labels is None else np.bincount(labels.ravel(), minlength=classes)
    size = abs(float(np.linalg.det(geometry.affine[:3, :3]))) / 1000
    if len(shape) == 2 and spacing:
        size = spacing[0] * spacing[1] / 100
    return CaseFingerprint(
        case=case,
        part=part,
        shape=shape,
        spacing_mm=spacing,
        extent_mm=spacing and tuple(n * mm for n, mm in zip(shape, spacing, strict=True)),
        intensities=(
            float(image.array.min()),
            *(float(value) for value in np.percentile(values, PERCENTILES)),
            float(image.array.max()),
            float(values.mean()),
            float(values.std()),
        ),
        label_voxels=None if counts is None else tuple(counts.tolist()),
        label_ml=None if counts is None or not spacing else tuple((counts * size).tolist()),
    )


def find_outliers(
    cases: Sequence[CaseFingerprint], label_names: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """What is unusual about which case: by its name, in a few words each.

    A number is compared with the median and the median deviation of all cases, which a few wrong
    ones do not move.
    """
    if len(cases) < FEWEST_CASES:
        return {}
    found: dict[str, list[str]] = {}
    compared = [{**each.numbers, **_amounts(each, label_names)} for each in cases]
    for name in dict.fromkeys(name for numbers in compared for name in numbers):
        pairs = [
            (each.case, numbers[name])
            for each, numbers in zip(cases, compared, strict=True)
            if name in numbers
        ]
        if len(pairs) < FEWEST_CASES:
            continue
        values = np.array([value for _, value in pairs])
        median = float(np.median(values))
        spread = max(
            1.4826 * float(np.median(np.abs(values - median))),
            _LEAST_SPREAD * abs(median),
            1e-9,
        )
        for case, value in pairs:
            if abs(value - median) > FAR * spread:
                found.setdefault(case, []).append(f"{name} {value:.4g} (median {median:.4g})")
    return {case: tuple(texts) for case, texts in sorted(found.items())}


def _amounts(case: CaseFingerprint, label_names: Sequence[str]) -> dict[str, float]:
    """How much of each label there is, where it occurs."""
    amounts = case.label_ml or case.label_voxels or ()
    pairs = zip(label_names[1:], amounts[1:], strict=False)
    return {f"amount of {name}": float(amount) for name, amount in pairs if amount}


def draw_thumbnail(image: Image, labels: np.ndarray | None) -> Picture:
    """The axial slice through most of the labels; a picture as it is."""
    mask = np.zeros(image.geometry.shape, np.uint8) if labels is None else labels
    view = view_slice(image.array, [mask], image.geometry, is_photo=image.geometry.is_picture)
    values = np.unique(view.masks[0])
    colours: Mapping[int, Colour] = {
        int(value): on_grey(label_colour(int(value))) for value in values if value
    }
    return draw_slice(view, view.masks[0], view.masks[0], colours)
