"""What Python users hold in memory, as an image that a model can take.

An array says neither where its channels are nor how large its voxels are. Both are taken from the
model where they follow from it; otherwise the caller has to say them, and nothing is guessed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lightm_unet.errors import DataError, UsageError
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import Image, image_from_array, image_from_nibabel
from lightm_unet.imaging.picture import grey_of_equal
from lightm_unet.preprocessing.preprocessing import SPACINGS_MM, Preprocessing
from lightm_unet.system.logs import log_once

_log = logging.getLogger(__name__)

_NUMBERS = (int, float, tuple, list, np.ndarray, np.generic)

NAME = "image in memory"
"""What it is called in messages, in place of a file."""


def image_in_memory(
    image: Any,
    preprocessing: Preprocessing,
    spacing_mm: Sequence[float] | float | None = None,
    channel_axis: int | None = None,
) -> Image:
    """An array or a nibabel image, checked as a file is and with its channels first.

    Args:
        image: a numpy array or torch tensor of real numbers or booleans, or a nibabel image.
        preprocessing: of the model, which says how many dimensions and channels it takes.
        spacing_mm: voxel size of an array along each of its spatial axes, or one number for all.
            It is needed where the model resamples to a voxel size. A nibabel image has its own.
        channel_axis: the array's axis of channels, the first (0) or the last (-1). None finds it
            by its length, if only one of the two has the length that the model needs. A picture
            in colour whose three channels are equal is grey, as in a file.

    Raises:
        DataError: the image cannot be used.
        UsageError: another kind of object, or an argument that it needs is missing or wrong.
    """
    if hasattr(image, "dataobj") and hasattr(image, "affine"):
        if spacing_mm is not None or channel_axis is not None:
            raise UsageError(
                "a nibabel image has its own voxel size and axes; leave out spacing_mm and "
                "channel_axis"
            )
        return image_from_nibabel(image, preprocessing.channels, NAME)
    array = _channels_first(_as_numpy(image), preprocessing, channel_axis)
    geometry = Geometry(array.shape[1:], _affine(spacing_mm, preprocessing))
    return image_from_array(array, geometry, NAME)


def _as_numpy(image: Any) -> np.ndarray:
    if isinstance(image, torch.Tensor):
        return _tensor_as_numpy(image)
    if isinstance(image, np.ma.MaskedArray):
        raise UsageError(
            "the image is a masked array, whose hidden values would count; pass image.filled(VALUE)"
        )
    if isinstance(image, np.ndarray):
        return np.asarray(image)  # a plain one: a matrix has two axes whatever is done to it
    hint = "; for files there is lightm_unet.predict" if isinstance(image, str) else ""
    raise UsageError(
        "the image needs to be a numpy array, a torch tensor or a nibabel image, "
        f"got {type(image).__name__}{hint}"
    )


def _tensor_as_numpy(image: torch.Tensor) -> np.ndarray:
    if image.layout == torch.strided and not (image.is_quantized or image.is_meta):
        with suppress(TypeError, ValueError, RuntimeError):
            image = image.detach().cpu().resolve_conj().resolve_neg()
            return (image.float() if image.dtype == torch.bfloat16 else image).numpy()
    raise UsageError(
        "the image needs to be a dense tensor with its numbers, "
        f"got {image.dtype} ({image.layout}) on {image.device}; convert it first, for example with "
        ".to_dense(), .dequantize() or .float()"
    )


def _channels_first(
    array: np.ndarray, preprocessing: Preprocessing, channel_axis: int | None
) -> np.ndarray:
    """The array as `(channels, *shape)`."""
    dims, channels = preprocessing.spatial_dims, preprocessing.channels
    axes = "(height, width)" if dims == 2 else "(i, j, k)"
    is_end = type(channel_axis) is int and channel_axis in (0, -1, dims)
    if channel_axis is not None and not is_end:
        raise UsageError(f"channel_axis needs 0 for the first axis or -1, got {channel_axis!r}")
    if channel_axis is None and array.ndim == dims and channels == 1:
        return array[None]
    expected = f"{dims} spatial axes {axes} and {channels} channel(s) first or last"
    if array.ndim != dims + 1:
        if channels == 1 and channel_axis is None:
            expected = f"{dims} axes {axes}, or one more of length 1"
        raise DataError(
            NAME, f"an array of shape {array.shape}", expected, "pass one image, without a batch"
        )
    if dims == 2 and channels == 1 and (colours := _as_colours(array, channel_axis)) is not None:
        grey = grey_of_equal(colours, Path(NAME))
        log_once(_log, NAME, f"{NAME}: in colour with three equal channels; taken as grey")
        return grey
    if channel_axis is None:
        fitting = [axis for axis in (0, -1) if array.shape[axis] == channels]
        if len(fitting) == 2:
            raise UsageError(
                f"channel_axis needs to be given for an array of shape {array.shape}: the first "
                f"(0) and the last axis (-1) both have {channels} entries"
            )
        if not fitting:
            advice = "give the channels the model was made for"
            raise DataError(NAME, f"an array of shape {array.shape}", expected, advice)
        (channel_axis,) = fitting
    return np.moveaxis(array, channel_axis, 0)


def _as_colours(array: np.ndarray, channel_axis: int | None) -> np.ndarray | None:
    """A picture in colour as `(3, height, width)`; None if no axis alone can be its colours."""
    if array.ndim != 3 or (channel_axis is None and 1 in (array.shape[0], array.shape[2])):
        return None  # no picture with channels, or one of a single channel
    axes = (0, -1) if channel_axis is None else (channel_axis,)
    fitting = [axis for axis in axes if axis in (0, -1) and array.shape[axis] == 3]
    return np.moveaxis(array, fitting[0], 0) if len(fitting) == 1 else None


def _affine(spacing_mm: Sequence[float] | float | None, preprocessing: Preprocessing) -> np.ndarray:
    """Axes as a file without orientation has them: to the right, to the front, upwards."""
    dims = preprocessing.spatial_dims
    if spacing_mm is None:
        if preprocessing.spacing_mm is not None:
            raise UsageError(
                "spacing_mm, the voxel size of the array, is needed: the model resamples images to "
                f"{' x '.join(f'{each:g}' for each in preprocessing.spacing_mm)} mm"
            )
        spacing_mm = 1.0
    values = np.asarray(spacing_mm) if isinstance(spacing_mm, _NUMBERS) else np.empty(0)
    spacing = np.broadcast_to(values, dims) if values.shape in ((), (dims,)) else np.empty(0)
    low, high = SPACINGS_MM
    if spacing.size == 0 or spacing.dtype.kind not in "iuf" or not _within(spacing, low, high):
        raise UsageError(
            f"spacing_mm needs {dims} numbers from {low:g} to {high:g}, the voxel size along each "
            f"axis, got {spacing_mm!r:.60}"
        )
    return np.diag([*spacing, *[1.0] * (4 - dims)])


def _within(values: np.ndarray, low: float, high: float) -> bool:
    return bool(((low <= values) & (values <= high)).all())  # NaN is within nothing
