"""DICOM images to an array and its grid."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightm_unet.errors import DataError, TooLargeError, UsageError
from lightm_unet.imaging.dicom.frames import FRAME_TAGS, Frame, frames_of, kind
from lightm_unet.imaging.dicom.parse import numbers, read_dataset, read_header, text
from lightm_unet.imaging.dicom.pixels import intensities
from lightm_unet.imaging.dicom.stack import radiograph, stack
from lightm_unet.imaging.dicom_source import DicomFile, FramePlace
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.limits import check_values
from lightm_unet.system.logs import log_once
from lightm_unet.system.memory import machine_bytes

if TYPE_CHECKING:
    from pydicom import Dataset

_log = logging.getLogger(__name__)

SEGMENTATIONS = {"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"}
"""Segmentation, and label map segmentation."""
NO_IMAGES = {*SEGMENTATIONS, "1.2.840.10008.5.1.4.1.1.481.2"}
"""Objects that have pixels but are no images; the last is the dose of a radiotherapy."""
_WITH_A_PLACE = ("CT", "MR", "PT")
"""Modalities whose slices lie somewhere in the patient."""


def read_series(files: Path | Sequence[Path | DicomFile]) -> tuple[np.ndarray, Geometry]:
    """Read the images of one DICOM series as one array.

    Plain slices and the frames of an enhanced object become a volume, sorted by position. One
    image without a place in the patient, such as a radiograph, is a picture with the pixel size
    that its file states.

    Args:
        files: those of the series, in any order; all of them belong to it.

    Returns:
        float32 `(channels, columns, rows, slices)`, of a single slice `(channels, columns, rows)`,
        of a radiograph `(channels, rows, columns)`; and the grid, whose affine is in mm and RAS+.

    Raises:
        DataError: one line about what cannot be used, see `stack` and `intensities`.
        MissingPartError: pydicom is not installed.
    """
    given = [files] if isinstance(files, Path) else list(files)
    if not given:
        raise UsageError("read_series needs at least one file, got none")
    sources = [DicomFile(file) if isinstance(file, Path) else file for file in given]
    headers = [read_header(file, FRAME_TAGS) for file in sources]
    _check_one_series(headers, sources)
    frames = [
        frame
        for file, header in zip(sources, headers, strict=True)
        for frame in frames_of(header, file)
    ]
    return _read_frames(frames, _grid(frames, headers[0], sources[0]))


def is_image(header: Dataset) -> bool:
    """Whether an object's header is that of an image that can be segmented."""
    if text(header, "SOPClassUID") in NO_IMAGES or text(header, "Modality") == "SEG":
        return False
    return "Rows" in header and "Columns" in header


def _check_one_series(headers: Sequence[Dataset], files: Sequence[DicomFile]) -> None:
    for header, file in zip(headers, files, strict=True):
        if not is_image(header):
            raise DataError(
                file.shown,
                f"a DICOM object that is no image ({kind(header)})",
                "an image, such as CT, MR or a radiograph",
                "choose the image's own file",
            )
        for name in ("SeriesInstanceUID", "FrameOfReferenceUID"):
            mine, other = text(header, name), text(headers[0], name)
            if mine != other:
                raise DataError(
                    file.shown,
                    f"another {name} than in {files[0].shown.name}",
                    "images of one series",
                    "put each series into a folder of its own",
                )


def _grid(frames: Sequence[Frame], header: Dataset, file: DicomFile) -> Geometry:
    first = frames[0]
    placed = first.position is not None and first.orientation is not None
    if placed or len(frames) > 1:
        return stack(frames, text(header, "FrameOfReferenceUID"))
    if text(header, "Modality") in _WITH_A_PLACE:
        log_once(
            _log,
            f"no place in {file.path.parent}",
            f"{file.shown}: a slice without a place in the patient; its rows and columns are taken "
            "as they are stored",
        )
    return radiograph(first, _radiograph_spacing(header, file))


def _radiograph_spacing(header: Dataset, file: DicomFile) -> tuple[float, ...] | None:
    """Between rows and between columns, in mm; None if the file does not say."""
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        spacing = numbers(header, name, 2, file)
        if spacing is None:
            continue
        if min(spacing) <= 0:
            raise DataError(
                file.shown,
                f"the {name} {spacing[0]:g}, {spacing[1]:g}",
                "two positive numbers",
                "export the image again",
            )
        if name != "PixelSpacing":
            log_once(
                _log,
                f"{name} in {file.path.parent}",
                f"{file.shown}: no PixelSpacing; {name} is taken, the size at the detector, where "
                "the body is shown larger than it is (said once for all files of this folder)",
            )
        return spacing
    log_once(
        _log,
        f"no spacing in {file.path.parent}",
        f"{file.shown}: no pixel size; a pixel counts as 1 (said once for all files of this "
        "folder)",
    )
    return None


def _read_frames(frames: Iterable[Frame], geometry: Geometry) -> tuple[np.ndarray, Geometry]:
    """Read the frames into the places that the grid gives them."""
    assert geometry.dicom is not None
    place_of = {place: index for index, place in enumerate(geometry.dicom.slices)}
    files = list(dict.fromkeys(frame.place.file for frame in frames))
    first = next(iter(frames))
    check_values(first.place.file.shown, geometry.shape, "voxels")
    slices: np.ndarray | None = None  # (channels, slices, rows, columns)
    for file in files:
        for number, frame in enumerate(intensities(read_dataset(file), file)):
            if slices is None:
                shape = (len(frame), len(place_of), first.rows, first.columns)
                _check_memory(shape, file)
                slices = np.empty(shape, np.float32)
            if frame.shape != (slices.shape[0], *slices.shape[2:]):
                raise DataError(
                    file.shown,
                    f"a frame of {frame.shape[2]}x{frame.shape[1]} with {len(frame)} channel(s)",
                    f"{first.columns}x{first.rows} with {len(slices)}, as in {first.shown}",
                    "put images that belong together into a folder of their own",
                )
            slices[:, place_of[FramePlace(file, number)]] = frame
    assert slices is not None
    if geometry.radiograph or geometry.is_picture:
        return slices[:, 0], geometry
    return slices.transpose(0, 3, 2, 1).reshape(len(slices), *geometry.shape), geometry


def _check_memory(shape: tuple[int, ...], file: DicomFile) -> None:
    check_values(file.shown, shape)
    needed = 4 * math.prod(shape)
    if needed > machine_bytes():
        raise TooLargeError(
            file.shown,
            f"{shape[1]} frames of {shape[3]}x{shape[2]}, which take {needed / 1e9:.0f} GB",
            f"at most the {machine_bytes() / 1e9:.0f} GB of this machine",
            "cut the series",
        )
