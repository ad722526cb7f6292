"""Files to arrays and back, with the grid that says where the voxels lie.

NIfTI, MHA and NRRD for volumes (and flat ones), PNG, JPEG, TIFF and BMP for pictures, DICOM for
both. Whatever is wrong with a file is one `DataError`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightm_unet.errors import DataError, NotFiniteError, UsageError
from lightm_unet.imaging.dicom.read import read_series
from lightm_unet.imaging.dicom.read_segmentation import read_segmentation
from lightm_unet.imaging.dicom_source import DICOM_ENDINGS, DicomFile, is_dicom
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.itk import (
    ITK_ENDINGS,
    is_itk,
    read_itk,
    read_itk_shape,
    write_itk,
)
from lightm_unet.imaging.nifti import nibabel_arrays, read_nifti, read_nifti_shape, write_nifti
from lightm_unet.imaging.nifti_header import NiftiHeader
from lightm_unet.imaging.picture import (
    grey_of_equal,
    read_label_picture,
    read_picture,
    write_picture,
)

_log = logging.getLogger(__name__)

IMAGE_ENDINGS = (
    *(".nii.gz", ".nii", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"),
    *ITK_ENDINGS,
)
"""File endings that data sets can have, in lower case; upper case is accepted too. DICOM, which is
known by its content, is read besides."""
_READABLE = f"{', '.join(IMAGE_ENDINGS)} or DICOM"

NIFTI_ENDINGS = (".nii.gz", ".nii")
"""Those of NIfTI."""
WHITES = (255, 65535)
"""White in pictures of 8 and of 16 bits; in masks it often marks pixels to leave out instead. See
`read_mask`."""
ROUNDING = 1e-3
"""Label values are rounded if they are this near to a whole number."""
_LARGEST_LABEL = 2**31
"""Larger numbers are no labels but a mistake."""
_LOSSY_ENDINGS = (".jpg", ".jpeg")


@dataclass(frozen=True, eq=False)
class Image:
    """Intensities and the grid they lie on."""

    array: np.ndarray
    """float32, `(channels, *shape)`; every value is finite."""
    geometry: Geometry
    path: Path
    """The first file it came from, for messages."""


def split_ending(path: str | Path) -> tuple[str, str]:
    """Split a file name into its stem and its ending, which for NIfTI may have two dots.

    Returns:
        The stem, and the ending in lower case.

    Raises:
        DataError: the ending is neither one of `IMAGE_ENDINGS` nor one of DICOM.

    Example:
        >>> split_ending("scans/a.b.nii.gz")
        ('a.b', '.nii.gz')
    """
    name = Path(path).name
    for ending in IMAGE_ENDINGS + DICOM_ENDINGS:
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)], ending
    raise DataError(
        path,
        f"a name ending in {Path(name).suffix or name}",
        _READABLE,
        "convert the file to one of these formats",
    )


def has_spacing(path: str | Path) -> bool:
    """Whether a file's format stores a voxel size: all but pictures do.

    Raises:
        DataError: as `split_ending`.

    Example:
        >>> has_spacing("a.nii.gz"), has_spacing("a.png")
        (True, False)
    """
    return split_ending(path)[1] in NIFTI_ENDINGS + DICOM_ENDINGS + ITK_ENDINGS


def is_image_name(path: str | Path) -> bool:
    """Whether a file name ends in one of `IMAGE_ENDINGS` and is not hidden."""
    name = Path(path).name
    return not name.startswith(".") and name.lower().endswith(IMAGE_ENDINGS)


def _is_dicom_name(path: Path) -> bool:
    return not path.name.startswith(".") and path.name.lower().endswith(DICOM_ENDINGS)


def image_files(path: Path, what: str = "images") -> list[Path]:
    """The images at a path: the file itself, or all images directly in a folder, sorted by name.

    DICOM is listed by its ending alone.

    Hidden files, such as macOS leaves behind, and folders are passed over. Whatever else bears the
    name of an image is listed, even a link to a file that is gone: reading it names it, while one
    image fewer might not be noticed.

    Args:
        path: a file or a folder.
        what: what the files are, for messages.

    Raises:
        DataError: nothing is there, a file has a wrong ending, a folder holds no image or cannot
            be read.
    """
    try:
        if not path.exists():
            found = (
                "a link to a file that is gone" if path.is_symlink() else "no such file or folder"
            )
            raise DataError(path, found, what, "check the path")
        if not path.is_dir():
            split_ending(path)
            return [path]
        files = sorted(
            f for f in path.iterdir() if (is_image_name(f) or _is_dicom_name(f)) and not f.is_dir()
        )
    except OSError as error:  # no permission, or a name that is too long
        reason = error.strerror or str(error)
        raise DataError(path, f"it cannot be read ({reason})", what, "check the path") from error
    if not files:
        raise DataError(
            path,
            f"no {what.removesuffix('s')} in this folder",
            f"files ending in {_READABLE}",
            f"name the folder that holds the {what} themselves",
        )
    return files


def read_image(
    paths: Path | DicomFile | Sequence[Path | DicomFile],
    channels: int | None = None,
    *,
    nan_as: float | None = None,
) -> Image:
    """Read an image from one file, or from several with one channel each; or a DICOM series.

    A NIfTI file of a single slice is a flat image, be it stored as `(i, j)`, `(i, j, 1)`,
    `(i, 1, k)` or `(1, j, k)`; a 3D network takes it as a volume all the same. A fourth axis is
    taken as channels only where `channels` says so: it is time more often.

    Args:
        paths: a file, or the files of the channels in order, all on the same grid; or the files of
            one DICOM series in any order.
        channels: how many channels the image should have; None accepts what is there. 1 makes
            grey of a picture that is stored in colour with three equal channels.
        nan_as: what NaN and infinite voxels become, with a line that counts them; None refuses
            them.

    Raises:
        DataError: a file cannot be used, files lie on different grids, voxels are NaN or
            infinite, or the number of channels is another.
    """
    given = [paths] if isinstance(paths, (Path, DicomFile)) else list(paths)
    if not given:
        raise UsageError("read_image needs at least one file, got none")
    files = [file for file in given if isinstance(file, Path) and not _is_dicom(file)]
    if not files:
        return _read_dicom(given, channels, nan_as)
    if len(files) < len(given):
        raise UsageError("read_image needs DICOM files or others, got some of each")
    per_file = channels if len(files) == 1 else 1
    parts = [_read_one(file, per_file, nan_as) for file in files]
    geometry = parts[0][1]
    for file, (_, other) in zip(files[1:], parts[1:], strict=True):
        if difference := geometry.difference(other):
            raise DataError(
                file, difference, f"the grid of {files[0].name}", "resample the channels first"
            )
    array = parts[0][0] if len(parts) == 1 else np.concatenate([part for part, _ in parts])
    if channels is not None and array.shape[0] != channels:
        raise DataError(
            files[0],
            f"{array.shape[0]} channel(s) in {len(files)} file(s)",
            f"{channels}",
            "give the channels the model or the data set was made for",
        )
    return Image(array, geometry, files[0])


def _is_dicom(path: Path) -> bool:
    return not is_image_name(path) and (_is_dicom_name(path) or is_dicom(path))


def _read_dicom(
    files: Sequence[Path | DicomFile], channels: int | None, nan_as: float | None
) -> Image:
    """The image of one DICOM series."""
    array, geometry = read_series(files)
    path = files[0] if isinstance(files[0], Path) else files[0].shown
    if channels == 1 and len(array) == 3:
        array = grey_of_equal(array, path)
    if channels is not None and len(array) != channels:
        raise DataError(
            path,
            f"{len(array)} channel(s)",
            f"{channels}",
            "give the channels the model or the data set was made for",
        )
    return Image(_finite(array, path, nan_as), geometry, path)


def image_from_array(array: np.ndarray, geometry: Geometry, name: str) -> Image:
    """An image in memory, checked as one from a file.

    Args:
        array: real numbers or booleans, `(channels, *geometry.shape)`; it is not changed.
        geometry: its grid.
        name: for messages.

    Raises:
        DataError: another type of value, no voxel, or voxels that are NaN or infinite.
    """
    path = Path(name)
    if 0 in array.shape:
        raise DataError(path, f"shape {array.shape}", "at least one voxel", "pass a whole image")
    return Image(_intensities(array, path), geometry, path)


def image_from_nibabel(image: Any, channels: int, name: str) -> Image:
    """An image that nibabel holds, checked and sorted into channels and space as one from a file.

    Args:
        image: a nibabel image with an affine.
        channels: how many the image should have.
        name: for messages.

    Raises:
        DataError: as `read_image`.
    """
    array, geometry = _nifti_channels(*nibabel_arrays(image, Path(name)), Path(name), channels)
    return image_from_array(array, geometry, name)


def read_labels(path: Path) -> tuple[np.ndarray, Geometry]:
    """Read a label map with its original values.

    Values within `ROUNDING` of a whole number are rounded, such as 0.99999994, or 255 under a
    header's scaling by 1/255; a line is logged once for each file.

    Returns:
        Integers `(*shape)`, uint8 where the values fit and int64 otherwise; and the grid.

    Raises:
        DataError: the file cannot be used, or a value is not a whole number.
    """
    if _is_dicom(path):
        array, geometry = read_segmentation(path)
    elif is_itk(path):
        array, geometry = read_itk(path)
        if len(array) > 1:
            raise DataError(
                path, f"{len(array)} channels", "one label for each voxel", "convert it"
            )
        array = array[0]
    elif has_spacing(path):
        array, geometry = _nifti_channels(*read_nifti(path), path, channels=None)
        array = array[0]
    else:
        array = read_label_picture(path)
        geometry = Geometry(array.shape, np.eye(4))
    if array.dtype.kind == "f":
        array = _whole_numbers(array, path)
    elif np.abs(array.astype(np.float64)).max() >= _LARGEST_LABEL:
        raise DataError(path, f"the label value {array.max()}", "smaller numbers", "correct it")
    fits = array.min() >= 0 and array.max() <= 255
    return np.ascontiguousarray(array, dtype=np.uint8 if fits else np.int64), geometry


def read_mask(path: Path, classes: int | None = None) -> tuple[np.ndarray, Geometry]:
    """Read a label map; this is the one place that says what white means, 255 or 65535.

    - A picture of black and one white only is a mask of label 1, if there is one label besides
      the background: that is how masks come out of drawing programs and many public data sets.
    - Everywhere else white is no label, unless `classes` counts that far: it often marks pixels
      that were left out, and those must be neither learnt nor scored as a structure.

    Args:
        path: the label map's file.
        classes: number of labels, background included; None if nobody knows. Black and white is
            then a mask of label 1, and any other white is left to the caller, who may know more:
            it reads again with a number.

    Returns:
        As `read_labels`.

    Raises:
        DataError: as `read_labels`; a white that is no label.
    """
    labels, geometry = read_labels(path)
    if classes in (None, 2) and _is_black_and_white(labels, path):
        return (labels > 0).astype(np.uint8), geometry
    if classes is not None:
        _refuse_whites(labels, path, classes)
    return labels, geometry


def _is_black_and_white(labels: np.ndarray, path: Path) -> bool:
    """Whether a picture's only values are 0 and one of `WHITES`, with some white."""
    white = labels.max()
    return not has_spacing(path) and bool(
        white in WHITES and ((labels == 0) | (labels == white)).all()
    )


def _refuse_whites(labels: np.ndarray, path: Path, classes: int) -> None:
    """Refuse each of `WHITES` that is none of so many labels."""
    for white in WHITES:
        if classes <= white and (count := int(np.count_nonzero(labels == white))):
            raise DataError(
                path,
                f"the label value {white} in {count} of {labels.size} voxels",
                f"the values 0 to {classes - 1}",
                f"{white} often means ignore: give these voxels the background's 0 or their true "
                f"label; where 0 and {white} are a mask of one label, save it as 0 and 1 "
                "(lightm-unet import-dataset --kind pairs does so)",
            )


def write_labels(labels: np.ndarray, geometry: Geometry, path: Path) -> None:
    """Write a label map as uint8 on the given grid, in one step.

    Args:
        labels: integers from 0 to 255, of `geometry.shape`.
        geometry: the grid, as it was read with the image.
        path: ends in .nii, .nii.gz, .png, .tif, .tiff or .bmp.

    Raises:
        UsageError: a shape, value or ending that does not fit.
    """
    if labels.shape != geometry.shape:
        raise UsageError(f"labels of shape {labels.shape} do not fit a grid of {geometry.shape}")
    if labels.size and not 0 <= labels.min() <= labels.max() <= 255:
        raise UsageError(f"labels must lie within 0 to 255, got {labels.min()} to {labels.max()}")
    _, ending = split_ending(path)
    if ending in _LOSSY_ENDINGS:
        raise UsageError(f"{path}: JPEG changes label values; write a .png instead")
    _write_values(labels.astype(np.uint8), geometry, path)


def write_map(values: np.ndarray, geometry: Geometry, path: Path) -> None:
    """Write one number per voxel without loss, in one step.

    Args:
        values: float32 for NIfTI, uint16 for pictures; of `geometry.shape`.
        geometry: the grid, as it was read with the image.
        path: ends in .nii, .nii.gz or .png.
    """
    _write_values(values, geometry, path)


def _write_values(values: np.ndarray, geometry: Geometry, path: Path) -> None:
    if has_spacing(path):
        write_volume(values, geometry, path)
    else:
        write_picture(values, path)


_rounded: set[Path] = set()
"""Files whose rounding has been told."""


def _whole_numbers(array: np.ndarray, path: Path) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        whole = np.rint(array)
        off = np.abs(array - whole)
    wrong = array[~(np.isfinite(array) & (off <= ROUNDING) & (np.abs(whole) < _LARGEST_LABEL))]
    if wrong.size:
        raise DataError(
            path,
            f"the label value {wrong.flat[0]:.9g}",
            "whole numbers",
            "save the mask without scaling or smoothing",
        )
    if off.any() and path not in _rounded:
        _rounded.add(path)
        place = np.unravel_index(np.argmax(off), array.shape)
        _log.warning(
            "%s: %d label value(s) rounded to whole numbers, such as %.9g to %d",
            path,
            np.count_nonzero(off),
            array[place],
            whole[place],
        )
    return whole


def write_volume(array: np.ndarray, geometry: Geometry, path: Path) -> None:
    """Write voxels in one step, at the place that their grid was read from.

    Args:
        array: of `geometry.shape` and a number type that NIfTI knows.
        geometry: the grid, as it was read with the image.
        path: ends in .nii, .nii.gz, .mha or .nrrd.
    """
    affine = geometry.affine if geometry.stored_affine is None else geometry.stored_affine
    values = array.reshape(geometry.stored_shape)
    if is_itk(path):
        write_itk(values, affine, path)
    else:
        write_nifti(values, affine, path, geometry.header)


def stored_dims(path: Path) -> int:
    """3 for a volume of more than one slice, 2 for a slice or a picture; only its header is read.

    Raises:
        DataError: the header cannot be read.
    """
    if not has_spacing(path):
        return 2
    shape = (read_itk_shape if is_itk(path) else read_nifti_shape)(path)[:3]
    return 3 if len(shape) == 3 and min(shape) > 1 else 2


def _read_one(
    path: Path, channels: int | None, nan_as: float | None
) -> tuple[np.ndarray, Geometry]:
    """One file's float32 `(channels, *shape)` and grid."""
    if is_itk(path):
        array, geometry = read_itk(path)
    elif has_spacing(path):
        array, geometry = _nifti_channels(*read_nifti(path), path, channels)
    else:
        array = read_picture(path, channels)
        geometry = Geometry(array.shape[1:], np.eye(4))
    return _intensities(array, path, nan_as), geometry


def _intensities(array: np.ndarray, path: Path, nan_as: float | None = None) -> np.ndarray:
    """Numbers as finite float32; true and false count as 1 and 0."""
    if array.dtype.kind not in "biuf":
        raise DataError(
            path, f"values of type {array.dtype}", "real numbers", "convert them to numbers first"
        )
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, and is refused
        array = np.ascontiguousarray(array, dtype=np.float32)
    return _finite(array, path, nan_as)


def _finite(array: np.ndarray, path: Path, nan_as: float | None) -> np.ndarray:
    """The voxels, if all are finite, or with a number in place of those that are not."""
    finite = np.isfinite(array)
    if finite.all():
        return array
    count = np.count_nonzero(~finite)
    if nan_as is None:
        raise NotFiniteError(
            path,
            f"{count} NaN or infinite voxels",
            "finite intensities",
            "replace them, for example by the background's value",
        )
    _log.warning("%s: %d NaN or infinite voxels taken as %g", path, count, nan_as)
    return np.where(finite, array, np.float32(nan_as))


def check_nan_as(value: Any) -> None:
    """Refuse what NaN voxels cannot become.

    Raises:
        UsageError: it is no finite number that float32 holds.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not abs(value) <= float(np.finfo(np.float32).max):
        raise UsageError(f"nan_as needs a finite number, got {value!r}")


def _nifti_channels(
    array: np.ndarray, affine: np.ndarray, header: NiftiHeader, path: Path, channels: int | None
) -> tuple[np.ndarray, Geometry]:
    """Sort a NIfTI file's axes into channels, space, and axes of length 1 to remember."""
    stored = array.shape
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim == 4 and array.shape[3] == channels:
        array, stored = np.moveaxis(array, 3, 0), stored[:3]
    else:
        array = array[None]
    if array.ndim not in (3, 4):
        advice = "give one volume: split series of volumes into files first"
        raise DataError(path, f"shape {header.shape}", "a 2D or 3D image", advice)
    unit_axes = len(stored) - len(array.shape[1:])
    whole = Geometry(array.shape[1:], affine, unit_axes, header, stored)
    geometry = whole.as_slice()
    return array.reshape(array.shape[0], *geometry.shape), geometry
