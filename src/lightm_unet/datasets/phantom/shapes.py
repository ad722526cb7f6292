"""Soft shapes and smooth noise that phantoms are drawn with.

Everything is a function of position, in mm or in shares of the picture, never of voxels: the same
anatomy can be drawn at any size. Positions are open grids, one array per axis that broadcasts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import numpy as np


def open_grid(shape: Sequence[int], spacing: Sequence[float]) -> tuple[np.ndarray, ...]:
    """Positions of a grid's voxels along each axis, 0 in the grid's middle.

    Example:
        >>> x, y = open_grid((2, 3), (1.0, 10.0))
        >>> x.ravel().tolist(), y.ravel().tolist()
        ([-0.5, 0.5], [-10.0, 0.0, 10.0])
    """
    axes = [
        (np.arange(length, dtype=np.float32) - (length - 1) / 2) * np.float32(step)
        for length, step in zip(shape, spacing, strict=True)
    ]
    return tuple(np.meshgrid(*axes, indexing="ij", sparse=True))


def smooth_noise(
    position: Sequence[np.ndarray], wavelength: float, generator: np.random.Generator
) -> np.ndarray:
    """Random bumps of about one size, with mean 0 and standard deviation near 1.

    A sum of plane waves in random directions, each a little longer or shorter than `wavelength`.

    Args:
        position: an open grid.
        wavelength: from crest to crest, in the grid's unit.
        generator: source of the random numbers.
    """
    waves = 10
    total = np.zeros(np.broadcast_shapes(*(axis.shape for axis in position)), np.float32)
    for _ in range(waves):
        direction = generator.standard_normal(len(position))
        length = wavelength * generator.uniform(0.7, 1.4)
        direction *= 2 * math.pi / (length * np.linalg.norm(direction))
        phase = generator.uniform(0, 2 * math.pi)
        angle = sum(axis * np.float32(k) for axis, k in zip(position, direction, strict=True))
        total += np.cos(angle + np.float32(phase))
    return total * np.float32(math.sqrt(2 / waves))


def ellipsoid(
    position: Sequence[np.ndarray],
    centre: Sequence[float],
    radii: Sequence[float],
    power: float = 2.0,
) -> np.ndarray:
    """About the distance to an ellipsoid's surface, negative inside.

    Args:
        position: an open grid.
        centre: along the same axes.
        radii: along the same axes.
        power: above 2 for a shape between an ellipsoid and a box.
    """
    terms = (
        np.abs((axis - np.float32(middle)) / np.float32(radius)) ** np.float32(power)
        for axis, middle, radius in zip(position, centre, radii, strict=True)
    )
    return (sum(terms) ** np.float32(1 / power) - 1) * np.float32(min(radii))


def overlap(*distances: np.ndarray) -> np.ndarray:
    """The distance to what several shapes share: the largest of their distances."""
    return reduce(np.maximum, distances)


def join(first: np.ndarray, second: np.ndarray, roundness: float) -> np.ndarray:
    """The distance to two shapes joined without a crease: a smooth minimum."""
    scale = np.float32(roundness)
    return -scale * np.logaddexp(-first / scale, -second / scale)


def inside(distance: np.ndarray, softness: float) -> np.ndarray:
    """Shares from 1 well inside (negative distance) to 0 outside, over a ramp of `softness`."""
    return np.clip(0.5 - distance / np.float32(softness), 0, 1)


def paint(canvas: np.ndarray, share: np.ndarray, value: float | np.ndarray) -> None:
    """Mix a value into the canvas, in place, where a shape's share is above 0."""
    canvas += share * (value - canvas)
