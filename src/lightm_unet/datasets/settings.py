"""The settings for importing a data set and for drawing an artificial one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

PhantomKind = Literal["ct", "xray"]
PHANTOM_KINDS = get_args(PhantomKind)


@dataclass(frozen=True)
class ImportSettings:
    """Settings of an import."""

    kind: Literal["auto", "montgomery-shenzhen", "lits", "msd"] = "auto"
    """Data set that the folder holds: montgomery-shenzhen, chest X-rays with lung masks; lits, CT
    of livers with tumours; msd, a task of the Medical Segmentation Decathlon; auto looks at the
    files."""
    seed: int = 0
    """Seed of the random split into 70 % training, 10 % validation and 20 % test patients."""


@dataclass(frozen=True)
class PhantomSettings:
    """Settings of an artificial data set."""

    cases: int = 12
    """Number of images."""
    size: int = 64
    """Pixels or voxels along the longest axis, approximately; at least 32."""
    seed: int = 0
    """Seed of all random numbers: the same seed draws the same images."""
