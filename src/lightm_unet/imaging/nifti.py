"""NIfTI files, read whole and checked, and written the same way every time.

The file is read into memory before nibabel sees it. nibabel reads just as many bytes as the header
asks for and so never reaches the checksum at the end of a gzip stream: a flipped bit would become
a wrong voxel instead of an error.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from lightm_unet.errors import DataError
from lightm_unet.system.files import read_bytes, write_bytes

_GZIP_MAGIC = b"\x1f\x8b"
_BROKEN = "copy or export the file again"


def read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read one NIfTI-1 or NIfTI-2 file.

    Returns:
        The voxels in the file's own axes and number type, with the header's scaling applied, and
        the 4x4 float64 affine from voxel to world (mm, RAS+). The header's numbers are taken as
        mm whatever its unit field says, as nearly every tool does.

    Raises:
        DataError: unreadable, empty, truncated, a wrong checksum, a broken header, an affine that
            is not finite or not invertible, voxels that are not plain real numbers.
    """
    data = _uncompressed(path)
    image = _parse(data, path)
    header = image.header
    dtype, shape = header.get_data_dtype(), tuple(int(n) for n in header.get_data_shape())
    if dtype.fields is not None or dtype.kind not in "iuf":
        kind = "colour voxels" if dtype.fields is not None else f"voxels of type {dtype}"
        raise DataError(path, kind, "one real number per voxel", "export a grey-level image")
    if not shape or min(shape) < 1:
        raise DataError(path, f"shape {shape}", "at least one voxel along every axis", _BROKEN)
    needed = math.prod(shape) * dtype.itemsize
    present = len(data) - int(header.get_data_offset())
    if present < needed:
        raise DataError(
            path,
            f"{max(present, 0)} bytes of voxels",
            f"{needed} for shape {shape} of {dtype}: it is cut off",
            _BROKEN,
        )
    affine = np.asarray(image.affine, dtype=np.float64)
    _check_affine(affine, path)
    try:
        with np.errstate(all="ignore"):
            array = np.asarray(image.dataobj)
    except Exception as error:  # nibabel's parsers raise many types; the user needs one line
        raise _unreadable(path, error) from error
    return array, affine


def write_nifti(array: np.ndarray, affine: np.ndarray, path: Path) -> None:
    """Write voxels and affine as NIfTI-1 in one step; compressed when the name ends in .gz.

    Both of the header's transforms hold the affine, with code 1 (scanner coordinates), and the
    unit is mm. Where the affine shears, the quaternion cannot hold it and is marked unused. The
    same input gives the same bytes: no time and no file name go into the gzip header.

    Args:
        array: `(i, j)`, `(i, j, k)` or more axes, of a number type that NIfTI knows.
        affine: 4x4, voxel to world, mm, RAS+.
        path: ends in .nii or .nii.gz.
    """
    import nibabel

    image = nibabel.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1, strip_shears=True)
    if not np.allclose(image.get_qform(), affine, rtol=0, atol=1e-3):
        image.set_qform(None, code=0)
    data = image.to_bytes()
    if path.name.lower().endswith(".gz"):
        # Level 4 costs a third of the default's time for files a few per cent larger.
        data = gzip.compress(data, compresslevel=4, mtime=0)
    write_bytes(data, path)


def _uncompressed(path: Path) -> bytes:
    """The bytes of the NIfTI stream, whether or not the file is compressed."""
    data = read_bytes(path)
    if not data.startswith(_GZIP_MAGIC):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            path, f"damaged gzip data ({error})", "a whole .nii.gz file", _BROKEN
        ) from error


def _parse(data: bytes, path: Path):
    """The nibabel image over these bytes; its voxels are not read yet."""
    import nibabel
    from nibabel.imageglobals import LoggingOutputSuppressor

    sizes = {int.from_bytes(data[:4], order) for order in ("little", "big")}
    if 348 in sizes:
        image_class = nibabel.Nifti1Image
    elif 540 in sizes:
        image_class = nibabel.Nifti2Image
    else:
        raise DataError(path, "no NIfTI header", "a NIfTI-1 or NIfTI-2 file", _BROKEN)
    try:
        with LoggingOutputSuppressor():  # header repairs that nibabel reports on stderr
            return image_class.from_bytes(data)
    except Exception as error:  # nibabel's parsers raise many types; the user needs one line
        raise _unreadable(path, error) from error


def _check_affine(affine: np.ndarray, path: Path) -> None:
    expected = "16 finite numbers that map voxels to mm"
    advice = "export the image again with its position and voxel size"
    if not np.isfinite(affine).all():
        raise DataError(path, "an affine with NaN or infinite numbers", expected, advice)
    # The determinant of the unit directions: 1 for right angles, 0 for a flattened grid,
    # whatever the voxel size is.
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if lengths.min() <= 0 or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-4:
        raise DataError(path, "a singular affine", "an affine that can be inverted", advice)


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(path, f"a broken NIfTI file ({reason})", "a valid one", _BROKEN)
