"""Pictures as C programs read them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np


def chest() -> np.ndarray:
    """A grey picture with two dark ellipses, as lungs are; uint8 `(201, 183)`."""
    rows, columns = np.mgrid[-1:1:201j, -1:1:183j]
    lungs = np.minimum(*((columns - side) ** 2 / 0.1 + rows**2 / 0.5 for side in (-0.45, 0.45)))
    noise = np.random.default_rng(0).normal(0, 5, rows.shape)
    return np.clip(180 - 110 * (lungs < 1) + noise, 0, 255).astype(np.uint8)


def write_pgm(path: Path, pixels: np.ndarray) -> None:
    """Write `(height, width)` numbers of 8 bits."""
    height, width = pixels.shape
    path.write_bytes(b"P5\n%d %d\n255\n" % (width, height) + pixels.tobytes())


def read_pgm(path: Path) -> np.ndarray:
    """The pixels of a PGM as examples/segment.c writes it."""
    content = path.read_bytes()
    header = re.match(rb"P5 (\d+) (\d+) 255\n", content)
    width, height = map(int, header.groups())
    return np.frombuffer(content[header.end() :], np.uint8).reshape(height, width)
