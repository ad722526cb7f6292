"""From an image to the network's input, and from its output back to the image's own grid.

What is done is described once, by a `Preprocessing` that travels with the model. What was done to
one image is in its `GridRecord`, and `restore_logits` undoes exactly that:

    file's axes -> canonical axes -> intensities normalised -> resized -> network
    file's axes <- canonical axes <- largest logit          <- resized <- logits

Canonical axes are those closest to RAS+ for volumes (first axis to the right, second to the front,
third upwards). Pictures and flat NIfTI keep their axes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lightm_unet.data.image import Geometry, Image
from lightm_unet.data.resizing import resize, resize_and_choose, resize_labels
from lightm_unet.errors import DataError, UsageError

NORMALIZATIONS = ("zscore", "ct")
CLIP_PERCENTILES = (0.5, 99.5)
"""Intensities beyond these are cut off: a few outliers would otherwise set the scale."""


@dataclass(frozen=True)
class Preprocessing:
    """How images become a network's input. Stored in model.json.

    Raises:
        UsageError: fields that contradict each other.
    """

    spatial_dims: int
    """2 for pictures, 3 for volumes."""
    channels: int
    """Channels of the image."""
    size: tuple[int, ...] | None = None
    """Whole-image mode: every image is resized to this grid, in canonical axis order."""
    spacing_mm: tuple[float, ...] | None = None
    """Patch mode: every image is resampled to this voxel size, in canonical axis order; None
    keeps each image's own."""
    roi_size: tuple[int, ...] | None = None
    """Patch mode: the training patch and the sliding window. Either `size` or this is set."""
    normalization: str = "zscore"
    """"zscore": each channel of each image is clipped to its 0.5 and 99.5 percentiles, its mean
    is subtracted and it is divided by its standard deviation. "ct": Hounsfield units are clipped
    to `intensity_range`, `intensity_mean` is subtracted, and divided by `intensity_std`."""
    intensity_range: tuple[float, float] | None = None
    """For "ct": 0.5 and 99.5 percentiles of the training cases' foreground."""
    intensity_mean: float | None = None
    """For "ct": mean of the training cases' foreground."""
    intensity_std: float | None = None
    """For "ct": standard deviation of the training cases' foreground."""

    def __post_init__(self) -> None:
        if self.spatial_dims not in (2, 3) or self.channels < 1:
            raise UsageError(
                "preprocessing needs 2 or 3 spatial_dims and at least 1 channel, "
                f"got {self.spatial_dims} and {self.channels}"
            )
        if (self.size is None) == (self.roi_size is None):
            raise UsageError("preprocessing needs either size (whole image) or roi_size (patches)")
        if self.size is not None and self.spacing_mm is not None:
            raise UsageError("spacing_mm goes with roi_size: size alone fixes the grid")
        for name in ("size", "spacing_mm", "roi_size"):
            value = getattr(self, name)
            if value is not None and (len(value) != self.spatial_dims or min(value) <= 0):
                raise UsageError(
                    f"{name} needs {self.spatial_dims} positive values "
                    f"for a {self.spatial_dims}D image, got {value}"
                )
        if self.normalization not in NORMALIZATIONS:
            raise UsageError(
                f"normalization must be {' or '.join(NORMALIZATIONS)}, got {self.normalization!r}"
            )
        statistics = (self.intensity_range, self.intensity_mean, self.intensity_std)
        if self.normalization == "ct" and (None in statistics or self.intensity_std <= 0):
            raise UsageError(
                "ct normalization needs intensity_range, intensity_mean and intensity_std > 0"
            )

    @property
    def padding_value(self) -> float:
        """What lies around an image smaller than the patch, in training and prediction alike.

        Air for CT, since everything below the range becomes this value; the mean otherwise.
        """
        if self.normalization == "ct":
            return (self.intensity_range[0] - self.intensity_mean) / self.intensity_std
        return 0.0

    def to_json_dict(self) -> dict[str, Any]:
        """The fields as JSON's own types; `from_json_dict` is the way back."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_json_dict(cls, content: dict[str, Any]) -> Preprocessing:
        """The preprocessing that `to_json_dict` described.

        Raises:
            UsageError: a field is unknown, missing or contradicts another.

        Example:
            >>> chest = Preprocessing(spatial_dims=2, channels=1, size=(512, 512))
            >>> Preprocessing.from_json_dict(chest.to_json_dict()) == chest
            True
        """
        fields = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(content) - fields):
            raise UsageError(f"preprocessing has no field {', '.join(unknown)}")
        values = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in content.items()
        }
        try:
            return cls(**values)
        except TypeError as error:  # a missing field, or text where a number belongs
            raise UsageError(f"preprocessing cannot be read: {error}") from error


@dataclass(frozen=True, eq=False)
class GridRecord:
    """What was done to one image's grid, enough to undo it."""

    geometry: Geometry
    """The file's own grid."""
    axes: tuple[int, ...]
    """For each canonical axis, the file's array axis that it is."""
    flips: tuple[bool, ...]
    """For each canonical axis, whether it runs the other way in the file."""
    canonical_shape: tuple[int, ...]
    """The grid's shape in canonical axis order, before resizing."""
    grid_shape: tuple[int, ...]
    """The shape that the network sees."""

    @property
    def grid_spacing_mm(self) -> tuple[float, ...]:
        """Voxel size on the grid that the network sees, in canonical axis order, in mm."""
        spacing = self.geometry.spacing_mm
        return tuple(
            spacing[axis] * before / after
            for axis, before, after in zip(
                self.axes, self.canonical_shape, self.grid_shape, strict=True
            )
        )


def canonical_axes(geometry: Geometry) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """How a file's array axes become canonical ones.

    Returns:
        For each canonical axis, the array axis that it is, and whether it must be flipped.

    Example:
        >>> lps = Geometry((4, 5, 6), np.diag([-1.0, -1.0, 1.0, 1.0]))
        >>> canonical_axes(lps)
        ((0, 1, 2), (True, True, False))
    """
    if len(geometry.shape) == 2:
        return (0, 1), (False, False)
    from nibabel.orientations import io_orientation

    orientation = io_orientation(geometry.affine)  # per array axis: canonical axis, direction
    axes = tuple(int(axis) for axis in np.argsort(orientation[:, 0]))
    return axes, tuple(bool(orientation[axis, 1] < 0) for axis in axes)


def preprocess_image(image: Image, preprocessing: Preprocessing) -> tuple[torch.Tensor, GridRecord]:
    """Make the network's input from an image.

    Returns:
        float32, `(channels, *grid)`, and the record that takes the network's output back.

    Raises:
        DataError: the image has other dimensions or channels than the preprocessing is for.
    """
    geometry = image.geometry
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
    canonical_shape = tuple(geometry.shape[axis] for axis in axes)
    record = GridRecord(
        geometry=geometry,
        axes=axes,
        flips=flips,
        canonical_shape=canonical_shape,
        grid_shape=_grid_shape(geometry, axes, preprocessing),
    )
    array = np.stack([_to_canonical(channel, record) for channel in image.array])
    normalised = torch.from_numpy(normalise(array, preprocessing))
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
    canonical = np.ascontiguousarray(_to_canonical(labels, record), dtype=np.uint8)
    return resize_labels(torch.from_numpy(canonical), record.grid_shape)


def restore_logits(logits: torch.Tensor, record: GridRecord) -> np.ndarray:
    """Turn the network's output into labels on the image's own grid.

    The logits are resized, linearly, and the largest wins: this gives smoother borders than
    resizing labels would.

    Args:
        logits: `(classes, *grid)`, any floating type, any device.
        record: from the image's `preprocess_image`.

    Returns:
        uint8, in the file's own axes and shape.
    """
    if tuple(logits.shape[1:]) != record.grid_shape:
        raise UsageError(
            f"logits of {tuple(logits.shape)} do not fit a preprocessed grid of {record.grid_shape}"
        )
    maps = (score.detach().to("cpu", torch.float32)[None] for score in logits)
    labels = resize_and_choose(maps, record.canonical_shape).numpy()
    flipped = tuple(axis for axis, flip in enumerate(record.flips) if flip)
    return np.ascontiguousarray(np.transpose(np.flip(labels, flipped), np.argsort(record.axes)))


def normalise(array: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Bring intensities to mean 0 and standard deviation 1, as `Preprocessing.normalization` says.

    Args:
        array: float32, `(channels, ...)`.
        preprocessing: says which way, and holds the statistics for "ct".

    Returns:
        float32, the same shape. A channel of one single value becomes 0.
    """
    if preprocessing.normalization == "ct":
        array = np.clip(array, *preprocessing.intensity_range)
        shifted = array - np.float32(preprocessing.intensity_mean)
        return shifted / np.float32(preprocessing.intensity_std)
    result = np.empty_like(array)
    for channel, out in zip(array, result, strict=True):
        np.clip(channel, *np.percentile(channel, CLIP_PERCENTILES), out=out)
        # float64: a float32 sum over a whole scan loses the digits that matter
        out -= np.float32(out.mean(dtype=np.float64))
        std = np.float32(np.sqrt(np.square(out).mean(dtype=np.float64)))
        if std > 0:
            out /= std
    return result


def plan_grid(
    spatial_dims: int,
    size: Sequence[int] | None,
    roi_size: Sequence[int] | None,
    spacing_mm: Sequence[float] | None,
) -> dict[str, tuple[int, ...] | tuple[float, ...] | None]:
    """Fill in what a user may leave out about the grid.

    One number stands for all axes. Without any choice it is whole-image mode at the paper's
    sizes, 512x512 and 128x128x128.

    Example:
        >>> plan_grid(3, None, [96], None)
        {'size': None, 'roi_size': (96, 96, 96), 'spacing_mm': None}
    """
    if size is None and roi_size is None and spacing_mm is None:
        size = (512,) if spatial_dims == 2 else (128,)

    def per_axis(values: Sequence | None) -> tuple | None:
        if values is None:
            return None
        return tuple(values) * spatial_dims if len(values) == 1 else tuple(values)

    return {
        "size": per_axis(size),
        "roi_size": per_axis(roi_size),
        "spacing_mm": per_axis(spacing_mm),
    }


def _to_canonical(array: np.ndarray, record: GridRecord) -> np.ndarray:
    """One channel or label map, from the file's axes to canonical ones."""
    flipped = tuple(axis for axis, flip in enumerate(record.flips) if flip)
    return np.flip(np.transpose(array, record.axes), flipped)


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
