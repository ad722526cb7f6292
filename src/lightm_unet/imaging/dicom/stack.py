"""Frames sorted into a volume, or refused: a wrong place of a slice must not go unnoticed.

Slices are sorted by their position along the normal of their plane, never by their number or
their name. They must lie on one even line: where slices are missing, doubled or unevenly spaced
the file is refused, as no affine could say where they lie.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lightm_unet.errors import DataError
from lightm_unet.imaging.dicom.frames import Frame
from lightm_unet.imaging.dicom_source import Source
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.system.logs import log_once

_log = logging.getLogger(__name__)

_TO_RAS = np.array([-1.0, -1.0, 1.0])
"""DICOM counts to the left, to the back and upwards; an affine to the right, to the front, up."""
_ROUNDING = 1e-3
"""By which directions may differ from each other, from length 1 and from a right angle."""
_APART = 0.1
"""Share of a step, or of a pixel, by which a slice may lie beside its place: files round."""
_EXPORT = "export the series again with all of its slices"


def stack(frames: Sequence[Frame], frame_of_reference: str = "") -> Geometry:
    """The grid of a volume `(columns, rows, slices)`, whose `dicom` says in which order.

    Args:
        frames: its slices, in any order.
        frame_of_reference: UID of the space that their positions are given in.

    Raises:
        DataError: frames without a place, of several sizes, directions or pixel sizes; two at one
            position, one missing, or uneven steps.
    """
    _check_equal(frames)
    first = frames[0]
    assert first.orientation is not None  # checked above
    along_row, along_column = _directions(first)
    normal = np.cross(along_row, along_column)
    positions = np.array([frame.position for frame in frames], dtype=np.float64)
    distances = positions @ normal
    order = np.argsort(distances, kind="stable")
    frames = [frames[index] for index in order]
    positions, distances = positions[order], distances[order]
    row_mm, column_mm = _spacing(first)
    if len(frames) == 1:
        step = normal * (first.thickness or 1.0)
    else:
        step = _even_step(frames, positions, distances, min(row_mm, column_mm))
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([along_row * column_mm, along_column * row_mm, step])
    affine[:3, 3] = positions[0]
    affine[:3] = affine[:3] * _TO_RAS[:, None] + 0.0  # no minus zeros
    shape = (first.columns, first.rows, len(frames))
    source = Source(tuple(frame.place for frame in frames), frame_of_reference)
    return Geometry(shape, affine, dicom=source).as_slice()


def radiograph(frame: Frame, spacing: Sequence[float] | None) -> Geometry:
    """The grid `(rows, columns)` of a projection, or of a picture without a place.

    Args:
        frame: the only one.
        spacing: between rows and between columns, in mm; None if nobody knows.
    """
    source, affine = Source((frame.place,)), np.eye(4)
    if spacing is not None:
        row_mm, column_mm = spacing
        # Rows run from top to bottom, columns from the patient's right to the left.
        affine[:3, :3] = np.array([[0, -column_mm, 0], [0, 0, 1], [-row_mm, 0, 0]])
    shape = (frame.rows, frame.columns)
    return Geometry(shape, affine, dicom=source, radiograph=spacing is not None)


def _check_equal(frames: Sequence[Frame]) -> None:
    """Refuse frames that cannot be slices of one volume."""
    first = frames[0]
    for frame in frames:
        path = frame.place.file.shown
        if frame.position is None or frame.orientation is None:
            what = "position" if frame.position is None else "orientation"
            raise DataError(
                path,
                f"{frame.shown} without a {what}, one of {len(frames)} slices",
                "ImagePositionPatient and ImageOrientationPatient in each",
                "export the series again; a moving picture has to be split into single images",
            )
        size, first_size = (frame.rows, frame.columns), (first.rows, first.columns)
        _check_alike("rows and columns", size, first_size, frame, first)
        _check_alike("orientation", frame.orientation, first.orientation, frame, first)
        _check_alike("pixel spacing", frame.spacing, first.spacing, frame, first)


def _check_alike(
    what: str,
    mine: Sequence[float] | None,
    other: Sequence[float] | None,
    frame: Frame,
    first: Frame,
) -> None:
    if not _alike(mine, other):
        raise DataError(
            frame.place.file.shown,
            f"the {what} {_shown(mine)}",
            f"{_shown(other)}, as in {first.shown} of the same series",
            "put images that belong together into a folder of their own",
        )


def _alike(mine: Sequence[float] | None, other: Sequence[float] | None) -> bool:
    if mine is None or other is None:
        return mine is other
    return bool(np.allclose(mine, other, rtol=_ROUNDING, atol=_ROUNDING))


def _shown(values: Sequence[float] | None) -> str:
    return "none" if values is None else " ".join(f"{value:g}" for value in values)


def _directions(frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Along a row and along a column: unit vectors at right angles."""
    assert frame.orientation is not None
    vectors = np.array(frame.orientation, dtype=np.float64).reshape(2, 3)
    lengths = np.linalg.norm(vectors, axis=1)
    if np.abs(lengths - 1).max() > 10 * _ROUNDING or abs(vectors[0] @ vectors[1]) > _ROUNDING:
        raise DataError(
            frame.place.file.shown,
            f"the orientation {_shown(frame.orientation)}",
            "two directions of length 1 at a right angle",
            "export the series again",
        )
    vectors /= lengths[:, None]
    return vectors[0], vectors[1]


def _spacing(frame: Frame) -> tuple[float, float]:
    if frame.spacing is None or min(frame.spacing) <= 0:
        raise DataError(
            frame.place.file.shown,
            f"the pixel spacing {_shown(frame.spacing)}",
            "two positive numbers",
            "export the series again with its pixel spacing",
        )
    return frame.spacing[0], frame.spacing[1]


def _even_step(
    frames: Sequence[Frame], positions: np.ndarray, distances: np.ndarray, pixel_mm: float
) -> np.ndarray:
    """The vector from each slice to the next; slices are given in order."""
    gaps = np.diff(distances)
    usual = float(np.median(gaps))
    several = len({frame.place.file for frame in frames}) > 1
    path = frames[0].place.file.shown.parent if several else frames[0].place.file.shown
    same = np.flatnonzero(gaps <= _APART * max(usual, 1e-3))
    if same.size:
        raise _doubled(frames, distances, same, path)
    step = (positions[-1] - positions[0]) / (len(frames) - 1)
    length = (distances[-1] - distances[0]) / (len(frames) - 1)
    even = distances[0] + length * np.arange(len(frames))
    if np.abs(distances - even).max() > _APART * length or gaps.max() > 1.5 * usual:
        raise _uneven(frames, distances, gaps, usual, path)
    beside = positions - (positions[0] + np.outer(np.arange(len(frames)), step))
    worst = int(np.argmax(np.linalg.norm(beside, axis=1)))
    if np.linalg.norm(beside[worst]) > _APART * max(pixel_mm, length):
        raise DataError(
            path,
            f"slices that lie beside each other: {frames[worst].shown} by "
            f"{np.linalg.norm(beside[worst]):.3g} mm",
            "slices on one straight line",
            "export the series again",
        )
    tilt = np.degrees(np.arccos(np.clip(length / np.linalg.norm(step), -1, 1)))
    if tilt > 0.1:
        log_once(
            _log,
            f"tilt of {path}",
            f"{path}: slices tilted by {tilt:.1f} degrees against their stack (gantry tilt), which "
            "the affine keeps",
        )
    return step


def _doubled(
    frames: Sequence[Frame], distances: np.ndarray, same: np.ndarray, path: Path
) -> DataError:
    one, other = frames[same[0]], frames[same[0] + 1]
    return DataError(
        path,
        f"two slices at {distances[same[0]]:.2f} mm along the stack, {one.shown} and "
        f"{other.shown}" + (f", and {len(same) - 1} more such" if len(same) > 1 else ""),
        "one slice at each position",
        "remove copies; put each time point, echo or phase into a folder of its own",
    )


def _uneven(
    frames: Sequence[Frame], distances: np.ndarray, gaps: np.ndarray, usual: float, path: Path
) -> DataError:
    off = np.flatnonzero(np.abs(gaps - usual) > _APART * usual)
    worst = int(off[np.argmax(np.abs(gaps[off] - usual))]) if off.size else int(np.argmax(gaps))
    times = gaps[worst] / usual
    missing = round(times) - 1
    what = (
        f"{missing} missing slice{'' if missing == 1 else 's'}"
        if missing >= 1 and abs(times - round(times)) < 2 * _APART
        else "uneven slices"
    )
    return DataError(
        path,
        f"{what}: {gaps[worst]:.4g} mm from {frames[worst].shown} at {distances[worst]:.2f} mm "
        f"along the stack to {frames[worst + 1].shown}, where most are {usual:.4g} mm apart"
        + (f"; {off.size} such places" if off.size > 1 else ""),
        "evenly spaced slices",
        _EXPORT,
    )
