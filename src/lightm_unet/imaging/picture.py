"""Flat pictures as images and as label maps: PNG, TIFF, BMP and JPEG.

One policy for all of them, which docs/formats.md explains: every level is kept or the file is
refused; pixels lie as they are stored; the rest is said in one line of the log.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from lightm_unet.errors import DataError, UsageError
from lightm_unet.imaging.containers.read import read_stored
from lightm_unet.imaging.containers.stored import StoredPicture
from lightm_unet.system.files import open_atomic
from lightm_unet.system.logs import log_once

_FORMATS = {".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP"}
_LARGEST_EXACT = 2**24
"""Images become float32, which holds all whole numbers up to this one."""

_log = logging.getLogger(__name__)


def read_picture(path: Path, channels: int | None = None) -> np.ndarray:
    """Read a picture's intensities.

    Grey keeps its values, those of 16 bits and of floating-point numbers too; where white is 0 they
    are turned, as a viewer shows them. A palette of greys gives grey, another one red, green and
    blue. Rows and columns are those that are stored: notes
    of a camera or a program how to turn the picture are not followed, so that a mask fits.

    Args:
        path: the file.
        channels: 1 makes grey of a colour picture whose three channels are equal, and refuses
            another one; None and any other number accept what is there.

    Returns:
        `(channels, height, width)`, 1 or 3 channels.

    Raises:
        DataError: unreadable, truncated, a wrong checksum, several pictures, levels that would
            change, a picture that lies in its opacity.
    """
    stored = read_stored(path)
    _say_what_is_left_out(stored, path)
    array = _colours(stored, path)
    _check_opacity_of_image(stored, array, path)
    array = _check_exact(np.moveaxis(array, -1, 0), path)
    if channels != 1 or len(array) == 1:
        return array
    array = grey_of_equal(array, path)
    _say(path, "grey", "stored in colour with three equal channels; read as grey")
    return array


def grey_of_equal(array: np.ndarray, path: Path) -> np.ndarray:
    """Grey of colours `(3, ...)` with equal channels: `(1, ...)`.

    Raises:
        DataError: the channels differ.
    """
    if (array != array[:1]).any():
        raise DataError(
            path,
            "a colour picture, 3 channels that differ",
            "1 channel",
            "convert it to grey, for example by saving it as greyscale in an image editor",
        )
    return array[:1]


def read_label_picture(path: Path) -> np.ndarray:
    """Read a picture whose values are labels.

    Labels are the numbers that are stored: grey levels, or the indices of a coloured palette. A
    palette of greys gives its greys; one of black and white alone gives 0 and 1, as a picture of
    one bit does.

    Returns:
        `(height, width)`.

    Raises:
        DataError: as for `read_picture`; lossy compression; colours that stand for no number;
            opacity that varies.
    """
    stored = _read_stored_labels(path)
    if stored.palette is not None:
        return _labels_of_palette(stored, path)
    if stored.white_is_zero_up_to is not None:
        _say(path, "white", "white is 0 in it; the labels are the numbers stored, not those shown")
    array = stored.samples
    if (array != array[..., :1]).any():
        raise DataError(
            path, "a colour picture", "one label value per pixel", "save the mask as grey levels"
        )
    return array[..., 0]


def read_label_colours(path: Path) -> np.ndarray:
    """Read a picture whose colours, not its numbers, say which label a pixel has.

    What makes numbers unfit for labels makes colours unfit too. A picture in which white is 0 is
    refused, as its levels are not what is seen.

    Returns:
        uint8 `(1, height, width)` for grey levels, `(3, height, width)` for colours; those of the
        palette, if it has one.

    Raises:
        DataError: as for `read_label_picture`, but for colours; white at 0; other levels than whole
            numbers from 0 to 255.
    """
    stored = _read_stored_labels(path)
    if stored.white_is_zero_up_to is not None:
        raise DataError(
            path,
            "a mask in which white is 0, so that its numbers are not the greys that are seen",
            "a mask in which black is 0",
            "save the mask as PNG, and name the greys of that file",
        )
    colours = np.moveaxis(_colours(stored, path), -1, 0)
    if not ((colours >= 0) & (colours <= 255) & (colours == np.rint(colours))).all():
        raise DataError(
            path,
            f"the levels {colours.min():g} to {colours.max():g}",
            "whole numbers from 0 to 255 in each channel",
            "save the mask with 8 bits a channel, without scaling or smoothing",
        )
    return colours.astype(np.uint8)


def read_label_palette(path: Path) -> tuple[np.ndarray, tuple[int, ...]] | None:
    """The colours that a palette gives to the numbers that `read_label_picture` returns.

    Returns:
        The palette `(entries, 3)` and the indices that pixels use, in rising order; None where
        labels are grey levels, which includes a palette of greys.

    Raises:
        DataError: as for `read_label_picture`, but for colours.
    """
    stored = _read_stored_labels(path)
    if stored.palette is None or (stored.palette == stored.palette[:, :1]).all():
        return None
    _used_palette(stored, path)  # refuses an index without an entry
    return stored.palette, tuple(np.unique(stored.samples).tolist())


def write_picture(array: np.ndarray, path: Path) -> None:
    """Write `(height, width)` values without loss, in one step.

    Args:
        array: the grey levels or labels, uint8; or uint16 for .png and TIFF.
        path: ends in .png, .tif, .tiff or .bmp.
    """
    from PIL import Image

    dtype = np.uint16 if array.dtype == np.uint16 else np.uint8
    picture = Image.fromarray(np.ascontiguousarray(array, dtype=dtype))
    with open_atomic(path) as file:
        picture.save(file, format=_FORMATS[path.suffix.lower()])


def write_image_picture(array: np.ndarray, path: Path) -> None:
    """Write an image's intensities as PNG without loss, in one step.

    Args:
        array: `(1, height, width)` of whole numbers from 0 to 65535, or `(3, height, width)` of
            whole numbers from 0 to 255: red, green, blue.
        path: ends in .png.

    Raises:
        UsageError: values that such a file cannot hold.
    """
    from PIL import Image

    most = 255 if len(array) == 3 else 65535
    if array.min() < 0 or array.max() > most or (array != np.rint(array)).any():
        raise UsageError(f"a PNG of {len(array)} channel(s) holds whole numbers from 0 to {most}")
    values = array.astype(np.uint8 if array.max() <= 255 else np.uint16)
    picture = Image.fromarray(values[0] if len(array) == 1 else np.moveaxis(values, 0, -1).copy())
    with open_atomic(path) as file:
        picture.save(file, format="PNG")


def _read_stored_labels(path: Path) -> StoredPicture:
    """Read a label map's samples; refuse what no label map can be read from."""
    stored = read_stored(path)
    if stored.unfit_for_labels:
        raise DataError(
            path,
            f"a label map with {stored.unfit_for_labels}",
            "exact labels",
            "export the label map again from where it was drawn, as PNG; in a data set give its "
            "images the same ending",
        )
    if stored.alpha is not None:
        raise DataError(
            path,
            "a label map with transparent pixels",
            "labels without transparency",
            "save the labels as an opaque picture",
        )
    _say_what_is_left_out(stored, path)
    return stored


def _colours(stored: StoredPicture, path: Path) -> np.ndarray:
    """Levels `(height, width, 1 or 3)`."""
    if stored.white_is_zero_up_to is not None:
        return stored.samples.dtype.type(stored.white_is_zero_up_to) - stored.samples
    if stored.palette is None:
        return stored.samples
    palette = _used_palette(stored, path)
    is_grey = (stored.palette == stored.palette[:, :1]).all()
    return (palette[:, :1] if is_grey else palette)[stored.samples[..., 0]]


def _labels_of_palette(stored: StoredPicture, path: Path) -> np.ndarray:
    assert stored.palette is not None
    palette, indices = _used_palette(stored, path), stored.samples[..., 0]
    if (stored.palette == stored.palette[:, :1]).all():
        greys = palette[:, 0]
        black_and_white = np.isin(greys, (0, 255)).all()
        return ((greys > 0).astype(np.uint8) if black_and_white else greys)[indices]
    used = np.unique(indices)
    shown = palette[used]
    if (shown == shown[:, :1]).all() and (shown[:, 0] != used).any():
        raise DataError(
            path,
            "a coloured palette of which the pixels use greys only",
            "labels as grey levels, or as indices of a palette whose colours are used",
            "save the labels as grey levels",
        )
    return indices


def _used_palette(stored: StoredPicture, path: Path) -> np.ndarray:
    """The palette up to the last entry that a pixel uses."""
    assert stored.palette is not None
    last = int(stored.samples.max())
    if last >= len(stored.palette):
        raise DataError(
            path,
            f"the palette index {last}",
            f"0 to {len(stored.palette) - 1}, the entries of the palette",
            "export the picture again",
        )
    return stored.palette[: last + 1]


def _check_opacity_of_image(stored: StoredPicture, array: np.ndarray, path: Path) -> None:
    """Refuse a picture that would be lost with its opacity; otherwise say that this is left out."""
    if stored.alpha is None:
        return
    if not stored.alpha_is_certain or (array == array[:1, :1]).all():
        raise DataError(
            path,
            "one more sample for each pixel, of unknown meaning"
            if not stored.alpha_is_certain
            else "a picture that lies in its opacity alone",
            "grey, or red, green and blue",
            "save it as an opaque grey or RGB picture",
        )
    _say(path, "opacity", "partly transparent; its colours are used as if they were opaque")


def _check_exact(array: np.ndarray, path: Path) -> np.ndarray:
    """Refuse whole numbers that float32 would round."""
    if array.dtype.kind in "ui" and array.dtype.itemsize > 2:
        for row in np.moveaxis(array, 1, 0):
            far = row[(row > _LARGEST_EXACT) | (row < -_LARGEST_EXACT)].astype(np.int64)
            if (far.astype(np.float32).astype(np.int64) != far).any():
                raise DataError(
                    path,
                    f"the level {far[0]}",
                    f"levels from -{_LARGEST_EXACT} to {_LARGEST_EXACT}, which float32 holds",
                    "save it with 16 bits, or as floating-point numbers",
                )
    return array


def _say_what_is_left_out(stored: StoredPicture, path: Path) -> None:
    if stored.orientation != 1:
        _say(
            path,
            "orientation",
            f"has a note to show it turned or mirrored (orientation {stored.orientation}); images "
            "and masks are read as their pixels are stored, so a mask must not be turned either",
        )
    if stored.pictures > 1:
        _say(path, "pictures", f"holds {stored.pictures} pictures; the first one is read")


def _say(path: Path, kind: str, what: str) -> None:
    """Log a remark for the first picture of a folder; the others are as a rule alike."""
    log_once(
        _log, f"{kind} in {path.parent}", f"{path}: {what} (said once for all files of this folder)"
    )
