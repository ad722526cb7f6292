"""The settings for importing a data set and for drawing an artificial one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

PhantomKind = Literal["ct", "xray"]
PHANTOM_KINDS = get_args(PhantomKind)


@dataclass(frozen=True)
class ImportSettings:
    """Settings of an import."""

    kind: Literal["auto", "montgomery-shenzhen", "lits", "msd", "pairs"] = "auto"
    """Data set that the folder holds: montgomery-shenzhen, chest X-rays with lung masks; lits, CT
    of livers with tumours; msd, a task of the Medical Segmentation Decathlon; pairs, a folder of
    images and one of masks with the same names; auto looks at the files."""
    seed: int = 0
    """Seed of the random split into 70 % training, 10 % validation and 20 % test patients."""
    labels: tuple[str, ...] | None = None
    """Names of the labels 1, 2, and so on of pairs, separated by commas."""
    legend: Path | None = None
    """CSV or JSON file that says which colour or grey value of the masks of pairs is which label,
    such as a line #ff0000,liver."""
    patients: str | None = None
    """Regular expression that finds the patient in the path of an image of pairs, by its group if
    it has one; by default every image is of another patient."""
    channel: str | None = None
    """Name of the channel of grey images of pairs; CT asks for CT normalization; by
    default image."""


@dataclass(frozen=True)
class PhantomSettings:
    """Settings of an artificial data set."""

    cases: int = 12
    """Number of images."""
    size: int = 64
    """Pixels or voxels along the longest axis, approximately; at least 32."""
    seed: int = 0
    """Seed of all random numbers: the same seed draws the same images."""
