"""Small valid pictures of every container, and the ways in which a fuzzer spoils them."""

import io
import struct
import zlib
from functools import cache

import imagecodecs
import numpy as np
import tifffile
from hypothesis import strategies as st
from PIL import Image as Picture

_GREY = np.arange(19 * 23, dtype=np.uint16).reshape(19, 23)
_COLOUR = np.stack([_GREY, _GREY * 3, _GREY * 7], axis=-1)


def _pillow(array, container, **options):
    picture = array if isinstance(array, Picture.Image) else Picture.fromarray(array)
    buffer = io.BytesIO()
    picture.save(buffer, container, **options)
    return buffer.getvalue()


def _tiff(array, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, metadata=None, **options)
    return buffer.getvalue()


@cache
def valid_pictures() -> dict[str, bytes]:
    """A file of each kind that is read, by a short name."""
    grey, colour = _GREY.astype(np.uint8), _COLOUR.astype(np.uint8)
    black = grey > 99
    palette = Picture.fromarray(grey // 16).convert("P")
    palette.putpalette(list(range(48)))
    orientation = Picture.Exif()
    orientation[274] = 6
    files = {
        "PNG 8": _pillow(grey, "PNG", exif=orientation),
        "PNG 1": _pillow(black, "PNG"),
        "PNG 16": _pillow(_GREY, "PNG"),
        "PNG RGB": _pillow(colour, "PNG"),
        "PNG RGB 16": imagecodecs.png_encode(_COLOUR),
        "PNG palette": _pillow(palette, "PNG", transparency=bytes([255, 0])),
        "JPEG grey": _pillow(grey, "JPEG"),
        "JPEG": _pillow(colour, "JPEG", exif=orientation, progressive=True),
        "MPO": _pillow(
            Picture.fromarray(colour),
            "MPO",
            save_all=True,
            append_images=[Picture.fromarray(colour)],
        ),
        "BMP 1": _pillow(black, "BMP"),
        "BMP 8": _pillow(grey, "BMP"),
        "BMP palette": _pillow(palette, "BMP"),
        "BMP RGB": _pillow(colour, "BMP"),
        "TIFF 1": _tiff(black),
        "TIFF palette": _pillow(palette, "TIFF"),
        "TIFF fax": _pillow(Picture.fromarray(black), "TIFF", compression="group4"),
        "TIFF JPEG": _pillow(colour, "TIFF", compression="jpeg"),
    }
    for packed in ("none", "lzw", "zlib", "packbits"):
        for name, options in (("strips", {"rowsperstrip": 4}), ("tiles", {"tile": (16, 16)})):
            for array in (grey, _COLOUR):
                photometric = "rgb" if array is _COLOUR else "minisblack"
                options = {**options, "compression": packed, "photometric": photometric}
                files[f"TIFF {packed} {name} {array.ndim}"] = _tiff(array, **options)
    files["TIFF float"] = _tiff(_GREY / 7, compression="zlib", predictor=True, byteorder=">")
    files["BigTIFF"] = _tiff(_GREY, bigtiff=True)
    return files


def repaired(data: bytes) -> bytes:
    """A PNG with right checksums, so that what is spoilt reaches the decoder."""
    parts, offset = [data[:8]], 8
    while len(data) >= offset + 12:
        (size,) = struct.unpack_from(">I", data, offset)
        body = data[offset + 4 : offset + 8 + size]
        parts += [data[offset : offset + 4], body, struct.pack(">I", zlib.crc32(body))]
        offset += 12 + size
    return b"".join(parts)


@st.composite
def spoilt_pictures(draw):
    """A valid file's bytes after some bytes, a header field or the end are changed."""
    files = valid_pictures()
    name = draw(st.sampled_from(sorted(files)))
    data = bytearray(files[name])
    early = st.integers(0, min(120, len(data) - 1))  # where the headers are
    late = st.integers(max(0, len(data) - 260), len(data) - 1)  # a TIFF's may be at the end
    anywhere = st.integers(0, len(data) - 1)
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.one_of(early, late, anywhere))
        kind = draw(st.sampled_from(("bit", "byte", "field", "cut", "insert", "repeat")))
        if kind == "bit":
            data[place % max(len(data), 1)] ^= 1 << draw(st.integers(0, 7)) if data else 0
        elif kind == "byte" and place < len(data):
            data[place] = draw(st.integers(0, 255))
        elif kind == "field":
            value = draw(st.sampled_from((0, 1, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 40_000)))
            form = draw(st.sampled_from(("<I", ">I", "<H", ">H")))
            raw = struct.pack(form, value % 2 ** (8 * struct.calcsize(form)))
            data[place : place + len(raw)] = raw
        elif kind == "cut" and draw(st.booleans()):
            del data[place:]
        elif kind == "insert":
            data[place:place] = draw(st.binary(max_size=9))
        elif kind == "repeat":
            data[place:place] = data[place : place + 40]
        if not data:
            break
    if name.startswith("PNG") and draw(st.booleans()):
        return name, repaired(bytes(data))
    return name, bytes(data)
