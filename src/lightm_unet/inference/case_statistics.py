"""What a mask holds, label by label and part by part, as `statistics.csv` and `statistics.json`.

Of each label there is a row for all of it, with component 0, and one for each of its largest
connected parts, 1, 2, ... by size. A label that does not occur has the first row alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import Image
from lightm_unet.inference.components import (
    box_of,
    find_components,
    voxel_size,
    world,
)
from lightm_unet.preprocessing.resizing import row_parts
from lightm_unet.reporting.formats import finite_or_none, six_digits_or_none
from lightm_unet.reporting.text_tables import csv_table
from lightm_unet.system.files import encode_json, encode_text, write_together

_AT_ONCE = 2**20
"""Voxels that are measured at once."""
MOST_COMPONENTS = 20
"""Rows of a label at most; noise may have thousands of parts."""
FILES = ("statistics.csv", "statistics.json")


@dataclass(frozen=True)
class PartStatistics:
    """One label of a case, or one connected part of it."""

    value: int
    """The label's value,"""
    label: str
    """and its name."""
    component: int
    """0 for the whole label; 1 for its largest part, and so on."""
    components: int
    """How many parts the whole label has, or 1."""
    voxels: int
    """Of a flat image, pixels."""
    volume_ml: float | None
    """None in a flat image."""
    area_cm2: float | None
    """None in a volume, and in pictures, which store no size."""
    extent_mm: tuple[float, ...] | None
    """Lengths of the box that holds it along the world's axes: right-left, back-front, foot-head.
    A radiograph counts as an upright view from the front. None in pictures."""
    centroid_mm: tuple[float, ...] | None
    """Place of its centre in the world, RAS+. None in pictures and radiographs, which have no
    place, and where it does not occur."""
    centroid_voxel: tuple[float, ...] | None
    """Place of its centre in the file's own axes, counted from 0."""
    mean: tuple[float, ...] | None
    """Mean intensity in each channel of the image, as it is stored (CT in Hounsfield units),"""
    std: tuple[float, ...] | None
    """and its standard deviation."""


def measure_case(
    labels: np.ndarray, image: Image, label_names: Sequence[str]
) -> list[PartStatistics]:
    """Measure each label of a mask but the background, and its largest connected parts.

    Args:
        labels: whole numbers from 0, of the image's shape.
        image: as read from its file.
        label_names: the index is the label's value.

    Example:
        >>> grid = Geometry((1, 4), np.diag([10.0, 20.0, 1.0, 1.0]), unit_axes=1)
        >>> image = Image(np.float32([[[1, 3, 0, 5]]]), grid, Path("scan.nii"))
        >>> rows = measure_case(np.array([[1, 1, 0, 1]]), image, ["background", "lung"])
        >>> [(row.component, row.area_cm2, row.mean) for row in rows]
        [(0, 6.0, (3.0,)), (1, 4.0, (2.0,)), (2, 2.0, (5.0,))]
    """
    rows: list[PartStatistics] = []
    for value, name in enumerate(label_names):
        if value:
            rows += _measure_label(labels, image, value, name)
    return rows


def _measure_label(
    labels: np.ndarray, image: Image, value: int, name: str
) -> Iterator[PartStatistics]:
    mask = labels == value
    box = box_of(mask)
    if box is None:
        yield _measure(None, np.zeros(0, bool), image, value, name, 0, 0)
        return
    found = find_components(mask, image.geometry)
    yield _measure(box, mask[box], image, value, name, 0, len(found))
    for number, (part_box, part) in enumerate(found.parts(MOST_COMPONENTS), start=1):
        yield _measure(part_box, part, image, value, name, number, 1)


def _measure(
    box: tuple[slice, ...] | None,
    part: np.ndarray,
    image: Image,
    value: int,
    name: str,
    component: int,
    components: int,
) -> PartStatistics:
    geometry = image.geometry
    voxels = int(np.count_nonzero(part))
    size, unit = voxel_size(geometry) or (0.0, "")
    extent = centre = place = mean = std = None
    if box is not None:
        centre, spans = _place(box, part, geometry)
        if geometry.has_size:
            steps = geometry.affine[:3, : len(geometry.shape)]
            extent = tuple((spans + np.abs(steps).sum(axis=1)).tolist())  # from edge to edge
        if not geometry.is_picture:
            place = tuple(map(float, world(np.array([centre]), geometry)[0]))
        mean, std = _mean_and_std(image.array[(slice(None), *box)], part)
    return PartStatistics(
        value=value,
        label=name,
        component=component,
        components=components,
        voxels=voxels,
        volume_ml=voxels * size / 1000 if unit == "mm3" else None,
        area_cm2=voxels * size / 100 if unit == "mm2" else None,
        extent_mm=extent,
        centroid_mm=place,
        centroid_voxel=centre,
        mean=mean,
        std=std,
    )


def _place(
    box: tuple[slice, ...], part: np.ndarray, geometry: Geometry
) -> tuple[tuple[float, ...], np.ndarray]:
    """The centre in voxels, and how far the centres of voxels reach along the world's axes in mm.

    In parts along the first axis: the places of all voxels of a scan take gigabytes.
    """
    steps = geometry.affine[:3, : len(geometry.shape)]
    total, count = np.zeros(part.ndim), 0
    lowest, highest = np.full(3, np.inf), np.full(3, -np.inf)
    for rows in row_parts(part.shape, _AT_ONCE):
        indices = np.array(np.nonzero(part[rows]), dtype=np.float64)
        if not indices.size:
            continue
        indices[0] += rows.start
        total += indices.sum(axis=1)
        count += indices.shape[1]
        places = steps @ indices
        lowest = np.minimum(lowest, places.min(axis=1))
        highest = np.maximum(highest, places.max(axis=1))
    centre = total / count + [each.start for each in box]
    return tuple(centre.tolist()), highest - lowest


def _mean_and_std(values: np.ndarray, part: np.ndarray) -> tuple[tuple[float, ...], ...]:
    """Of each channel, in parts along the first axis of the grid."""
    chunks = row_parts(part.shape, _AT_ONCE)
    count = np.count_nonzero(part)
    mean = sum(values[:, r][:, part[r]].sum(axis=1, dtype=np.float64) for r in chunks) / count
    squares = sum(np.square(values[:, r][:, part[r]] - mean[:, None]).sum(axis=1) for r in chunks)
    return tuple(mean.tolist()), tuple(np.sqrt(squares / count).tolist())


def write_statistics(cases: Mapping[str, Iterable[PartStatistics]], folder: Path) -> None:
    """Write `FILES`, both or none; earlier ones are replaced.

    Args:
        cases: the rows of each case, by its name.
        folder: made where missing.

    Raises:
        UsageError: they cannot be written.
    """
    rows = [(name, row) for name, parts in cases.items() for row in parts]
    csv_text, json_value = _as_csv(rows), [{"case": name, **_as_json(row)} for name, row in rows]
    contents = (encode_text(csv_text), encode_json({"rows": json_value}))
    write_together(dict(zip(FILES, contents, strict=True)), folder)


def _as_json(row: PartStatistics) -> dict[str, Any]:
    def rounded(value: Any) -> Any:
        if isinstance(value, float):
            return finite_or_none(float(f"{value:.6g}"))
        return [rounded(each) for each in value] if isinstance(value, tuple) else value

    return {name: rounded(value) for name, value in asdict(row).items()}


def _as_csv(rows: Sequence[tuple[str, PartStatistics]]) -> str:
    """A column for each number; an empty cell where nothing is known."""
    axes = max((len(row.centroid_voxel or ()) for _, row in rows), default=0)
    channels = max((len(row.mean or ()) for _, row in rows), default=1)
    numbered = [""] if channels == 1 else [f"_{channel}" for channel in range(channels)]
    columns = [
        *("case", "value", "label", "component", "components", "voxels", "volume_ml", "area_cm2"),
        *(f"extent_{axis}_mm" for axis in "xyz"),
        *(f"centroid_{axis}_mm" for axis in "xyz"),
        *(f"centroid_voxel_{axis}" for axis in range(axes)),
        *(f"mean{channel}" for channel in numbered),
        *(f"std{channel}" for channel in numbered),
    ]

    def cells(row: PartStatistics) -> list[str | None]:
        groups = (
            (row.extent_mm, 3),
            (row.centroid_mm, 3),
            (row.centroid_voxel, axes),
            (row.mean, channels),
            (row.std, channels),
        )
        numbers = [row.volume_ml, row.area_cm2]
        for values, count in groups:
            numbers += values or (None,) * count
        return [None if number is None else six_digits_or_none(number) for number in numbers]

    return csv_table(
        columns,
        [
            [case, row.value, row.label, row.component, row.components, row.voxels, *cells(row)]
            for case, row in rows
        ],
    )
