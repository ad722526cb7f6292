"""What `check_dataset` finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lightm_unet.datasets.fingerprint import CaseFingerprint


@dataclass(frozen=True)
class Problem:
    """One thing to put right."""

    case: str
    """The case's name; empty where it concerns the whole data set."""
    message: str
    """One line: the file, what was found, what was expected, what to do."""


@dataclass(frozen=True)
class Spread:
    """Smallest, median and largest value along each axis, in canonical axis order."""

    min: tuple[float, ...]
    median: tuple[float, ...]
    max: tuple[float, ...]


@dataclass(frozen=True)
class DatasetReport:
    """The content of a data set; the numbers cover the training cases that could be read."""

    cases: int
    """Training cases, the broken ones included."""
    problems: tuple[Problem, ...]
    shapes: Spread | None
    """Voxels or pixels along each axis; None where no case could be read."""
    spacings_mm: Spread | None
    """Voxel sizes in mm; None for pictures, which store none."""
    label_voxels: dict[str, int]
    """Voxels of each label, over all cases."""
    label_cases: dict[str, int]
    """Cases in which each label occurs."""
    intensity_range: tuple[float, float] | None
    """Smallest and largest intensity of any image."""
    test_cases: int = 0
    """Cases of imagesTs, the broken ones included."""
    warnings: tuple[str, ...] = ()
    """What should be known but stops nothing, such as one image under two names; one line each."""
    mirroring: str = ""
    """The axes that training does not mirror since labels name sides along them; or empty."""
    fingerprints: tuple[CaseFingerprint, ...] = ()
    """The numbers of each case that could be read."""
    outliers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What is unusual about a case, by its name; unusual need not be wrong."""

    @property
    def ok(self) -> bool:
        """Whether the data set has no problem."""
        return not self.problems
