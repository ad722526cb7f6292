"""The settings of a count."""

from __future__ import annotations

from dataclasses import dataclass

from lightm_unet.networks.image_sizes import PAPER_SIZE


@dataclass(frozen=True)
class CountSettings:
    """The image that networks are counted on."""

    size: tuple[int, ...] = PAPER_SIZE[2]
    """Size of the image in pixels or voxels, in 2D or 3D."""
    in_channels: int | None = None
    """Number of channels of the image; by default 3 in 2D and 1 in 3D."""
    out_channels: int | None = None
    """Number of classes, background included; by default 2 in 2D and 3 in 3D."""
