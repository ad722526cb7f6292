"""A chest X-ray from the front, with both lungs.

Axes while drawing: y downwards and x to the right of the picture, which is the patient's left, in
shares of the picture: -1 to 1 from edge to edge.
"""

from __future__ import annotations

import math

import numpy as np

from lightm_unet.datasets.phantom.shapes import (
    ellipsoid,
    inside,
    join,
    open_grid,
    overlap,
    paint,
    smooth_noise,
)


def draw_chest(size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw one X-ray.

    Args:
        size: pixels along the longer side.
        seed: of everything random.

    Returns:
        Grey levels uint8 `(height, width)`, bright where the body is dense; and labels uint8, 1
        for both lungs without the heart's shadow, as radiologists outline them.
    """
    generator = np.random.default_rng(seed)
    height, width = size, round(size * generator.uniform(0.85, 1.0))
    y, x = open_grid((height, width), (2 / height, 2 / width))
    angle = math.radians(generator.uniform(-4, 4))
    zoom = generator.uniform(0.92, 1.05)
    x, y = (
        (x * math.cos(angle) + y * math.sin(angle)) / zoom + generator.uniform(-0.04, 0.04),
        (y * math.cos(angle) - x * math.sin(angle)) / zoom + generator.uniform(-0.04, 0.04),
    )
    x, y = x.astype(np.float32), y.astype(np.float32)
    softness = max(0.02, 4 / size)

    picture = _body(x, y, generator)
    heart = _heart(x, y, generator)
    thorax, lungs = _lungs(x, y, heart, generator)
    air = inside(lungs, 2 * softness)
    paint(picture, air, 0.22 + 0.05 * y + 0.02 * smooth_noise((y, x), 0.25, generator))
    _lung_markings(picture, x, y, air, generator)
    _ribs(picture, x, y, thorax, softness, generator)
    # Heart and vessels hide what lies behind them.
    paint(picture, 0.8 * inside(heart, 0.06), 0.68)
    _spine_and_collar_bones(picture, x, y, softness)
    _exposure(picture, x, y, generator)
    picture += generator.normal(0, 0.012, picture.shape).astype(np.float32)
    grey = np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8)
    return grey, (lungs < 0).astype(np.uint8)


def _body(x, y, generator) -> np.ndarray:
    """Dark air, then neck, shoulders and trunk in soft tissue's grey."""
    picture = np.full(np.broadcast_shapes(x.shape, y.shape), 0.04, np.float32)
    trunk = ellipsoid((x, y), (0, 0.55), (generator.uniform(0.9, 1.02), 1.42), power=4)
    neck = ellipsoid((x, y), (0, -0.95), (0.24, 0.5), power=3)
    paint(picture, inside(join(trunk, neck, 0.1), 0.1), 0.58)
    paint(picture, inside(ellipsoid((x, y), (0, 1.05), (1.1, 0.6)), 0.3), 0.72)  # the belly
    return picture


def _heart(x, y, generator) -> np.ndarray:
    """Distance to the shadow of heart and great vessels, negative inside."""
    size = generator.uniform(0.9, 1.15)
    heart = ellipsoid((x, y), (0.13, 0.27), (0.33 * size, 0.27 * size))
    vessels = ellipsoid((x, y), (0.03, -0.35), (0.15, 0.62))
    return join(heart, vessels, 0.04).astype(np.float32)


def _lungs(x, y, heart, generator) -> tuple[np.ndarray, np.ndarray]:
    """Distances to the rib cage's outline and to the lungs', negative inside."""
    top = generator.uniform(-0.78, -0.68)
    wobble = 0.012 * smooth_noise((y, x), 0.7, generator)
    chests, sides = [], []
    for side, floor in ((-1, generator.uniform(0.36, 0.46)), (1, generator.uniform(0.42, 0.52))):
        chest = ellipsoid((x, y), (side * 0.4, top + 0.85), (0.33, 0.85), power=2.5)
        # The diaphragm is a dome, highest near the heart; outside it a sharp angle goes down.
        dome = y - (floor + 1.5 * (x - side * 0.33) ** 2)
        chests.append(chest)
        sides.append(overlap(chest, dome))
    lungs = (overlap(np.minimum(*sides), -heart) + wobble).astype(np.float32)
    return np.minimum(*chests), _two_largest(lungs)


def _two_largest(lungs: np.ndarray) -> np.ndarray:
    """Turn scraps, such as a sliver between heart and diaphragm, from inside to outside."""
    from scipy.ndimage import label

    regions, count = label(lungs < 0)
    sizes = np.bincount(regions.ravel())[1:]
    scraps = np.isin(regions, 1 + np.argsort(sizes)[: max(count - 2, 0)])
    return np.where(scraps, -lungs, lungs)


def _lung_markings(picture, x, y, air, generator) -> None:
    """Vessels that fan out from the hila, and in some patients a clouded patch."""
    for side in (-1, 1):
        away_x, away_y = x - side * 0.16, y + 0.02
        distance = np.hypot(away_x, away_y)
        angle = np.arctan2(away_y, away_x)
        fan = np.cos(angle * 17 + 3 * smooth_noise((y, x), 0.5, generator)) ** 8
        picture += air * np.exp(-distance / 0.16) * (0.12 + 0.22 * fan)
    if generator.random() < 0.4:
        centre = (generator.choice([-1, 1]) * 0.42, generator.uniform(-0.4, 0.25))
        patch = ellipsoid((x, y), centre, generator.uniform(0.08, 0.2, 2))
        patch += 0.04 * smooth_noise((y, x), 0.15, generator)
        picture += air * inside(patch, 0.12) * np.float32(generator.uniform(0.1, 0.25))


def _ribs(picture, x, y, thorax, softness, generator) -> None:
    """Ten ribs behind and in front, brighter at their edges as tubes are."""
    cage = inside(thorax - 0.02, 0.05)
    start = generator.uniform(-0.85, -0.75)
    across = np.abs(x)
    for rib in range(10):
        behind = start + 0.135 * rib + 0.3 * across + 0.5 * np.clip(across - 0.35, 0, None) ** 2
        tube = np.abs(y - behind) / 0.028
        bright = 0.055 + 0.03 * np.clip(tube, 0, 1) ** 2
        picture += cage * inside(0.1 - across, 0.05) * inside(tube - 1, softness / 0.028) * bright
        front = start + 0.25 + 0.14 * rib - 0.35 * (across - 0.75)
        tube = np.abs(y - front) / 0.035
        picture += cage * inside(0.3 - across, 0.1) * inside(tube - 1, softness / 0.035) * 0.03


def _spine_and_collar_bones(picture, x, y, softness) -> None:
    across = np.abs(x)
    discs = np.cos(y * np.float32(2 * math.pi / 0.13))
    picture += inside(across - 0.09, 0.08) * (0.06 + 0.012 * discs)
    middle = -0.64 - 0.16 * across + 0.07 * np.sin(across * 7)
    collar = np.abs(y - middle) / 0.035
    length = inside(across - 0.58, 0.2) * inside(0.1 - across, 0.08)
    picture += inside(collar - 1, softness / 0.035) * length * 0.11


def _exposure(picture, x, y, generator) -> None:
    """Uneven light, and more or less contrast."""
    picture *= 1 + generator.uniform(-0.08, 0.08) * x + generator.uniform(-0.08, 0.08) * y
    np.clip(picture, 0, 1, out=picture)
    picture **= np.float32(generator.uniform(0.8, 1.2))
