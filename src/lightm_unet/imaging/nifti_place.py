"""What a NIfTI header says about where the voxels lie, taken at its word or refused.

A header may place its voxels in three ways, of which the first that is present is used, as by
nibabel:

    sform   a whole matrix; can shear
    qform   a rotation, a translation, and the voxel sizes of `pixdim`
    neither the voxel sizes alone. Where the image lies and which side is left is then unknown; we
            take nibabel's reading: the first axis runs to the left, the centre is the origin.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightm_unet.errors import DataError
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.nifti_header import NiftiHeader

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

logger = logging.getLogger(__name__)

UNIT_MM = {1: 1000.0, 2: 1.0, 3: 0.001}
"""mm in one of the header's units: metre, mm, micron. Without a known unit it is mm."""
_FARTHEST = 1e12
"""Largest number that an affine may hold. No scanner's, and squares of it can be counted with."""
_UNIT_BITS = 0b111
"""The part of `xyzt_units` that is about space."""
_PLACE_FIELDS = (
    *("pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"),
)


def read_affine(header: NiftiHeader, path: Path) -> np.ndarray:
    """Voxel to world, 4x4 float64, mm, RAS+, in the order that the module's docstring gives.

    Where qform and sform disagree, and where there is neither, a warning is logged.

    Raises:
        DataError: numbers that are not finite, a voxel size that is not positive where it is
            needed, a matrix that cannot be inverted.
    """
    fields = header.fields
    qform_code, sform_code = int(fields["qform_code"]), int(fields["sform_code"])
    if sform_code > 0:
        affine = _sform(fields)
    elif qform_code > 0:
        affine = _qform(header, path)
    else:
        affine = _centred(header, path)
    check_affine(affine, path)
    if sform_code > 0 and qform_code > 0:
        _compare_forms(header, affine, path)
    elif sform_code <= 0 and qform_code <= 0:
        logger.warning(
            "%s: the header has neither a qform nor an sform, so position and left and right are "
            "unknown; the first axis is taken to run to the left",
            path,
        )
    return _in_mm(affine, header)


def affine_in_memory(affine: np.ndarray | None, header: NiftiHeader, path: Path) -> np.ndarray:
    """The affine that nibabel holds beside a header, checked, in mm.

    Raises:
        DataError: as `read_affine`.
    """
    values = np.full((4, 4), np.nan) if affine is None else np.array(affine, np.float64)
    check_affine(values, path)
    return _in_mm(values, header)


def _in_mm(affine: np.ndarray, header: NiftiHeader) -> np.ndarray:
    affine[:3] *= UNIT_MM.get(int(header.fields["xyzt_units"]) & _UNIT_BITS, 1.0)
    return affine


def like_header(header: NiftiHeader) -> Nifti1Header:
    """A new header that places voxels as another one does, field by field.

    Whichever form, voxel size or unit a program goes by, it finds the same in both.
    """
    old = header.fields
    new = type(old)()
    for name in _PLACE_FIELDS:
        new[name] = old[name]
    new["xyzt_units"] = int(old["xyzt_units"]) & _UNIT_BITS
    return new


def _sform(fields: Nifti1Header) -> np.ndarray:
    rows = [fields[name].astype(np.float64) for name in ("srow_x", "srow_y", "srow_z")]
    return np.array([*rows, [0, 0, 0, 1]], dtype=np.float64)


def _qform(header: NiftiHeader, path: Path) -> np.ndarray:
    from nibabel.quaternions import quat2mat

    fields = header.fields
    vector = [float(fields[name]) for name in ("quatern_b", "quatern_c", "quatern_d")]
    rest = 1 - sum(number * number for number in vector)
    if not rest > -1e-3:  # NaN too; a little is rounding
        raise DataError(
            path,
            "a qform whose quaternion is no rotation",
            "a quaternion of length 1",
            "export the image again with its position and voxel size",
        )
    sizes = _voxel_sizes(header, path)
    if float(fields["pixdim"][0]) < 0:  # a left-handed grid
        sizes[2] = -sizes[2]
    affine = np.eye(4)
    affine[:3, :3] = quat2mat([math.sqrt(max(rest, 0.0)), *vector]) @ np.diag(sizes)
    affine[:3, 3] = [float(fields[name]) for name in ("qoffset_x", "qoffset_y", "qoffset_z")]
    return affine


def _centred(header: NiftiHeader, path: Path) -> np.ndarray:
    sizes = np.array(_voxel_sizes(header, path)) * (-1, 1, 1)
    counts = np.array([*header.shape[:3], 1, 1][:3])
    affine = np.diag([*sizes, 1.0])
    affine[:3, 3] = -sizes * (counts - 1) / 2
    return affine


def _voxel_sizes(header: NiftiHeader, path: Path) -> list[float]:
    """Of three axes; 1 for those that the image has not."""
    sizes = [float(size) for size in header.fields["pixdim"][1:4]]
    for axis, size in enumerate(sizes):
        if math.isfinite(size) and size > 0:
            continue
        if axis < len(header.shape):
            raise DataError(
                path,
                f"a voxel size (pixdim) of {size:g} along axis {axis + 1}, and no sform",
                "a positive number",
                "export the image again with its position and voxel size",
            )
        sizes[axis] = 1.0
    return sizes


def check_affine(affine: np.ndarray, path: Path) -> None:
    """Refuse an affine that cannot place voxels.

    Raises:
        DataError: numbers that are not finite or too large, or a matrix that cannot be inverted.
    """
    expected = "16 finite numbers that map voxels to mm"
    advice = "export the image again with its position and voxel size"
    if not np.isfinite(affine).all():
        raise DataError(path, "an affine with NaN or infinite numbers", expected, advice)
    if np.abs(affine).max() > _FARTHEST:
        raise DataError(path, f"an affine with {np.abs(affine).max():g}", expected, advice)
    # The determinant of the unit directions: 1 for right angles, 0 for a flattened grid,
    # whatever the voxel size is.
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if lengths.min() < 1 / _FARTHEST or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-4:
        raise DataError(path, "a singular affine", "an affine that can be inverted", advice)


def _compare_forms(header: NiftiHeader, sform: np.ndarray, path: Path) -> None:
    """Say which form is used where a qform and an sform disagree."""
    codes = int(header.fields["qform_code"]), int(header.fields["sform_code"])
    try:
        qform = _qform(header, path)
        check_affine(qform, path)
    except DataError as error:
        logger.warning(
            "%s: the qform (code %d) cannot be used, found %s; the sform (code %d) is used",
            *(path, codes[0], error.found, codes[1]),
        )
        return
    shape = (*header.shape, 1, 1)[:3]
    if difference := Geometry(shape, sform).difference(Geometry(shape, qform)):
        logger.warning(
            "%s: the qform (code %d) disagrees with the sform (code %d): %s; the sform is used",
            *(path, codes[0], codes[1], difference),
        )
