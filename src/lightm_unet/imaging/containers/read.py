"""Read a picture file of any container; its content, not its name, says which one it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lightm_unet.errors import DataError
from lightm_unet.imaging.containers.bmp import read_bmp
from lightm_unet.imaging.containers.jpeg import read_jpeg
from lightm_unet.imaging.containers.png import SIGNATURE, read_png
from lightm_unet.imaging.containers.stored import StoredPicture
from lightm_unet.imaging.containers.tiff import read_tiff
from lightm_unet.system.files import read_bytes
from lightm_unet.system.quiet import without_warnings

MAX_FILE_BYTES = 1_000_000_000

_READERS: dict[bytes, Callable[[bytes, Path], StoredPicture]] = {
    SIGNATURE: read_png,
    b"\xff\xd8\xff": read_jpeg,
    b"BM": read_bmp,
    b"II*\0": read_tiff,
    b"MM\0*": read_tiff,
    b"II+\0": read_tiff,
    b"MM\0+": read_tiff,
}
_OTHERS = {
    b"GIF8": "a GIF",
    b"RIFF": "a WebP or another RIFF file",
    b"\0\0\0\x0cjP": "a JPEG 2000 file",
    b"\xff\x4f\xff\x51": "a JPEG 2000 file",
    b"\x1f\x8b": "a gzip file",
    b"%PDF": "a PDF",
}


def read_stored(path: Path) -> StoredPicture:
    """Read the samples of a PNG, JPEG, TIFF or BMP as they are stored.

    Raises:
        DataError: unreadable, truncated, too large, or of a kind whose levels would change.
    """
    if path.is_file() and (size := path.stat().st_size) > MAX_FILE_BYTES:
        raise DataError(
            path,
            f"a picture file of {size / 1e9:.1f} GB",
            f"at most {MAX_FILE_BYTES / 1e9:.0f} GB",
            "cut it into parts or scale it down",
        )
    data = read_bytes(path)
    reader = next((read for start, read in _READERS.items() if data.startswith(start)), None)
    if reader is None:
        other = next((name for start, name in _OTHERS.items() if data.startswith(start)), None)
        raise DataError(
            path,
            other or "no known picture format",
            "a whole PNG, JPEG, TIFF or BMP file",
            "convert it to PNG" if other else "copy or export the file again",
        )
    try:
        # Libraries warn of what matters to no level, and of sizes that are bounded here.
        with without_warnings():
            return reader(data, path)
    except DataError:
        raise
    except Exception as error:  # parsers raise many types; the user needs one line
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            path,
            f"a broken picture ({reason[:200]})",
            "a whole PNG, JPEG, TIFF or BMP file",
            "copy or export the file again",
        ) from error
