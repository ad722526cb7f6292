"""TIFF and BigTIFF: grey, RGB and palettes of any depth, in strips or tiles, one page.

tifffile reads the structure; `segments` makes samples of the strips and tiles. Pillow decodes what
is packed as JPEG or as a fax, where it keeps every level.
"""

from __future__ import annotations

import io
import itertools
import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightm_unet.errors import DataError
from lightm_unet.imaging.containers import segments
from lightm_unet.imaging.containers.pillow import libtiff_is_silent, open_pillow, pixels
from lightm_unet.imaging.containers.stored import StoredPicture, check_size, varying_alpha

if TYPE_CHECKING:
    from tifffile import TiffPage

# What is wrong with a file is one error; tifffile's remarks would be further lines.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_COLOURS = {
    4: "a transparency mask", 5: "CMYK", 6: "YCbCr", 8: "CIE L*a*b*", 9: "ICC L*a*b*",
    10: "ITU L*a*b*", 32803: "a colour filter array", 34892: "linear raw",
}  # fmt: skip
_JPEG, _FAXES = 7, (2, 3, 4)
_PACKED = {
    segments.NONE: "none", segments.LZW: "LZW", segments.DEFLATE: "deflate",
    segments.OLD_DEFLATE: "deflate", segments.PACKBITS: "PackBits",
}  # fmt: skip
# By SampleFormat (1 unsigned, 2 signed, 3 floating point, 4 undefined): bits and numpy's types.
_UNSIGNED = {bits: "u1" if bits <= 8 else "u2" for bits in range(1, 17)} | {32: "u4"}
_TYPES = {
    1: _UNSIGNED, 2: {8: "i1", 16: "i2", 32: "i4"}, 3: {16: "f2", 32: "f4", 64: "f8"}, 4: _UNSIGNED
}  # fmt: skip


def read_tiff(data: bytes, path: Path) -> StoredPicture:
    """Read a TIFF of one page."""
    from tifffile import TiffFile, TiffPage

    with TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        assert isinstance(page, TiffPage)  # the first is read whole
        pages = len(file.pages)
        if pages > 1 or page.imagedepth > 1 or _hidden_pages(page):
            count = max(pages, page.imagedepth, _hidden_pages(page))
            raise DataError(
                path, f"{count} frames", "one picture", "save each frame as its own file"
            )
        orientation = page.tags.valueof(274, 1)
        orientation = orientation if orientation in range(1, 9) else 1
        if page.compression == _JPEG or page.compression in _FAXES:
            return _by_pillow(data, page, orientation, path)
        return _by_segments(data, page, orientation, path)


def _by_segments(data: bytes, page: TiffPage, orientation: int, path: Path) -> StoredPicture:
    colours = {_RGB: 3, _WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _PALETTE: 1}.get(page.photometric)
    if colours is None:
        name = _COLOURS.get(int(page.photometric), f"photometric interpretation {page.photometric}")
        raise DataError(path, f"a TIFF in {name}", "grey, RGB or a palette", "convert it to RGB")
    bits, dtype = _sample_type(page, path)
    samples = page.samplesperpixel
    check_size(path, page.imagewidth, page.imagelength, samples, max(dtype.itemsize, bits / 8))
    if not colours <= samples <= colours + 1:
        raise DataError(
            path,
            f"{samples} samples for each pixel",
            f"{colours}, or one more for opacity",
            "save each channel as its own file",
        )
    array = _samples(data, page, bits, dtype, path)
    alpha = None
    opaque = 2**bits - 1 if dtype.kind == "u" else np.iinfo(dtype).max if dtype.kind == "i" else 1
    if samples > colours:
        alpha = varying_alpha(array[..., colours], opaque)
    white_is_zero = page.photometric == _WHITE_IS_ZERO
    if white_is_zero and dtype.kind != "u":
        raise DataError(
            path,
            "a TIFF in which white is 0 with signed or floating-point levels",
            "black at 0",
            "save it with black at 0",
        )
    return StoredPicture(
        array[..., :colours],
        _palette(page, bits) if page.photometric == _PALETTE else None,
        alpha,
        alpha_is_certain=any(int(kind) in (1, 2) for kind in page.extrasamples),
        white_is_zero_up_to=int(opaque) if white_is_zero else None,
        orientation=orientation,
    )


def _samples(data: bytes, page: TiffPage, bits: int, dtype: np.dtype, path: Path) -> np.ndarray:
    """All samples, `(height, width, samples)`, in the machine's byte order."""
    _check_packing(page, bits, dtype, path)
    width, height, samples = page.imagewidth, page.imagelength, page.samplesperpixel
    planes = samples if page.planarconfig == 2 else 1
    across, down = (
        (page.tilewidth, page.tilelength)
        if page.is_tiled
        else (width, min(max(page.rowsperstrip, 1), height))
    )
    if min(across, down) < 1:
        raise ValueError("its tiles have no pixels")
    check_size(path, across, down, samples // planes, max(dtype.itemsize, bits / 8))
    needed = planes * -(-height // down) * -(-width // across)
    if not len(page.dataoffsets) == len(page.databytecounts) == needed:
        raise ValueError(f"{len(page.dataoffsets)} strips or tiles where {needed} are needed")
    corners = itertools.product(range(planes), range(0, height, down), range(0, width, across))
    array = np.empty((height, width, samples), dtype.newbyteorder("="))
    row_bytes = -(-across * (samples // planes) * bits // 8)
    for (plane, top, left), offset, count in zip(
        corners, page.dataoffsets, page.databytecounts, strict=True
    ):
        rows = down if page.is_tiled else min(down, height - top)
        packed = data[offset : offset + count]
        if len(packed) < count:
            raise ValueError("the file is cut short")
        unpacked = segments.unpack(packed, page.compression, rows * row_bytes)
        part = segments.to_samples(
            unpacked, rows, across, samples // planes, dtype, bits, page.predictor
        )
        channels = slice(plane, plane + 1) if planes > 1 else slice(None)
        target = array[top : top + down, left : left + across, channels]
        target[:] = part[: target.shape[0], : target.shape[1]]
    return array


def _check_packing(page: TiffPage, bits: int, dtype: np.dtype, path: Path) -> None:
    """Refuse what `segments` does not undo."""
    predictor = page.predictor
    if page.compression not in _PACKED:
        raise DataError(
            path,
            f"a TIFF packed by {getattr(page.compression, 'name', page.compression)}",
            "none, LZW, deflate, PackBits, JPEG or fax",
            "save it without compression, or as PNG",
        )
    fits = {1: True, 2: dtype.kind in "ui" and bits in (8, 16, 32), 3: dtype.kind == "f"}
    with_predictor = page.compression in (segments.LZW, segments.DEFLATE, segments.OLD_DEFLATE)
    if page.fillorder != 1 or not fits.get(predictor) or (predictor > 1 and not with_predictor):
        raise DataError(
            path,
            f"a TIFF with fill order {page.fillorder} and predictor {predictor}",
            "fill order 1 and a predictor that fits its samples",
            "save it without compression, or as PNG",
        )


def _sample_type(page: TiffPage, path: Path) -> tuple[int, np.dtype]:
    """Bits of a sample, and the type that keeps them, in the file's byte order."""
    bits, kinds = page.tags.valueof(258, 1), page.tags.valueof(339, 1)
    all_bits = set(bits) if isinstance(bits, tuple) else {bits}
    all_kinds = set(kinds) if isinstance(kinds, tuple) else {kinds}
    name = _TYPES.get(min(all_kinds), {}).get(min(all_bits))
    if name is None or len(all_bits) > 1 or len(all_kinds) > 1:
        raise DataError(
            path,
            f"samples of {', '.join(map(str, sorted(all_bits)))} bits in sample format "
            f"{', '.join(map(str, sorted(all_kinds)))}",
            "whole numbers of up to 16 or of 32 bits, or floating-point numbers",
            "save it with 8 or 16 bits",
        )
    return min(all_bits), np.dtype(page.parent.byteorder + name)


def _palette(page: TiffPage, bits: int) -> np.ndarray:
    """The palette `(entries, 3)`, in 8 bits where its 16 bits say no more."""
    palette = np.asarray(page.tags.valueof(320)).reshape(3, 2**bits).T
    for step in (257, 256):  # both are in use for writing 8 bits as 16
        if not (palette % step).any():
            return (palette // step).astype(np.uint8)
    return palette.astype(np.uint16)


def _by_pillow(data: bytes, page: TiffPage, orientation: int, path: Path) -> StoredPicture:
    """A page packed as JPEG or as a fax."""
    if (tag := page.tags.get(274)) is not None and orientation != 1:
        # Pillow would turn the picture.
        upright = (1).to_bytes(2, "little" if page.parent.byteorder == "<" else "big")
        data = data[: tag.valueoffset] + upright + data[tag.valueoffset + 2 :]
    with libtiff_is_silent():
        picture = open_pillow(data, "TIFF", path)
        samples = pixels(picture)
    is_jpeg = page.compression == _JPEG
    if is_jpeg:
        readable = picture.mode in ("L", "RGB") and page.photometric in (1, _RGB, _YCBCR)
    else:
        readable = picture.mode == "1"
    packed = "JPEG" if is_jpeg else "fax"
    if not readable or page.planarconfig != 1 or page.tags.valueof(266, 1) not in (1, 2):
        raise DataError(
            path,
            f"a TIFF packed as {packed} in mode {picture.mode} with photometric interpretation "
            f"{page.photometric:d} and planar configuration {page.planarconfig:d}",
            "grey with black at 0, or RGB, of 8 bits and side by side" if is_jpeg else "one bit",
            "save it without compression, or as PNG",
        )
    if is_jpeg:
        reason = "JPEG compression within the TIFF, which changes label values"
        return StoredPicture(samples, unfit_for_labels=reason, orientation=orientation)
    shown = samples.astype(np.uint8)
    if page.photometric != _WHITE_IS_ZERO:
        return StoredPicture(shown, orientation=orientation)
    return StoredPicture(
        1 - shown,
        white_is_zero_up_to=1,
        unfit_for_labels="white at 0 in a fax, where programs disagree which pixels are labelled",
        orientation=orientation,
    )


def _hidden_pages(page: TiffPage) -> int:
    """How many pictures lie behind the only page, as ImageJ and tifffile store long series."""
    description = str(page.description)
    if page.is_imagej and (count := re.search(r"^images=(\d+)", description, re.MULTILINE)):
        return int(count[1])
    if page.is_shaped and '"truncated": true' in description:
        return int(json.loads(description)["shape"][0])
    return 0
