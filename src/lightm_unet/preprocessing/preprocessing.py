"""The preparation of a network's images; it is stored with the model.

    file's axes -> canonical axes -> intensities normalised -> resized -> network
    file's axes <- canonical axes <- largest logit          <- resized <- logits

`apply` does the first line, `restore` undoes exactly what was done to one image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from lightm_unet.errors import SettingError, UsageError
from lightm_unet.networks.image_sizes import PAPER_SIZE, per_axis
from lightm_unet.system.choices import check_choice
from lightm_unet.system.json_codec import ABSENT

NORMALIZATIONS = ("zscore", "ct")
"""What data sets are planned with."""
NNUNET_ZSCORE, NNUNET_CT = "nnunet-zscore", "nnunet-ct"
"""Of models that nnU-Net has trained."""
FLAT_AXES = ("anatomical", "stored", "file")
OUTLIERS = ("compress", "clip")
PERCENTILES = (0.5, 99.5)
"""Intensities beyond these are outliers: a few of them would otherwise set the scale."""
LONGEST_AXIS = 100_000
"""Voxels along an axis; no image and no window is as long as this."""
SPACINGS_MM = (1e-6, 1000.0)
"""The smallest and the largest voxel size, from electron microscopes upwards."""
_LARGEST = 1e30
"""Beyond this, and below its inverse, float32 loses what is computed."""


@dataclass(frozen=True)
class Preprocessing:
    """The conversion of images to a network's input. Stored in model.json, see `system.json_codec`.

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
    """"zscore": each channel of each image gets mean 0 and standard deviation 1; its outliers lie
    beyond its 0.5 and 99.5 percentiles. "ct": `intensity_mean` is subtracted from the Hounsfield
    units, which are divided by `intensity_std`; outliers lie beyond `intensity_range`.
    "nnunet-zscore" and "nnunet-ct" are nnU-Net's ZScoreNormalization, which leaves outliers as they
    are, and CTNormalization, which clips them; images are resampled, padded and cut into windows as
    nnU-Net does too."""
    outliers: str = field(default="compress", metadata={ABSENT: "clip"})
    """"compress": the further out, the less an intensity counts, but order and differences remain,
    so that what is small and bright stays visible (`normalization` has the formula). "clip": all
    outliers take the limit's value, as in models whose model.json does not have this field."""
    intensity_range: tuple[float, float] | None = None
    """For "ct": 0.5 and 99.5 percentiles of the training cases' foreground."""
    intensity_mean: float | None = None
    """For "ct": mean of the training cases' foreground, clipped to `intensity_range`."""
    intensity_std: float | None = None
    """For "ct": standard deviation of the same."""

    flat_axes: str = field(default="anatomical", metadata={ABSENT: "stored"})
    """Rows and columns of flat NIfTI images: "anatomical", see `imaging.geometry.canonical_axes`,
    or "stored", the file's own axes, which earlier versions kept. Pictures keep theirs. "file": the
    file's own axes of volumes too, in models that nnU-Net has trained on them."""

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
            # `not all`, and not `any`: NaN is neither above nor below anything.
            if value is not None and (
                len(value) != self.spatial_dims or not all(each > 0 for each in value)
            ):
                raise SettingError(
                    f"{{0}} needs {self.spatial_dims} positive values "
                    f"for a {self.spatial_dims}D image, got {value}",
                    name,
                )
        for name in ("size", "roi_size"):
            if max(getattr(self, name) or (0,)) > LONGEST_AXIS:
                raise SettingError(
                    f"{{0}} needs at most {LONGEST_AXIS} voxels along an axis, "
                    f"got {getattr(self, name)}",
                    name,
                )
        low, high = SPACINGS_MM
        if not all(low <= each <= high for each in self.spacing_mm or ()):
            raise SettingError(
                f"{{0}} needs voxel sizes from {low:g} to {high:g} mm, got {self.spacing_mm}",
                "spacing_mm",
            )
        known = (*NORMALIZATIONS, NNUNET_ZSCORE, NNUNET_CT)
        check_choice("normalization", self.normalization, known)
        if self.as_nnunet and self.roi_size is None:
            raise UsageError(f"{self.normalization} normalization goes with roi_size")
        check_choice("outliers", self.outliers, OUTLIERS)
        check_choice("flat_axes", self.flat_axes, FLAT_AXES)
        if self.normalization in ("ct", NNUNET_CT) and (
            self.intensity_range is None
            or self.intensity_mean is None
            or self.intensity_std is None
            or not 0 < self.intensity_std < math.inf
            or not math.isfinite(self.intensity_mean)
            or not -math.inf < self.intensity_range[0] <= self.intensity_range[1] < math.inf
        ):
            raise UsageError(
                f"{self.normalization} normalization needs intensity_range, intensity_mean and "
                f"intensity_std > 0, all finite; got {self.intensity_range}, "
                f"{self.intensity_mean} and {self.intensity_std}"
            )
        if self.intensity_std is not None and self.intensity_std < 1 / _LARGEST:
            raise UsageError(
                f"intensity_std needs a number above {1 / _LARGEST:g}, got {self.intensity_std}"
            )
        # float32 is what images are computed in.
        for name in ("intensity_range", "intensity_mean", "intensity_std"):
            value = getattr(self, name)
            values = value if isinstance(value, tuple) else () if value is None else (value,)
            if not all(abs(each) < _LARGEST for each in values):
                raise UsageError(f"{name} needs finite numbers below {_LARGEST:g}, got {value}")
        if self.intensity_range is not None:
            low, high = self.intensity_range
            if low > high or (low == high and self.outliers == "compress"):
                raise UsageError(
                    f"intensity_range needs the smaller number first, got {self.intensity_range}"
                )

    @property
    def as_nnunet(self) -> bool:
        """Whether images are prepared as nnU-Net does."""
        return self.normalization in (NNUNET_ZSCORE, NNUNET_CT)


class Grid(TypedDict):
    """The fields of `Preprocessing` that say how an image's grid becomes the network's."""

    size: tuple[int, ...] | None
    roi_size: tuple[int, ...] | None
    spacing_mm: tuple[float, ...] | None


def plan_grid(
    spatial_dims: int,
    size: Sequence[int] | None,
    roi_size: Sequence[int] | None,
    spacing_mm: Sequence[float] | None,
) -> Grid:
    """Fill in what a user may leave out about the grid.

    One number stands for all axes. Without any choice it is whole-image mode at the paper's
    sizes, 512x512 and 128x128x128.

    Example:
        >>> plan_grid(3, None, [96], None)
        {'size': None, 'roi_size': (96, 96, 96), 'spacing_mm': None}
    """
    if size is None and roi_size is None and spacing_mm is None:
        size = PAPER_SIZE[spatial_dims]
    return {
        "size": per_axis(size, spatial_dims),
        "roi_size": per_axis(roi_size, spatial_dims),
        "spacing_mm": per_axis(spacing_mm, spatial_dims),
    }
