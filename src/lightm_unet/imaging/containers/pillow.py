"""Pillow's part: pictures whose every level Pillow keeps."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightm_unet.imaging.containers.stored import check_size

if TYPE_CHECKING:
    from PIL import Image

_one_at_a_time = threading.Lock()


def open_pillow(data: bytes, container: str, path: Path) -> Image.Image:
    """Open a picture, whose pixels are not read yet, and check its size.

    Args:
        data: the whole file.
        container: Pillow's name of its format.
        path: the file, for messages.
    """
    from PIL import Image

    picture = Image.open(io.BytesIO(data), formats=(container,))
    check_size(path, *picture.size, len(picture.getbands()), 2)
    return picture


def pixels(picture: Image.Image) -> np.ndarray:
    """The samples `(height, width, channels)` in the picture's own mode."""
    picture.load()
    array = np.asarray(picture)
    return array[..., None] if array.ndim == 2 else array


@contextmanager
def libtiff_is_silent() -> Iterator[None]:
    """Keep what libtiff prints on standard error from the user, who is told in one line.

    It prints through the process's own file descriptor, past Python. One thread at a time.
    """
    with _one_at_a_time:
        try:
            kept = os.dup(2)
        except OSError:  # there is no standard error
            yield
            return
        try:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def exif_orientation(picture: Image.Image) -> int:
    """The note in EXIF or XMP how to turn the picture, 1 to 8; 1 where there is none."""
    try:
        orientation = picture.getexif().get(274, 1)
    except Exception:  # broken notes are no reason to refuse the pixels
        return 1
    return orientation if orientation in range(1, 9) else 1
