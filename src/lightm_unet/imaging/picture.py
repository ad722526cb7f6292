"""Flat pictures by Pillow: PNG, JPEG, TIFF and BMP."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from lightm_unet.errors import DataError
from lightm_unet.system.files import open_atomic, read_bytes

_FORMATS = {".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP"}
_GREY_MODES = ("1", "L", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")


def read_picture(path: Path) -> np.ndarray:
    """Read a picture's intensities.

    Grey keeps its values, 16-bit ones too; colour, palettes and CMYK become red, green, blue; an
    alpha channel is dropped. A rotation note in EXIF is not applied: rows and columns are those
    that are stored, so that a mask fits them.

    Returns:
        `(channels, height, width)`, 1 or 3 channels.

    Raises:
        DataError: unreadable, truncated, a wrong checksum, several frames.
    """
    return _channels(_open(path))


def read_label_picture(path: Path) -> np.ndarray:
    """Read a picture whose values are labels.

    A palette picture's labels are its palette indices. A colour picture is accepted when its
    three channels are equal.

    Returns:
        `(height, width)`.

    Raises:
        DataError: as for `read_picture`, and colours that stand for no number.
    """
    picture = _open(path)
    if picture.mode == "P":
        return np.asarray(picture)
    array = _channels(picture)
    if (array != array[:1]).any():
        raise DataError(
            path, "a colour picture", "one label value per pixel", "save the mask as grey levels"
        )
    return array[0]


def write_picture(array: np.ndarray, path: Path) -> None:
    """Write `(height, width)` uint8 values without loss, in one step.

    Args:
        array: the grey levels or labels.
        path: ends in .png, .tif, .tiff or .bmp.
    """
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(array, dtype=np.uint8))
    with open_atomic(path) as file:
        picture.save(file, format=_FORMATS[path.suffix.lower()])


def _channels(picture) -> np.ndarray:
    """A Pillow image's values, `(channels, height, width)`."""
    if picture.mode == "LA":
        picture = picture.convert("L")
    elif picture.mode not in _GREY_MODES:
        picture = picture.convert("RGB")
    array = np.asarray(picture)
    return array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)


def _open(path: Path):
    """The Pillow image with its pixels loaded and its checksums compared."""
    from PIL import Image

    data = read_bytes(path)
    formats = ("PNG", "JPEG", "TIFF", "BMP")
    try:
        # Loading alone skips the checksums of PNG chunks; verify reads them but spoils the image.
        with Image.open(io.BytesIO(data), formats=formats) as probe:
            probe.verify()
        picture = Image.open(io.BytesIO(data), formats=formats)
        frames = getattr(picture, "n_frames", 1)
        picture.load()
    except Exception as error:  # Pillow's parsers raise many types; the user needs one line
        reason = " ".join(str(error).split()) or type(error).__name__
        reason = "no known picture format" if "BytesIO" in reason else reason
        raise DataError(
            path,
            f"a broken picture ({reason})",
            "a whole PNG, JPEG, TIFF or BMP file",
            "copy or export the file again",
        ) from error
    if frames > 1:
        raise DataError(path, f"{frames} frames", "one picture", "save each frame as its own file")
    return picture
