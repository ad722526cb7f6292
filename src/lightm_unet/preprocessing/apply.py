"""From an image to the network's input, with a record of what was done to its grid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from lightm_unet.errors import DataError, UsageError
from lightm_unet.imaging.geometry import Geometry, canonical_axes
from lightm_unet.imaging.image import Image
from lightm_unet.imaging.limits import check_values
from lightm_unet.preprocessing.nnunet_resizing import IMAGE, resize_as_nnunet
from lightm_unet.preprocessing.normalization import normalise
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.preprocessing.resizing import resize, resize_labels
from lightm_unet.system.memory import machine_bytes


@dataclass(frozen=True, eq=False)
class GridRecord:
    """The changes to one image's grid, with everything needed to undo them."""

    geometry: Geometry
    """The file's own grid."""
    matched: Geometry
    """The same grid with as many axes as the network has: a 3D network takes a single slice as a
    volume, a 2D network a volume of one slice as a flat image. The next two count its axes."""
    axes: tuple[int, ...]
    """For each canonical axis, the array axis that it is."""
    flips: tuple[bool, ...]
    """For each canonical axis, whether it runs the other way in the file."""
    canonical_shape: tuple[int, ...]
    """The grid's shape in canonical axis order, before resizing."""
    grid_shape: tuple[int, ...]
    """The shape that the network sees."""
    nnunet_spacing_mm: tuple[float, ...] | None = None
    """The voxel size that the network sees, where the grid was resized as nnU-Net does."""

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """The file's voxel size, in canonical axis order, in mm."""
        return tuple(self.matched.spacing_mm[axis] for axis in self.axes)

    @property
    def extent_mm(self) -> tuple[float, ...]:
        """Length of the image along each canonical axis, in mm."""
        lengths = zip(self.grid_shape, self.grid_spacing_mm, strict=True)
        return tuple(count * spacing for count, spacing in lengths)

    @property
    def grid_spacing_mm(self) -> tuple[float, ...]:
        """Voxel size on the grid that the network sees, in canonical axis order, in mm."""
        spacing = self.matched.spacing_mm
        return tuple(
            spacing[axis] * before / after
            for axis, before, after in zip(
                self.axes, self.canonical_shape, self.grid_shape, strict=True
            )
        )


def preprocess_image(image: Image, preprocessing: Preprocessing) -> tuple[torch.Tensor, GridRecord]:
    """Make the network's input from an image.

    Returns:
        float32, `(channels, *grid)`, and the record that takes the network's output back.

    Raises:
        DataError: the image has other dimensions or channels than the preprocessing is for, or its
            voxels are so large that their grid fits into no memory, or into no `limit_values`.
    """
    geometry = _match(image.geometry, preprocessing.spatial_dims)
    expected = f"{preprocessing.spatial_dims}D with {preprocessing.channels} channel(s)"
    dims, channels = len(geometry.shape), image.array.shape[0]
    if (dims, channels) != (preprocessing.spatial_dims, preprocessing.channels):
        raise DataError(
            image.path,
            f"a {dims}D image with {channels} channel(s)",
            expected,
            "use the images that the model or the data set was made for",
        )
    axes, flips = canonical_axes(geometry)
    if preprocessing.flat_axes == "file" or (dims == 2 and preprocessing.flat_axes == "stored"):
        axes, flips = tuple(range(dims)), (False,) * dims
    canonical_shape = tuple(geometry.shape[axis] for axis in axes)
    record = GridRecord(
        geometry=image.geometry,
        matched=geometry,
        axes=axes,
        flips=flips,
        canonical_shape=canonical_shape,
        grid_shape=_grid_shape(geometry, axes, preprocessing),
        nnunet_spacing_mm=preprocessing.spacing_mm if preprocessing.as_nnunet else None,
    )
    _check_memory(record, image, preprocessing)
    array = np.stack([_to_canonical(channel, record) for channel in image.array])
    normalised = torch.from_numpy(normalise(array, preprocessing))
    if record.nnunet_spacing_mm is not None:
        spacings = record.spacing_mm, record.nnunet_spacing_mm
        return resize_as_nnunet(normalised, record.grid_shape, *spacings, IMAGE), record
    return resize(normalised, record.grid_shape), record


def preprocess_labels(labels: np.ndarray, record: GridRecord) -> torch.Tensor:
    """Bring a label map onto the grid that the network sees.

    Args:
        labels: uint8, on the file's own grid.
        record: from the image's `preprocess_image`.

    Returns:
        uint8, `(*grid)`; `resize_labels` says how labels are resized, and why.

    Raises:
        UsageError: the label map's shape is not the image's.
    """
    if labels.shape != record.geometry.shape:
        raise UsageError(f"labels of {labels.shape} do not fit an image of {record.geometry.shape}")
    # A copy, not ascontiguousarray: that leaves a flipped axis of length 1 its negative stride,
    # which torch refuses.
    canonical = np.array(_to_canonical(labels, record), dtype=np.uint8, order="C")
    return resize_labels(torch.from_numpy(canonical), record.grid_shape)


def _check_memory(record: GridRecord, image: Image, preprocessing: Preprocessing) -> None:
    """Refuse a grid that no memory holds, before the system ends the process for it."""
    shape = (preprocessing.channels, *record.grid_shape)
    check_values(image.path, shape, "values on the model's grid")
    needed = 4 * math.prod(shape)
    if needed > machine_bytes():
        spacing = " x ".join(f"{length:g}" for length in record.matched.spacing_mm)
        raise DataError(
            image.path,
            f"voxels of {spacing} mm, which on the model's grid take {needed / 1e9:.0f} GB",
            f"at most the {machine_bytes() / 1e9:.0f} GB of this machine",
            "check the voxel size and its unit in the file's header",
        )


def _match(geometry: Geometry, spatial_dims: int) -> Geometry:
    """A grid as a network of so many dimensions takes it."""
    if spatial_dims == 2:
        return geometry.as_slice()
    return geometry if geometry.is_picture else geometry.as_volume()


def _to_canonical(array: np.ndarray, record: GridRecord) -> np.ndarray:
    """One channel or label map, from the file's axes to canonical ones."""
    flipped = tuple(axis for axis, flip in enumerate(record.flips) if flip)
    return np.flip(np.transpose(array.reshape(record.matched.shape), record.axes), flipped)


def _grid_shape(
    geometry: Geometry, axes: tuple[int, ...], preprocessing: Preprocessing
) -> tuple[int, ...]:
    """The shape that the network sees, in canonical axis order."""
    if preprocessing.size is not None:
        return preprocessing.size
    shape = tuple(geometry.shape[axis] for axis in axes)
    if preprocessing.spacing_mm is None:
        return shape
    spacing = geometry.spacing_mm
    return tuple(
        max(1, round(length * spacing[axis] / wanted))
        for length, axis, wanted in zip(shape, axes, preprocessing.spacing_mm, strict=True)
    )
