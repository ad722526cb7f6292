"""What an upload is, by its content: neither its name nor its declared type is asked."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from lightm_unet.deploy.serve.problems import Kind, Problem, found
from lightm_unet.imaging.dicom_source import looks_like_dicom
from lightm_unet.system.extras import install_command, is_installed

ZIP, DICOM = ".zip", ".dcm"
_STARTS = {
    b"\x89PNG\r\n\x1a\n": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"BM": ".bmp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"II+\0": ".tif",
    b"MM\0+": ".tif",
    b"PK\x03\x04": ZIP,
    b"PK\x05\x06": ZIP,
}
_GZIP = b"\x1f\x8b"
_NIFTI_SIZES = [size.to_bytes(4, order) for size in (348, 540) for order in ("little", "big")]
READABLE = (
    "a NIfTI file (.nii, .nii.gz), DICOM, a PNG, JPEG, TIFF or BMP, or a zip of one image's files"
)


def ending_of(path: Path) -> str:
    """The ending that a file of this content has, such as ".nii.gz"; ".zip" for a zip.

    Raises:
        Problem: it is nothing that can be read.
    """
    with path.open("rb") as file:
        start = file.read(132)
    if start.startswith(_GZIP):
        if _start_of_gzip(path) in _NIFTI_SIZES:
            return ".nii.gz"
        raise _unreadable("gzip data without a NIfTI file in it")
    if start[:4] in _NIFTI_SIZES:
        return ".nii"
    for beginning, ending in _STARTS.items():
        if start.startswith(beginning):
            return ending
    if looks_like_dicom(start):
        if is_installed("pydicom"):
            return DICOM
        what = "DICOM, which this server cannot read"
        raise _unreadable(what, f"on the server: {install_command('dicom')}")
    raise _unreadable(_name(start))


def _start_of_gzip(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            return file.read(4)
    except (OSError, EOFError, zlib.error):
        return b""


def _name(start: bytes) -> str:
    if not start:
        return "an empty file"
    for beginning, name in (
        (b"GIF8", "a GIF"),
        (b"RIFF", "a WebP or another RIFF file"),
        (b"%PDF", "a PDF"),
        (b"\0\0\0\x0cjP", "a JPEG 2000 file"),
        (b"\xff\x4f\xff\x51", "a JPEG 2000 file"),
    ):
        if start.startswith(beginning):
            return name
    try:
        start.decode("ascii")
        return "a text"
    except UnicodeDecodeError:
        return "no known image format"


def _unreadable(what: str, advice: str = "convert or export the image again") -> Problem:
    return found(Kind.UNSUPPORTED_MEDIA_TYPE, what, READABLE, advice)
