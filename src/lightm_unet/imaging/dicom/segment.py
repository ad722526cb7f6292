"""What a DICOM segmentation says about its segments and about the program that made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

SegmentationType = Literal["binary", "labelmap", "fractional"]
SEGMENTATION_TYPES = get_args(SegmentationType)


class Code(NamedTuple):
    """A concept of SNOMED CT."""

    value: str
    meaning: str


ANATOMICAL_STRUCTURE = Code("123037004", "Anatomical Structure")


@dataclass(frozen=True)
class Segment:
    """One label but the background; its number is its label's value."""

    name: str
    colour: tuple[int, int, int]
    """Red, green, blue, 0 to 255."""
    code: Code | None = None
    """What it is; None where nobody said so. It is then coded by its name alone."""
    category: Code = ANATOMICAL_STRUCTURE
    """What kind of thing `code` is."""


@dataclass(frozen=True)
class Algorithm:
    """What made a segmentation."""

    name: str
    version: str
    parameters: dict[str, str]
    """Such as the hash of the model."""
