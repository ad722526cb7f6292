"""What a picture file holds before anything is made of it, and how large it may be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lightm_unet.errors import DataError, TooLargeError
from lightm_unet.imaging.limits import check_values

MAX_VALUES = 150_000_000
"""Pixels times channels of the largest picture that is read: 0.6 GB as float32."""
MAX_BYTES = 300_000_000
"""Size of the largest picture, decoded."""


@dataclass(frozen=True, eq=False)
class StoredPicture:
    """A picture's samples, row by row as they lie in the file."""

    samples: np.ndarray
    """`(height, width, 1)`: grey levels, or indices of a palette; `(height, width, 3)`: red, green
    and blue."""
    palette: np.ndarray | None = None
    """`(entries, 3)`, the colour that each index stands for; None where samples are levels."""
    alpha: np.ndarray | None = None
    """`(height, width)`, the opacity; None where there is none or all pixels are opaque."""
    alpha_is_certain: bool = True
    """Whether the file says that this is opacity, not only that there is one more sample."""
    white_is_zero_up_to: int | None = None
    """The level of black where 0 is white; None where black is 0."""
    unfit_for_labels: str = ""
    """Why the samples are no exact numbers, such as lossy compression; empty where they are."""
    orientation: int = 1
    """How a viewer turns the picture, 1 to 8 as in EXIF; the samples are not turned."""
    pictures: int = 1
    """How many pictures the file holds; these are the samples of the first."""


def check_size(path: Path, width: int, height: int, channels: int, bytes_per_sample: float) -> None:
    """Refuse a picture that is empty or too large, before memory is taken for it.

    Args:
        path: the file, for the message.
        width: columns.
        height: rows.
        channels: samples of one pixel, opacity included.
        bytes_per_sample: of the decoded samples.

    Raises:
        DataError: it is empty.
        TooLargeError: it is too large.
    """
    if width < 1 or height < 1:
        raise DataError(
            path, f"a picture of {width}x{height} pixels", "at least one", "export it again"
        )
    values = width * height * channels
    if values > MAX_VALUES or values * bytes_per_sample > MAX_BYTES:
        raise TooLargeError(
            path,
            f"a picture of {width}x{height} pixels with {channels} channel(s)",
            f"at most {MAX_VALUES / 1e6:.0f} million values and {MAX_BYTES / 1e6:.0f} MB",
            "cut it into parts or scale it down",
        )
    check_values(path, (height, width, channels))


def varying_alpha(alpha: np.ndarray, opaque: float) -> np.ndarray | None:
    """The opacity `(height, width)`, or None where all pixels have the value of full opacity."""
    return None if (alpha == opaque).all() else alpha
