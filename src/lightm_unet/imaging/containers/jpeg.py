"""JPEG: grey or colour with 8 bits; always lossy."""

from __future__ import annotations

from pathlib import Path

from lightm_unet.errors import DataError
from lightm_unet.imaging.containers.pillow import exif_orientation, open_pillow, pixels
from lightm_unet.imaging.containers.stored import StoredPicture


def read_jpeg(data: bytes, path: Path) -> StoredPicture:
    """Read a JPEG; of one with further pictures (MPO, as phones write it) the first."""
    picture = open_pillow(data, "JPEG", path)
    if picture.mode not in ("L", "RGB"):
        raise DataError(
            path, f"a JPEG in {picture.mode}", "grey or RGB", "convert it to grey or RGB"
        )
    return StoredPicture(
        samples=pixels(picture),
        unfit_for_labels="JPEG compression, which changes label values",
        orientation=exif_orientation(picture),
        pictures=getattr(picture, "n_frames", 1),
    )
