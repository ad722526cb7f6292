"""NIfTI files, read whole and checked, and written the same way every time.

The voxels are counted against the file's size before memory is taken for them, and a compressed
file is read to its end: the checksum there turns a flipped bit into an error. Reading just as many
bytes as the header asks for would make it a wrong voxel.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lightm_unet.errors import DataError, TooLargeError
from lightm_unet.imaging.limits import check_values
from lightm_unet.imaging.nifti_header import BROKEN, NiftiHeader, parse_header
from lightm_unet.imaging.nifti_place import affine_in_memory, like_header, read_affine
from lightm_unet.system.files import read_bytes, write_bytes

_GZIP_MAGIC = b"\x1f\x8b"
_LARGEST_RATIO = 1032
"""Bytes that one byte of a gzip stream can stand for at most."""
_BOMB_BYTES, _BOMB_RATIO = 2**30, 200
"""A compressed file that becomes larger than the one and grows more than by the other is refused.
CT grows by 2 to 4, an image of nothing by 1000."""
_MOST_LEFT_OVER = 2**26
"""Bytes after the voxels that are read in search of the checksum."""
_CHUNK = 2**20


def read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray, NiftiHeader]:
    """Read one NIfTI-1 or NIfTI-2 file.

    Returns:
        The voxels in the file's own axes and number type, with the header's scaling applied
        (then float64); the 4x4 float64 affine from voxel to world (mm, RAS+), with the header's
        unit of length taken into account; and the header, to write a mask with.

    Raises:
        DataError: unreadable, empty, truncated, a wrong checksum, a broken header, an affine that
            is not finite or not invertible, voxels that are not plain real numbers.
    """
    with _open(path) as (stream, most):
        return _read_stream(stream, most, path)


def nibabel_arrays(image: Any, path: Path) -> tuple[np.ndarray, np.ndarray, NiftiHeader]:
    """The voxels, affine and header of a nibabel image, checked as those of a file.

    Args:
        image: of any of nibabel's classes with an affine.
        path: for messages.

    Returns:
        As `read_nifti`.

    Raises:
        DataError: as `read_nifti`.
    """
    import nibabel

    if type(image) not in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        image = nibabel.Nifti1Image.from_image(image)
    header = parse_header(image.header.binaryblock, path)
    affine = affine_in_memory(image.affine, header, path)
    try:
        with np.errstate(all="ignore"):
            array = np.asarray(image.dataobj)
    except Exception as error:  # nibabel's parsers raise many types; the user needs one line
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(path, f"a broken NIfTI file ({reason})", "a valid one", BROKEN) from error
    return array, affine, header


def read_nifti_shape(path: Path) -> tuple[int, ...]:
    """The shape that a file's header states; the voxels are not read.

    Raises:
        DataError: no header can be read.
    """
    with _open(path) as (stream, _):
        return parse_header(stream.read(540), path).shape


def write_nifti(
    array: np.ndarray, affine: np.ndarray, path: Path, header: NiftiHeader | None = None
) -> None:
    """Write voxels in one step; compressed when the name ends in .gz.

    Without a header, NIfTI-1 is written whose two transforms hold the affine, with code 1 (scanner
    coordinates), in mm. Where the affine shears, the quaternion cannot hold it and is marked
    unused. The same input gives the same bytes: no time and no file name go into the gzip header.

    Args:
        array: `(i, j)`, `(i, j, k)` or more axes, of a number type that NIfTI knows.
        affine: 4x4, voxel to world, mm, RAS+.
        path: ends in .nii or .nii.gz.
        header: of the image that the voxels belong to, read with that affine. Its transforms,
            voxel sizes and unit are written as they are, so that every program puts both at the
            same place.
    """
    fields = _new_header(array.shape, affine) if header is None else like_header(header)
    fields["dim"] = [array.ndim, *array.shape, *(1,) * (7 - array.ndim)]
    fields.set_data_dtype(array.dtype)
    fields["scl_slope"], fields["scl_inter"] = 1, 0
    fields["vox_offset"] = fields.single_vox_offset
    no_extension = bytes(fields.single_vox_offset - len(fields.binaryblock))
    data = fields.binaryblock + no_extension + array.tobytes(order="F")
    if path.name.lower().endswith(".gz"):
        # Level 4 costs a third of the default's time for files a few per cent larger.
        data = gzip.compress(data, compresslevel=4, mtime=0)
    write_bytes(data, path)


def _new_header(shape: tuple[int, ...], affine: np.ndarray):
    import nibabel

    fits = max(shape) < 2**15  # NIfTI-1 counts voxels along an axis in 16 bits
    fields = nibabel.Nifti1Header() if fits else nibabel.Nifti2Header()
    fields.set_xyzt_units("mm")
    fields["dim"][0] = 3  # for the voxel sizes that are set with the forms
    fields.set_sform(affine, code=1)
    fields.set_qform(affine, code=1, strip_shears=True)
    if not np.allclose(fields.get_qform(), affine, rtol=0, atol=1e-3):
        fields.set_qform(None, code=0)
    return fields


@contextmanager
def _open(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """The NIfTI stream, whether or not the file is compressed, and how long it can be."""
    compressed = read_bytes(path, 2) == _GZIP_MAGIC
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not compressed:
                yield file, size
                return
            with gzip.GzipFile(fileobj=file) as stream:
                yield stream, size * _LARGEST_RATIO  # type: ignore[misc]
    except (OSError, EOFError, zlib.error) as error:
        what = "damaged gzip data" if compressed else "a file that cannot be read"
        raise DataError(path, f"{what} ({error})", "a whole NIfTI file", BROKEN) from error


def _read_stream(
    stream: BinaryIO, most: int, path: Path
) -> tuple[np.ndarray, np.ndarray, NiftiHeader]:
    """What `read_nifti` returns, from a stream that holds `most` bytes at most."""
    try:
        header = parse_header(stream.read(540), path)
        affine = read_affine(header, path)
        scaling = _scaling(header, path)
        check_values(path, header.shape, "voxels")
        _check_size(stream, header, path, most)
        array = _read_voxels(stream, header, path)
    except TooLargeError:
        raise  # the rest of the file may be as large
    except DataError:
        _finish(stream, path)  # a wrong checksum explains whatever else is wrong
        raise
    _finish(stream, path)
    if scaling is not None:
        with np.errstate(all="ignore"):  # what overflows is infinite, and refused as an intensity
            array = np.multiply(array, scaling[0], dtype=np.float64)
            array += scaling[1]
    return array, affine, header


def _check_size(stream: BinaryIO, header: NiftiHeader, path: Path, most: int) -> None:
    """Refuse a header that asks for more voxels than the file can hold."""
    needed = header.offset + header.voxel_bytes
    if needed > most:
        raise _cut_off(header, path, max(0, most - header.offset))
    ratio = needed * _LARGEST_RATIO // most
    if needed > _BOMB_BYTES and ratio > _BOMB_RATIO and isinstance(stream, gzip.GzipFile):
        raise TooLargeError(
            path,
            f"{needed / 1e9:.1f} GB compressed {ratio}-fold",
            f"an image; real ones of more than 1 GB are compressed less than {_BOMB_RATIO}-fold",
            "store an image of almost nothing with a smaller number type",
        )


def _read_voxels(stream: BinaryIO, header: NiftiHeader, path: Path) -> np.ndarray:
    stream.seek(header.offset)
    voxels = bytearray(header.voxel_bytes)
    view, read = memoryview(voxels), 0
    while read < len(view):
        count = stream.readinto(view[read : read + _CHUNK])  # type: ignore[attr-defined]
        if not count:
            raise _cut_off(header, path, read)
        read += count
    return np.frombuffer(voxels, header.dtype).reshape(header.shape, order="F")


def _cut_off(header: NiftiHeader, path: Path, present: int) -> DataError:
    return DataError(
        path,
        f"at most {present} bytes of voxels",
        f"{header.voxel_bytes} for shape {header.shape} of {header.dtype}: it is cut off",
        BROKEN,
    )


def _finish(stream: BinaryIO, path: Path) -> None:
    """Read a compressed stream to its end, where its checksum is compared."""
    if not isinstance(stream, gzip.GzipFile):
        return
    for _ in range(_MOST_LEFT_OVER // _CHUNK):
        if not stream.read(_CHUNK):
            return
    raise DataError(
        path,
        "far more data than its header describes",
        "the header, the voxels and the end of the file",
        BROKEN,
    )


def _scaling(header: NiftiHeader, path: Path) -> tuple[float, float] | None:
    """Slope and intercept; None where voxels are to be taken as they are."""
    slope, inter = float(header.fields["scl_slope"]), float(header.fields["scl_inter"])
    if slope == 0 or math.isnan(slope):  # how the standard, and nibabel, say "none"
        return None
    if not (math.isfinite(slope) and math.isfinite(inter)):
        found = f"a scaling by {slope:g} plus {inter:g}"
        raise DataError(path, found, "finite numbers", BROKEN)
    return None if (slope, inter) == (1, 0) else (slope, inter)
