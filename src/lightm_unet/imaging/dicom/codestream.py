"""The size that a compressed frame itself states, to compare with its file's header.

A decoder takes memory for the size within the frame. A few bytes can claim 65535x65535 pixels.
"""

from __future__ import annotations

import struct

_JPEG_START, _JPEG_2000_START = b"\xff\xd8", b"\xff\x4f\xff\x51"
_FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG and JPEG-LS that are followed by the size."""
_ALONE = {0x01, *range(0xD0, 0xD9)}
"""Markers without a length."""


def stated_size(data: bytes) -> tuple[int, int] | None:
    """Rows and columns of a JPEG, JPEG-LS or JPEG 2000 stream; None if it does not say.

    Example:
        >>> stated_size(b"\\xff\\xd8\\xff\\xc0\\x00\\x0b\\x08\\x00\\x10\\x00\\x20")
        (16, 32)
    """
    if data.startswith(_JPEG_START):
        return _jpeg_size(data)
    start = data.find(_JPEG_2000_START, 0, 4096)  # a JP2 file has boxes before the stream
    if start < 0 or len(data) < start + 24:
        return None
    right, bottom, left, top = struct.unpack_from(">IIII", data, start + 8)
    return bottom - top, right - left


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(data):
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker == 0xFF:  # fill
            place += 1
        elif marker in _FRAME_HEADERS:
            rows, columns = struct.unpack_from(">HH", data, place + 5)
            return rows, columns
        elif marker in _ALONE:
            place += 2
        else:
            place += 2 + struct.unpack_from(">H", data, place + 2)[0]
    return None
