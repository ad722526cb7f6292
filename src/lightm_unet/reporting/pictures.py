"""Overlays of a prediction and its reference on the image, for people to look at.

`overlay` draws the masks. Volumes are shown as a radiologist reads them, in three planes: seen from
the feet and from the front with the patient's right on the left, from the side with the face to the
left. Pixels are drawn square in mm, masks as they are, voxel by voxel.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from lightm_unet.imaging.geometry import Geometry
from lightm_unet.reporting.overlay import overlay
from lightm_unet.reporting.palette import Colour

LONGEST_SIDE_PX = 480
SLICE_SIDE_PX = 360
"""Longest side of a slice that is shown beside many others."""
CT_WINDOW_HU = (-160.0, 240.0)
"""What soft tissue is read in: level 40, width 400."""


@dataclass(frozen=True)
class Picture:
    """One picture, ready for a page."""

    png: bytes
    width: int
    height: int
    caption: str


@dataclass(frozen=True)
class _Plane:
    """One way of slicing a volume `(x, y, z)` whose axes run to the right, front and top."""

    name: str
    axis: int
    edges: tuple[str, str, str, str]
    """What lies beyond the left, right, top and bottom edge of the picture."""


_PLANES = (
    _Plane("axial", axis=2, edges=("R", "L", "A", "P")),
    _Plane("coronal", axis=1, edges=("R", "L", "S", "I")),
    _Plane("sagittal", axis=0, edges=("A", "P", "S", "I")),
)


@dataclass(frozen=True)
class SliceView:
    """One slice of an image and of masks on its grid, as it is looked at."""

    grey: np.ndarray
    """uint8 intensities, `(rows, columns)`."""
    masks: tuple[np.ndarray, ...]
    """Labels, each `(rows, columns)`."""
    pixel_mm: tuple[float, float]
    """Height and width of a pixel; 1 and 1 in a photograph."""
    caption: str
    """Which slice it is; "" in a photograph."""


def view_slice(
    image: np.ndarray | None,
    masks: Sequence[np.ndarray],
    geometry: Geometry,
    *,
    is_photo: bool,
) -> SliceView:
    """The axial slice through most of the first mask, of the image and of all masks.

    Args:
        image: intensities, `(channels, *shape)`; channels are averaged. None is black.
        masks: labels, each `(*shape)`.
        geometry: where the voxels lie.
        is_photo: the arrays are `(height, width)` as pictures are, not NIfTI's `(i, j[, k])`.
    """
    values = np.zeros(masks[0].shape, dtype=np.uint8) if image is None else _mean_channel(image)
    contrast = _contrast(values)
    if is_photo:
        return SliceView(_to_grey(values, contrast), tuple(masks), (1.0, 1.0), "")
    (values, *masks), spacing_mm = _to_canonical([values, *masks], geometry)
    # A single slice is shown as it lies; of a volume, the axial one.
    plane = next((plane for plane in _PLANES if values.shape[plane.axis] == 1), _PLANES[0])
    index = _most_foreground(masks[0], plane.axis)
    shown, *labels = (_slice(volume, plane, index) for volume in (values, *masks))
    row_axis, column_axis = (axis for axis in (2, 1, 0) if axis != plane.axis)
    number = f", slice {index + 1} of {values.shape[plane.axis]}"
    return SliceView(
        _to_grey(shown, contrast),
        tuple(labels),
        (spacing_mm[row_axis], spacing_mm[column_axis]),
        plane.name + (number if values.shape[plane.axis] > 1 else ""),
    )


def draw_case(
    image: np.ndarray | None,
    pred: np.ndarray,
    ref: np.ndarray,
    geometry: Geometry,
    colours: Mapping[int, Colour],
    *,
    is_photo: bool,
    focus: int | None = None,
) -> list[Picture]:
    """Draw one case: one picture in 2D; in 3D the three planes through most of the reference.

    Args:
        image: intensities, `(channels, *shape)`; channels are averaged. None draws on black.
        pred: predicted labels, `(*shape)`.
        ref: reference labels, same shape.
        geometry: where the voxels lie.
        colours: by label value, such as `palette.on_grey` gives; other labels are not drawn.
        is_photo: the arrays are `(height, width)` as pictures are, not NIfTI's `(i, j[, k])`.
        focus: label of the reference that the planes go through most of; by default all of them.
    """
    values = np.zeros(pred.shape, dtype=np.uint8) if image is None else _mean_channel(image)
    contrast = _contrast(values)
    if is_photo:
        grey = _to_grey(values, contrast)
        pixel_mm = geometry.spacing_mm[0], geometry.spacing_mm[1]  # 1 and 1 where unknown
        longest_mm = max(np.multiply(pred.shape, pixel_mm))
        canvas = _draw(grey, pred, ref, pixel_mm, LONGEST_SIDE_PX / longest_mm, colours)
        return [_picture(canvas, "")]

    (values, pred, ref), spacing_mm = _to_canonical([values, pred, ref], geometry)
    planes = [plane for plane in _PLANES if pred.shape[plane.axis] == 1] or list(_PLANES)
    extents_mm = np.multiply(pred.shape, spacing_mm)
    extent_mm = max(extents_mm[axis] for plane in planes for axis in {0, 1, 2} - {plane.axis})
    shown_most = ref if ref.any() else pred
    if focus is not None:
        shown_most = shown_most == focus
    pictures = []
    for plane in planes:
        index = _most_foreground(shown_most, plane.axis)
        shown, filled, outlined = (_slice(volume, plane, index) for volume in (values, pred, ref))
        row_axis, column_axis = (axis for axis in (2, 1, 0) if axis != plane.axis)
        pixel_mm = (spacing_mm[row_axis], spacing_mm[column_axis])
        grey = _to_grey(shown, contrast)
        pixels_per_mm = LONGEST_SIDE_PX / extent_mm
        canvas = _draw(grey, filled, outlined, pixel_mm, pixels_per_mm, colours)
        _write_edges(canvas, plane.edges)
        number = f", slice {index + 1} of {pred.shape[plane.axis]}"
        pictures.append(_picture(canvas, plane.name + (number if len(planes) > 1 else "")))
    return pictures


def draw_slice(
    view: SliceView, pred: np.ndarray, ref: np.ndarray, colours: Mapping[int, Colour]
) -> Picture:
    """Draw two masks of a slice on it.

    Args:
        view: the slice.
        pred: predicted labels, `(rows, columns)`; one of the view's masks.
        ref: reference labels, same shape.
        colours: by label value; other labels are not drawn.
    """
    longest_mm = max(n * mm for n, mm in zip(view.grey.shape, view.pixel_mm, strict=True))
    scale = SLICE_SIDE_PX / longest_mm
    return _picture(_draw(view.grey, pred, ref, view.pixel_mm, scale, colours), view.caption)


def _mean_channel(image: np.ndarray) -> np.ndarray:
    """The mean of the channels; of one, itself, for a scan is large."""
    return image[0] if len(image) == 1 else image.mean(axis=0)


def _contrast(values: np.ndarray) -> tuple[float, float]:
    """The intensities shown as black and as white, chosen over the whole image."""
    # A few hundred thousand voxels tell as much as the hundred million of a whole scan.
    steps = (slice(None, None, max(1, n // 64)) for n in values.shape)
    sample = values[tuple(steps)]
    # CT tells itself by its air: no other modality has much below -500.
    if np.count_nonzero(sample < -500) > 0.01 * sample.size:
        return CT_WINDOW_HU
    low, high = np.percentile(sample, (0.5, 99.5))
    return float(low), float(high)


def _to_grey(values: np.ndarray, contrast: tuple[float, float]) -> np.ndarray:
    low, high = contrast
    scaled = (values - low) / max(high - low, 1e-6)
    return (255 * np.clip(scaled, 0, 1)).astype(np.uint8)


def _to_canonical(
    arrays: Sequence[np.ndarray], geometry: Geometry
) -> tuple[list[np.ndarray], tuple[float, ...]]:
    """The arrays as `(x, y, z)` with axes nearest to right, front, top; and their spacing in mm."""
    from nibabel.orientations import apply_orientation, io_orientation

    orientation = io_orientation(geometry.affine)
    missing = 3 - len(geometry.shape)
    canonical = [
        apply_orientation(array.reshape(array.shape + (1,) * missing), orientation)
        for array in arrays
    ]
    spacing_mm = np.empty(3)
    spacing_mm[orientation[:, 0].astype(int)] = (*geometry.spacing_mm, *(1.0,) * missing)
    return canonical, tuple(spacing_mm)


def _most_foreground(labels: np.ndarray, axis: int) -> int:
    """Index of the slice with the most labelled voxels; the middle one if there are none."""
    others = tuple(other for other in range(3) if other != axis)
    area = np.count_nonzero(labels, axis=others)
    return int(area.argmax()) if area.any() else labels.shape[axis] // 2


def _slice(volume: np.ndarray, plane: _Plane, index: int) -> np.ndarray:
    """`(rows, columns)` as displayed: each remaining axis runs against its direction."""
    return np.take(volume, index, axis=plane.axis).T[::-1, ::-1]


def _draw(
    grey: np.ndarray,
    pred: np.ndarray,
    ref: np.ndarray,
    pixel_mm: tuple[float, float],
    pixels_per_mm: float,
    colours: Mapping[int, Colour],
) -> PillowImage.Image:
    rows, columns = (
        max(1, round(n * mm * pixels_per_mm)) for n, mm in zip(grey.shape, pixel_mm, strict=True)
    )
    smooth = PillowImage.fromarray(np.ascontiguousarray(grey)).resize(
        (columns, rows), PillowImage.Resampling.BICUBIC
    )
    pred, ref = (_enlarge(labels, (rows, columns)) for labels in (pred, ref))
    return PillowImage.fromarray(overlay(np.asarray(smooth), pred, ref, colours))


def _enlarge(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Nearest-neighbour resize by pixel centres, for any integer type."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for old, new in zip(labels.shape, shape, strict=True)
    )
    return labels[np.ix_(rows, columns)]


def _write_edges(canvas: PillowImage.Image, edges: tuple[str, str, str, str]) -> None:
    left, right, top, bottom = edges
    width, height = canvas.size
    places = (
        (left, (5, height / 2), "lm"),
        (right, (width - 5, height / 2), "rm"),
        (top, (width / 2, 4), "mt"),
        (bottom, (width / 2, height - 4), "mb"),
    )
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=18)
    for letter, place, anchor in places:
        draw.text(
            place,
            letter,
            fill=(255, 255, 255),
            font=font,
            anchor=anchor,
            stroke_width=2,
            stroke_fill=(0, 0, 0),
        )


def _picture(canvas: PillowImage.Image, caption: str) -> Picture:
    buffer = io.BytesIO()
    canvas.save(buffer, format="PNG", optimize=True)
    return Picture(buffer.getvalue(), canvas.width, canvas.height, caption)
