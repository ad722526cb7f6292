"""What a compressed frame says of itself, looked at before a decoder is trusted with it.

A decoder takes memory for the size within the frame: a few bytes can claim 65535x65535 pixels. And
it makes up the pixels of a frame that is cut off, mostly without a word.
"""

from __future__ import annotations

import struct

END = b"\xff\xd9"
"""The marker that ends a JPEG, JPEG-LS or JPEG 2000 stream."""
_MOST_AFTER_END = 8
"""Bytes after the end marker that are passed over, and any number of zeros."""
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


def has_end(data: bytes) -> bool:
    """Whether a JPEG, JPEG-LS or JPEG 2000 stream has its end marker, with or without padding.

    Example:
        >>> has_end(b"\\xff\\xd8 and pixels \\xff\\xd9\\0"), has_end(b"\\xff\\xd8 and pix")
        (True, False)
    """
    return END in data.rstrip(b"\0")[-_MOST_AFTER_END - len(END) :]


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
