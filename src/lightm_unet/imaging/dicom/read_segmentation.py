"""DICOM segmentations as label maps."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightm_unet.errors import DataError
from lightm_unet.imaging.dicom.frames import Frame, frames_of, kind
from lightm_unet.imaging.dicom.parse import broken_is_an_error, count, read_dataset, text
from lightm_unet.imaging.dicom.pixels import stored_frames
from lightm_unet.imaging.dicom.read import SEGMENTATIONS
from lightm_unet.imaging.dicom.stack import radiograph, stack
from lightm_unet.imaging.dicom.write_segmentation import LEVELS, labels_of_levels
from lightm_unet.imaging.dicom_source import BROKEN, DicomFile, FramePlace
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.system.logs import log_once

if TYPE_CHECKING:
    from pydicom import Dataset

_log = logging.getLogger(__name__)

_LARGEST = 65535
_SAME_PLACE_MM = 1e-3
_WHOLE = 0.05
"""By which a distance may differ from a whole number of steps."""


def read_segmentation(path: Path) -> tuple[np.ndarray, Geometry]:
    """Read a DICOM segmentation as a label map; a label's value is the number of its segment.

    Slices that are left out between others, as empty ones often are, are empty in it. Where a
    segmentation leaves out the first or the last slices of its image, it has fewer than the image.

    Returns:
        Integers `(columns, rows, slices)`, of a single slice without the last, of a radiograph
        `(rows, columns)`; and the grid.

    Raises:
        DataError: another DICOM object, damaged, segments that overlap, frames without a place.
    """
    file = DicomFile(path)
    dataset = read_dataset(file)
    if text(dataset, "SOPClassUID") not in SEGMENTATIONS:
        raise DataError(
            path,
            f"a DICOM object that is no segmentation ({kind(dataset)})",
            "a DICOM segmentation",
            "name the file of the mask",
        )
    frames = frames_of(dataset, file)
    numbers = _segment_numbers(dataset, len(frames), file)
    if all(frame.position is None for frame in frames):
        geometry = radiograph(frames[0], frames[0].spacing)
        if frames[0].spacing is None:
            log_once(
                _log,
                f"no spacing in {path.parent}",
                f"{path}: no pixel size; a pixel counts as 1 mm (said once for all files of this "
                "folder)",
            )
        slice_of = [0] * len(frames)
        count = 1
    else:
        space = text(dataset, "FrameOfReferenceUID")
        geometry, slice_of, count = _grid(frames, space, file)
    labels = _labels(dataset, file, numbers, slice_of, (count, frames[0].rows, frames[0].columns))
    if geometry.is_picture:
        return labels[0], geometry
    return labels.transpose(2, 1, 0).reshape(geometry.shape), geometry


def _segment_numbers(dataset: Dataset, total: int, file: DicomFile) -> list[int]:
    """The segment of each frame; 0 where a frame holds all of them."""
    if text(dataset, "SegmentationType") == "LABELMAP":
        return [0] * total
    with broken_is_an_error(file):
        shared = list(dataset.get("SharedFunctionalGroupsSequence") or ())
        groups = dataset.get("PerFrameFunctionalGroupsSequence") or [shared[0]] * total
        found = []
        for group in groups:
            holder = group if "SegmentIdentificationSequence" in group else shared[0]
            item = holder.SegmentIdentificationSequence[0]
            found.append(int(item.ReferencedSegmentNumber))
    if any(not 1 <= number <= _LARGEST for number in found):
        raise DataError(file.shown, "a segment number below 1", "numbers from 1", BROKEN)
    return found


def _grid(
    frames: Sequence[Frame], frame_of_reference: str, file: DicomFile
) -> tuple[Geometry, list[int], int]:
    """The grid, the slice of each frame, and how many slices there are."""
    placed = [frame for frame in frames if frame.position is not None]
    if len(placed) < len(frames) or placed[0].orientation is None:
        raise DataError(file.shown, "frames without a place", "a place for each frame", BROKEN)
    positions = np.array([frame.position for frame in frames], dtype=np.float64)
    orientation = np.array(frames[0].orientation, dtype=np.float64)
    distances = positions @ np.cross(orientation[:3], orientation[3:])
    order = np.argsort(distances, kind="stable")
    starts = np.diff(distances[order], prepend=-np.inf) > _SAME_PLACE_MM
    distinct = order[starts]
    group_of = np.empty(len(frames), dtype=np.intp)
    group_of[order] = np.cumsum(starts) - 1
    steps, filled = _with_gaps([frames[index] for index in distinct], distances[distinct])
    geometry = stack(filled, frame_of_reference)
    return geometry, [steps[group] for group in group_of], len(filled)


def _with_gaps(frames: Sequence[Frame], distances: np.ndarray) -> tuple[list[int], list[Frame]]:
    """The number of each slice, and all slices with those that were left out between them."""
    gaps = np.diff(distances)
    if not gaps.size:
        return [0], list(frames)
    step = float(gaps.min())
    if (np.abs(gaps / step - np.rint(gaps / step)) > _WHOLE).any():
        return list(range(len(frames))), list(frames)  # `stack` says where they are uneven
    steps = np.rint(gaps / step).astype(int)
    numbers = [0, *np.cumsum(steps).tolist()]
    filled: list[Frame] = []
    for frame, following, times in zip(frames, [*frames[1:], None], [*steps, 1], strict=True):
        filled.append(frame)
        if following is None:
            break
        start, end = np.array(frame.position), np.array(following.position)
        for number in range(1, times):
            between = tuple((start + (end - start) * number / times).tolist())
            place = FramePlace(frame.place.file, -len(filled) - 1)
            filled.append(replace(frame, position=between, place=place))
    return numbers, filled


def _labels(
    dataset: Dataset,
    file: DicomFile,
    numbers: Sequence[int],
    slice_of: Sequence[int],
    shape: tuple[int, int, int],
) -> np.ndarray:
    """`(slices, rows, columns)`."""
    form = text(dataset, "SegmentationType")
    if form == "FRACTIONAL":
        return _of_fractions(dataset, file, numbers, slice_of, shape)
    labels = np.zeros(shape, dtype=np.uint16)
    for frame, number, place in zip(stored_frames(dataset, file), numbers, slice_of, strict=True):
        there = frame > 0
        if (labels[place][there] > 0).any():
            raise DataError(
                file.shown,
                "segments that overlap",
                "one label for each voxel",
                "keep the segments that matter",
            )
        labels[place][there] = number or frame[there]
    return labels


def _of_fractions(
    dataset: Dataset,
    file: DicomFile,
    numbers: Sequence[int],
    slice_of: Sequence[int],
    shape: tuple[int, int, int],
) -> np.ndarray:
    """The likeliest label of each voxel."""
    most = count(dataset, "MaximumFractionalValue", file, default=LEVELS)
    used = sorted(set(numbers))
    levels = np.zeros((*shape, len(used)), dtype=np.uint8)
    for frame, number, place in zip(stored_frames(dataset, file), numbers, slice_of, strict=True):
        scaled = frame if most == LEVELS else np.rint(frame * (LEVELS / most))
        levels[place, :, :, used.index(number)] = scaled
    labels = labels_of_levels(levels)
    return np.array([0, *used], dtype=np.uint16)[labels]
