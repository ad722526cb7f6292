"""PNG: every depth and colour type, one picture only.

Pillow decodes up to 8 bits, and grey of 16; of other pictures with 16 bits it keeps the high byte
only, so that pypng reads these. The checksums are compared here, and so is the amount of pixel
data: Pillow fills rows that are missing with black.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lightm_unet.errors import DataError
from lightm_unet.imaging.containers.pillow import exif_orientation, open_pillow, pixels
from lightm_unet.imaging.containers.stored import StoredPicture, check_size, varying_alpha

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6
_SAMPLES = {_GREY: 1, _RGB: 3, _PALETTE: 1, _GREY_ALPHA: 2, _RGB_ALPHA: 4}
# First column and row, and steps, of the passes of an interlaced picture.
_ADAM7 = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)
)  # fmt: skip
_PIECE = 1 << 20


@dataclass(frozen=True)
class _Header:
    width: int
    height: int
    bits: int
    colour: int
    interlaced: bool

    @property
    def raw_bytes(self) -> int:
        """Size of the pixel data: each row begins with a byte that names its filter."""
        passes = _ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        total = 0
        for column, row, across, down in passes:
            columns, rows = -((column - self.width) // across), -((row - self.height) // down)
            if columns > 0 and rows > 0:
                total += rows * (1 + -(-columns * self.bits * _SAMPLES[self.colour] // 8))
        return total


def read_png(data: bytes, path: Path) -> StoredPicture:
    """Read a PNG; grey levels and palette indices are those stored, whatever their depth."""
    chunks = list(_chunks(data))
    header = _header(chunks[0])
    samples = _SAMPLES[header.colour]
    check_size(path, header.width, header.height, samples, header.bits / 8)
    first = dict(reversed(chunks))
    if b"acTL" in first and (frames := struct.unpack(">I", first[b"acTL"][:4])[0]) > 1:
        raise DataError(
            path,
            f"an animation of {frames} frames",
            "one picture",
            "save each frame as its own file",
        )
    packed = (content for kind, content in chunks if kind == b"IDAT")
    if _inflated_size(packed, header.raw_bytes) != header.raw_bytes:
        raise ValueError("the pixel data are not as large as the header says")

    picture = open_pillow(data, "PNG", path)
    if header.bits == 16 and header.colour != _GREY:
        array = _read_16_bit_colour(data, header)
        picture.load()  # for the notes that follow the pixels
    else:
        array = pixels(picture)
        if header.colour == _GREY and header.bits in (2, 4):
            array = array // (255 // (2**header.bits - 1))  # Pillow spreads them over 8 bits
        elif header.bits == 1 and array.dtype == bool:
            array = array.astype(np.uint8)
    orientation = exif_orientation(picture)
    colours, key = array, first.get(b"tRNS")
    if header.colour == _PALETTE:
        palette = np.frombuffer(first[b"PLTE"], np.uint8).reshape(-1, 3)
        alpha = None
        if key is not None:
            table = np.full(256, 255, np.uint8)
            table[: len(key)] = np.frombuffer(key, np.uint8)
            alpha = varying_alpha(table[array[..., 0]], 255)
        return StoredPicture(array, palette, alpha, orientation=orientation)
    alpha = None
    if header.colour in (_GREY_ALPHA, _RGB_ALPHA):
        colours = array[..., :-1]
        alpha = varying_alpha(array[..., -1], 2**header.bits - 1)
    elif key is not None:  # one level or colour that is transparent
        transparent = np.array(struct.unpack(f">{samples}H", key))
        alpha = varying_alpha((array != transparent).any(axis=-1), True)
    return StoredPicture(colours, alpha=alpha, orientation=orientation)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk, its checksum compared, up to the end chunk."""
    offset, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        if len(data) < offset + 12:
            raise ValueError("the file is cut short")
        size, kind = struct.unpack_from(">I4s", data, offset)
        content = data[offset + 8 : offset + 8 + size]
        checksum = data[offset + 8 + size : offset + 12 + size]
        if len(checksum) < 4:
            raise ValueError("the file is cut short")
        if zlib.crc32(content, zlib.crc32(kind)) != int.from_bytes(checksum, "big"):
            raise ValueError(f"the checksum of its chunk {kind!r} is wrong")
        yield kind, content
        offset += 12 + size


def _header(chunk: tuple[bytes, bytes]) -> _Header:
    kind, content = chunk
    if kind != b"IHDR" or len(content) != 13:
        raise ValueError("its header is missing")
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", content)
    if colour not in _SAMPLES or bits not in (1, 2, 4, 8, 16):
        raise ValueError(f"its header names colour type {colour} with {bits} bits")
    return _Header(width, height, bits, colour, bool(interlaced))


def _inflated_size(packed: Iterable[bytes], enough: int) -> int:
    """Bytes that the pixel data come to; it stops beyond `enough`, and keeps none of them."""
    inflater, total = zlib.decompressobj(), 0
    for content in packed:
        for start in range(0, len(content), _PIECE):
            piece = content[start : start + _PIECE]
            while piece and total <= enough:
                total += len(inflater.decompress(piece, 16 * _PIECE))
                piece = inflater.unconsumed_tail
    return total


def _read_16_bit_colour(data: bytes, header: _Header) -> np.ndarray:
    import png

    _, _, rows, _ = png.Reader(bytes=data).read()
    array = np.empty((header.height, header.width, _SAMPLES[header.colour]), np.uint16)
    for target, row in zip(array, rows, strict=True):
        target[:] = np.asarray(row).reshape(target.shape)
    return array
