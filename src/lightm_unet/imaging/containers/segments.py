"""A TIFF's strips and tiles: from packed bytes to samples.

tifffile unpacks them too, but only with imagecodecs (25 MB) for LZW and odd depths, and without
a bound on what a small file may become.
"""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np

from lightm_unet.imaging.containers.pillow import libtiff_is_silent

NONE, LZW, DEFLATE, OLD_DEFLATE, PACKBITS = 1, 5, 8, 32946, 32773


def unpack(data: bytes, compression: int, size: int) -> bytes:
    """The first `size` bytes that a segment holds.

    Raises:
        ValueError: it holds fewer.
    """
    if compression in (DEFLATE, OLD_DEFLATE):
        data = zlib.decompressobj().decompress(data, size)
    elif compression != NONE:
        data = _by_pillow(data, compression, size)
    if len(data) < size:
        raise ValueError("a strip or tile is cut short")
    return data[:size]


def to_samples(
    data: bytes, rows: int, columns: int, samples: int, dtype: np.dtype, bits: int, predictor: int
) -> np.ndarray:
    """The samples of one segment, `(rows, columns, samples)`.

    Args:
        data: unpacked; each row begins with a new byte.
        rows: of the segment.
        columns: of the segment.
        samples: how many of one pixel lie side by side.
        dtype: of the result, in the file's byte order.
        bits: of one sample as it is stored.
        predictor: 1 none, 2 differences along a row, 3 those of floating-point numbers.
    """
    native = dtype.newbyteorder("=")
    shape = (rows, columns, samples)
    if bits < 16 and bits != 8:
        return _from_bits(data, shape, bits).astype(native)
    if predictor == 3:
        # The bytes of a row are sorted by significance, highest first, then differenced.
        row_bytes = np.frombuffer(data, np.uint8).reshape(rows, -1, samples)
        sums = np.cumsum(row_bytes, axis=1, dtype=np.uint8).reshape(rows, dtype.itemsize, -1)
        values = np.ascontiguousarray(np.moveaxis(sums, 1, 2))
        return values.view(dtype.newbyteorder(">")).astype(native).reshape(shape)
    array = np.frombuffer(data, dtype).reshape(shape).astype(native)
    if predictor == 2:
        np.cumsum(array, axis=1, dtype=native, out=array)
    return array


def _from_bits(data: bytes, shape: tuple[int, int, int], bits: int) -> np.ndarray:
    """Samples that are no whole bytes, the highest bit first."""
    rows, columns, samples = shape
    weights = (1 << np.arange(bits)[::-1]).astype(np.uint16)
    values = np.empty(shape, np.uint16)
    packed = np.frombuffer(data, np.uint8).reshape(rows, -1)
    for target, row in zip(values, packed, strict=True):  # all at once would take 32 times as much
        every = np.unpackbits(row, count=columns * samples * bits)
        target[:] = (every.reshape(columns, samples, bits) * weights).sum(axis=-1, dtype=np.uint16)
    return values


def _by_pillow(data: bytes, compression: int, size: int) -> bytes:
    """Let libtiff unpack a segment: as the only row of a grey TIFF whose pixels are its bytes."""
    from PIL import Image

    tags = {
        256: size, 257: 1, 258: 8, 259: compression, 262: 1, 273: 8, 277: 1, 278: 1, 279: len(data)
    }  # fmt: skip
    padded = data + b"\0" * (len(data) % 2)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    file = struct.pack("<2sHI", b"II", 42, 8 + len(padded)) + padded + directory
    with libtiff_is_silent(), Image.open(io.BytesIO(file), formats=("TIFF",)) as picture:
        return picture.tobytes()
