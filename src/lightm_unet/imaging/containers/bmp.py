"""BMP: palettes of 1, 4 and 8 bits, colour of 24 and 32."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from lightm_unet.errors import DataError
from lightm_unet.imaging.containers.pillow import open_pillow, pixels
from lightm_unet.imaging.containers.stored import StoredPicture, varying_alpha


def read_bmp(data: bytes, path: Path) -> StoredPicture:
    """Read a BMP, its rows from the top whichever way they are stored."""
    (header,) = struct.unpack_from("<I", data, 14)
    (bits,) = struct.unpack_from("<H", data, 24 if header == 12 else 28)
    if bits == 16:
        raise DataError(
            path,
            "a BMP with 16 bits for red, green and blue together",
            "1, 4, 8, 24 or 32 bits",
            "save it as PNG",
        )
    if bits <= 8:
        data, palette = _take_palette(data, header, bits)
    picture = open_pillow(data, "BMP", path)
    samples = pixels(picture)
    if bits <= 8:
        if picture.mode != "P":
            raise ValueError(f"{bits} bits without a palette")
        return StoredPicture(samples, palette)
    if picture.mode == "RGBA":
        return StoredPicture(samples[..., :3], alpha=varying_alpha(samples[..., 3], 255))
    return StoredPicture(samples)


def _take_palette(data: bytes, header: int, bits: int) -> tuple[bytes, np.ndarray]:
    """The file with one colour throughout its palette; and the palette, `(entries, 3)`.

    Of a palette of greys Pillow would take the levels without asking how many bits they have.
    """
    entry = 3 if header == 12 else 4
    (pixel_data,) = struct.unpack_from("<I", data, 10)
    used = 0 if header == 12 else struct.unpack_from("<I", data, 46)[0]
    start = 14 + header
    entries = min(used or 2**bits, 2**bits, (pixel_data - start) // entry)
    if entries < 1 or len(data) < start + entries * entry:
        raise ValueError("its palette is cut short")
    end = start + entries * entry
    palette = np.frombuffer(data[start:end], np.uint8).reshape(-1, entry)[:, [2, 1, 0]]
    return data[:start] + b"\1\0\0\0"[:entry] * entries + data[end:], palette
