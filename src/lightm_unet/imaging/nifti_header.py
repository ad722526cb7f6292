"""A NIfTI header, field by field as it is in the file, or refused.

nibabel repairs headers on the way: a voxel size of 0 becomes 1 mm. So its checks are left out, and
what has to be right is checked here and in `nifti_place`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightm_unet.errors import DataError

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

BROKEN = "copy or export the file again"
"""What to do about a file that nobody would have written so."""


@dataclass(frozen=True, eq=False)
class NiftiHeader:
    """A header with its checked shape and number type."""

    fields: Nifti1Header
    """nibabel's view of the fields, as they are in the file; NIfTI-2 has the same names."""
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    """Bytes before the first voxel."""

    @property
    def voxel_bytes(self) -> int:
        """Bytes of all voxels together."""
        return math.prod(self.shape) * self.dtype.itemsize


def parse_header(block: bytes, path: Path) -> NiftiHeader:
    """Read the header at the beginning of a NIfTI-1 or NIfTI-2 file.

    Args:
        block: the file's first 540 bytes, or fewer if it has not so many.
        path: for messages.

    Raises:
        DataError: no NIfTI header, or one whose shape, number type or offset cannot be.
    """
    import nibabel

    order = next((o for o in ("little", "big") if int.from_bytes(block[:4], o) in (348, 540)), None)
    size = int.from_bytes(block[:4], order) if order else 0  # type: ignore[arg-type]
    if not size or len(block) < size:
        raise DataError(path, "no NIfTI header", "a NIfTI-1 or NIfTI-2 file", BROKEN)
    header_class = nibabel.Nifti1Header if size == 348 else nibabel.Nifti2Header
    fields = header_class(block[:size], endianness=order, check=False)
    magic = bytes(fields["magic"].tobytes())
    if not magic.startswith(b"n+1" if size == 348 else b"n+2"):
        found = f"the NIfTI mark {magic[:4]!r}"
        if magic.startswith((b"ni1", b"ni2")):
            found = "the header of a pair of files, .hdr and .img"
        raise DataError(path, found, "one NIfTI file", "export the image as one .nii or .nii.gz")
    return NiftiHeader(fields, _shape(fields, path), _dtype(fields, path), _offset(fields, path))


def _shape(fields: Nifti1Header, path: Path) -> tuple[int, ...]:
    dims = [int(n) for n in fields["dim"]]
    if not 1 <= dims[0] <= 7:
        raise DataError(path, f"{dims[0]} axes", "1 to 7 axes", BROKEN)
    shape = tuple(dims[1 : 1 + dims[0]])
    if min(shape) < 1:
        raise DataError(path, f"shape {shape}", "at least one voxel along every axis", BROKEN)
    return shape


def _dtype(fields: Nifti1Header, path: Path) -> np.dtype:
    try:
        dtype = fields.get_data_dtype()
    except Exception as error:  # nibabel's tables raise several types for an unknown number
        found = f"voxels of the unknown type {int(fields['datatype'])}"
        raise DataError(path, found, "a type that NIfTI knows", BROKEN) from error
    if dtype.fields is not None or dtype.kind not in "iuf":
        kind = "colour voxels" if dtype.fields is not None else f"voxels of type {dtype}"
        raise DataError(path, kind, "one real number per voxel", "export a grey-level image")
    return dtype


def _offset(fields: Nifti1Header, path: Path) -> int:
    value = float(fields["vox_offset"])
    least = int(fields.single_vox_offset)
    if value == 0:  # written by some programs for "right after the header"
        return least
    if not value >= least or value != int(min(value, 2**62)):
        raise DataError(path, f"voxels from byte {value:g} on", f"{least} or more", BROKEN)
    return int(value)
