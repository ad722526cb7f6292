"""MHA and NRRD files, read and written by SimpleITK, of the extra `itk`.

Only files that hold their voxels themselves: .mhd and .nhdr name other files, anywhere on the disk.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightm_unet.errors import DataError, TooLargeError
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.limits import check_values
from lightm_unet.imaging.nifti_header import BROKEN
from lightm_unet.imaging.nifti_place import check_affine
from lightm_unet.system.extras import require_extra
from lightm_unet.system.files import read_bytes, write_bytes
from lightm_unet.system.memory import machine_bytes

if TYPE_CHECKING:
    import SimpleITK

ITK_ENDINGS = (".mha", ".nrrd")
_LARGEST_RATIO = 1032
"""Bytes that one byte of a compressed file can stand for at most."""
_BOMB_BYTES, _BOMB_RATIO = 2**30, 200
"""As for NIfTI: a file that becomes larger than the one and grows by more than the other."""
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""ITK counts to the left and to the back."""
_START = {".mha": b"ObjectType", ".nrrd": b"NRRD"}
_ELSEWHERE = (b"data file:", b"datafile:", b"elementdatafile")
"""Headers' words for the file that holds the voxels."""


def is_itk(path: Path) -> bool:
    """Whether a file's name says MHA or NRRD."""
    return path.name.lower().endswith(ITK_ENDINGS)


def read_itk(path: Path) -> tuple[np.ndarray, Geometry]:
    """Read one file.

    Returns:
        The voxels `(channels, *shape)` in the file's own axes and number type; and the grid.

    Raises:
        DataError: damaged, cut off, of another kind, voxels in another file, complex numbers, a
            series of volumes, or a place that cannot be.
        MissingPartError: SimpleITK is not installed.
    """
    reader = _open(path)
    shape = tuple(reader.GetSize())
    channels = reader.GetNumberOfComponents()
    affine = _affine(reader, path)
    try:
        array = _array(reader)
    except RuntimeError as error:
        raise _broken(path, error) from error
    if channels == 1:
        array = array[..., None]
    array = np.moveaxis(array, -1, 0)  # (channels, k, j, i)
    array = array.transpose(0, *range(len(shape), 0, -1))
    whole = Geometry(shape, affine, 3 - len(shape), stored_shape=shape, stored_affine=affine)
    geometry = whole.as_slice()
    return array.reshape(channels, *geometry.shape), geometry


def read_itk_shape(path: Path) -> tuple[int, ...]:
    """The shape that a file's header states; the voxels are not read.

    Raises:
        DataError: as `read_itk`, as far as the header tells.
        MissingPartError: SimpleITK is not installed.
    """
    return tuple(_open(path).GetSize())


def write_itk(array: np.ndarray, affine: np.ndarray, path: Path) -> None:
    """Write voxels, compressed, in one step.

    Args:
        array: `(i, j)` or `(i, j, k)`, uint8 or float32.
        affine: 4x4, voxel to world, mm, RAS+.
        path: ends in .mha or .nrrd.

    Raises:
        MissingPartError: SimpleITK is not installed.
    """
    itk = _need()
    image = itk.GetImageFromArray(np.ascontiguousarray(array.T))
    dims = array.ndim
    steps = (_LPS @ affine)[:dims, :dims]
    lengths = np.linalg.norm(steps, axis=0)
    image.SetSpacing(lengths.tolist())
    image.SetDirection((steps / lengths).ravel().tolist())
    image.SetOrigin((_LPS @ affine)[:dims, 3].tolist())
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / f"volume{path.suffix.lower()}"
        itk.WriteImage(image, str(whole), useCompression=True)
        write_bytes(whole.read_bytes(), path)


def _need():
    require_extra("itk", "reading and writing MHA and NRRD", "SimpleITK")
    import SimpleITK as itk

    itk.ProcessObject.SetGlobalWarningDisplay(False)
    return itk


def _open(path: Path) -> SimpleITK.ImageFileReader:
    """A reader that has read the header, which has been compared with the file's size."""
    start = read_bytes(path, 2**16)
    itk = _need()
    ending = path.suffix.lower()
    if not start.startswith(_START[ending]):
        raise DataError(path, f"no {ending} header", f"a {ending} file", BROKEN)
    _check_holds_voxels(start, path)
    reader = itk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _broken(path, error) from error
    shape, channels = tuple(reader.GetSize()), reader.GetNumberOfComponents()
    if len(shape) not in (2, 3):
        advice = "give one volume: split series of volumes into files first"
        raise DataError(path, f"shape {shape}", "a 2D or 3D image", advice)
    kind = itk.GetPixelIDValueAsString(reader.GetPixelID())
    if "complex" in kind or "label" in kind:
        raise DataError(path, f"voxels of type {kind}", "real numbers", "export the magnitude")
    check_values(path, (channels, *shape), "voxels")
    _check_size(path, (channels, *shape), kind)
    return reader


def _check_holds_voxels(start: bytes, path: Path) -> None:
    """Refuse a header that names another file for its voxels."""
    header = start.split(b"\n\n")[0] if path.suffix.lower() == ".nrrd" else start
    for line in header.splitlines():
        words = line.strip().lower().replace(b" ", b"")
        for name in _ELSEWHERE:
            if words.startswith(name.replace(b" ", b"")):
                if words.split(b"=")[-1] == b"local":
                    return
                raise DataError(
                    path,
                    "a header whose voxels are in another file",
                    "one file with its voxels",
                    "save the image as one file",
                )


def _check_size(path: Path, shape: tuple[int, ...], kind: str) -> None:
    """Refuse a header that asks for more voxels than the file, or the machine, can hold."""
    bits = next((bits for bits in (64, 32, 16) if str(bits) in kind), 8)
    needed, size = math.prod(shape) * bits // 8, path.stat().st_size
    if needed > size * _LARGEST_RATIO:
        raise DataError(
            path,
            f"{size} bytes",
            f"those of {'x'.join(map(str, shape[1:]))} voxels: it is cut off",
            BROKEN,
        )
    if (needed > _BOMB_BYTES and needed > _BOMB_RATIO * size) or needed > machine_bytes():
        raise TooLargeError(
            path,
            f"{needed / 1e9:.1f} GB in a file of {size / 1e9:.3f} GB",
            "an image that fits into memory and is compressed less than 200-fold",
            "store an image of almost nothing with a smaller number type",
        )


def _affine(reader: SimpleITK.ImageFileReader, path: Path) -> np.ndarray:
    dims = reader.GetDimension()
    affine = np.eye(4)
    direction = np.array(reader.GetDirection()).reshape(dims, dims)
    affine[:dims, :dims] = direction * np.array(reader.GetSpacing())
    affine[:dims, 3] = reader.GetOrigin()
    affine = _LPS @ affine + 0.0  # no minus zeros
    check_affine(affine, path)
    return affine


def _array(reader: SimpleITK.ImageFileReader) -> np.ndarray:
    return _need().GetArrayFromImage(reader.Execute())


def _broken(path: Path, error: RuntimeError) -> DataError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[-1][:200] if lines else "unreadable"
    return DataError(path, f"a broken file ({reason})", "a whole one", BROKEN)
