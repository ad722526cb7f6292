"""An abdominal CT scan in Hounsfield units, with liver and tumours.

Axes while drawing: x to the right, y to the front, z upwards, in mm, 0 in the body's middle.
Spleen, kidneys and bowel have much the same intensity as the liver, so that a threshold does not
find it, and the liver has vessels, so that not every spot in it is a tumour.
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

_EXTENT_MM = (350.0, 270.0, 260.0)
_ORIENTATIONS = ("RAS", "LPS", "LAS", "RPI", "PSR", "ASL")
"""Directions in which the stored axes run: common ones, and two with exchanged axes."""


def draw_abdomen(size: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw one scan.

    Args:
        size: voxels along the longest axis, about.
        seed: of everything random, the anatomy, the voxel size and the orientation.

    Returns:
        Hounsfield units int16 `(i, j, k)`; labels uint8 `(i, j, k)`, 1 liver and 2 tumour; and
        the affine from voxel to mm.
    """
    generator = np.random.default_rng(seed)
    in_plane_mm = _EXTENT_MM[0] / size * generator.uniform(0.95, 1.15)
    slice_mm = in_plane_mm * generator.uniform(0.75, 1.3)
    spacing = (in_plane_mm, in_plane_mm, slice_mm)
    shape = [max(8, round(mm / step)) for mm, step in zip(_EXTENT_MM, spacing, strict=True)]
    scale = generator.uniform(0.9, 1.05)  # of the patient
    position = tuple(axis / np.float32(scale) for axis in open_grid(shape, spacing))
    softness = max(spacing) / scale  # partial volume: edges as wide as a voxel

    hu, wall = _torso(position, softness, generator)
    _bones_and_vessels(hu, position, wall, softness, generator)
    below = _chest_above(hu, position, wall, softness, generator)
    _other_organs(hu, position, softness, generator)
    labels = _liver(hu, position, overlap(wall + 16, below), softness, generator)

    hu += generator.normal(0, generator.uniform(8, 18), shape).astype(np.float32)
    return _store(np.clip(np.rint(hu), -1024, 3071).astype(np.int16), labels, spacing, generator)


def _torso(position, softness, generator) -> tuple[np.ndarray, np.ndarray]:
    """Air, table, skin, fat, muscle wall, and a belly of fat and bowel.

    Returns:
        The canvas, and the distance to the wall's outer side: negative inside the muscles.
    """
    x, y, z = position
    shape = np.broadcast_shapes(x.shape, y.shape, z.shape)
    hu = np.full(shape, -1000, np.float32)
    table = np.abs(y + 122 - 0.0006 * x**2) - 4
    paint(hu, inside(table, softness) * (np.abs(x) < 150), -150)
    waist = 1 - 0.05 * np.cos((z + 30) / 90)  # a little narrower in the middle
    skin = ellipsoid((x / waist, y), (0, 0), (152, 104), power=2.4)
    paint(hu, inside(skin, softness), -100)
    wall = skin + np.float32(generator.uniform(8, 20))
    paint(hu, inside(wall, softness), 55)
    bowel = inside(0.4 - smooth_noise(position, 70, generator), 0.5)
    belly = -95 + 125 * bowel + 8 * smooth_noise(position, 25, generator)
    paint(hu, inside(wall + 13, softness), belly)
    return hu, wall


def _bones_and_vessels(hu, position, wall, softness, generator) -> None:
    x, y, z = position
    for side in (-1, 1):
        muscle = ellipsoid((x, y), (side * 38, -72), (30, 24))
        paint(hu, inside(overlap(muscle, wall), softness), 58)
    body = ellipsoid((x, y), (0, -50), (23, 18))
    phase = generator.uniform(0, 34)
    disc = inside(4 - np.abs((z + phase) % 34 - 17), softness)  # 8 mm of disc every 34 mm
    paint(hu, inside(body, softness), 320)
    paint(hu, inside(body + 4, softness), 190)
    paint(hu, inside(body, softness) * (1 - disc), 85)
    arch = overlap(ellipsoid((x, y), (0, -78), (19, 15)), -body)
    paint(hu, inside(arch, softness) * inside(np.abs((z + phase) % 34 - 17) - 11, softness), 330)
    paint(hu, inside(ellipsoid((x, y), (0, -74), (9, 8)), softness), 25)
    # Ribs run in the wall, lower in front than behind, and end above the belly.
    along = np.cos((z + 0.45 * y + phase) * np.float32(2 * math.pi / 30))
    rib = overlap(np.abs(wall + 6) - 5, (0.45 - along) * 8)
    paint(hu, inside(overlap(rib, -20 - z - 0.6 * np.abs(x) + 60), softness), 380)
    contrast = generator.uniform(90, 190)
    paint(hu, inside(ellipsoid((x, y), (-13, -24), (11, 11)), softness), contrast)
    paint(hu, inside(ellipsoid((x, y), (20, -22), (13, 10)), softness), 0.8 * contrast)


def _chest_above(hu, position, wall, softness, generator) -> np.ndarray:
    """Lungs and heart over the two domes of the diaphragm.

    Returns:
        About the distance to the diaphragm, negative below it.
    """
    x, y, z = position
    right = 96 - 0.011 * (x - 62) ** 2 - 0.007 * (y - 5) ** 2
    left = 86 - 0.011 * (x + 66) ** 2 - 0.007 * (y - 5) ** 2
    below = z - overlap(overlap(right, left), 20 + generator.uniform(-8, 8))
    middle = ellipsoid((x, y), (-5, -30), (32, 60))  # the mediastinum is not lung
    lung = overlap(-below, wall + 15, -middle)
    paint(hu, inside(lung, softness), -840 + 25 * smooth_noise(position, 20, generator))
    heart = overlap(ellipsoid(position, (-28, 30, 118), (58, 46, 48)), -below)
    paint(hu, inside(heart, softness), generator.uniform(60, 130))
    return below


def _other_organs(hu, position, softness, generator) -> None:
    y = position[1]
    for side in (-1, 1):
        centre = (side * 64, -48, -52 + generator.uniform(-8, 8))
        kidney = ellipsoid(position, centre, (26, 24, 50))
        paint(hu, inside(kidney, softness), generator.uniform(110, 170))
        pelvis = ellipsoid(position, (side * 52, -46, centre[2]), (12, 10, 20))
        paint(hu, inside(pelvis, softness), -40)
    spleen = ellipsoid(position, (-102, -34, 28 + generator.uniform(-6, 6)), (27, 40, 44))
    paint(hu, inside(spleen, softness), generator.uniform(85, 120))
    stomach = ellipsoid(position, (-62, 30, 30), (42, 36, 40))
    paint(hu, inside(stomach, softness), 35)
    # Gas rises to the front of a patient who lies on the back.
    gas = overlap(stomach + 4, np.float32(generator.uniform(35, 55)) - y)
    paint(hu, inside(gas, softness), -900)


def _liver(hu, position, room, softness, generator) -> np.ndarray:
    """The liver with its vessels and tumours; returns the labels.

    Args:
        hu: the canvas.
        position: of its voxels.
        room: distance to what bounds the liver, negative where it may be.
        softness: width of edges.
        generator: source of the random numbers.
    """
    shift = generator.uniform(-8, 8, 3)
    main = ellipsoid(
        position, shift + np.array([72, 2, 22]), generator.uniform(0.9, 1.1, 3) * (66, 74, 72)
    )
    left = ellipsoid(
        position, shift + np.array([12, 46, 45]), generator.uniform(0.8, 1.1, 3) * (64, 32, 34)
    )
    surface = join(main, left, 12) + 4 * smooth_noise(position, 80, generator)
    x, y, _ = position
    spine = ellipsoid((x, y), (4, -45), (38, 42))
    liver = overlap(surface, room, -spine).astype(np.float32)

    level = generator.uniform(85, 125)
    texture = 4 * smooth_noise(position, 18, generator)
    paint(hu, inside(liver, softness), level + texture)
    vessel = np.hypot(smooth_noise(position, 75, generator), smooth_noise(position, 75, generator))
    vessels = inside((vessel - 0.16) * 20, softness) * (liver < -6)
    paint(hu, vessels, level + generator.uniform(25, 50))

    labels = (liver < 0).astype(np.uint8)
    deep = np.argwhere(liver < -14)
    rough = smooth_noise(position, 22, generator)
    for _ in range(min(int(generator.integers(0, 4)), len(deep))):
        place = deep[generator.integers(len(deep))]
        centre = [float(axis.ravel()[i]) for axis, i in zip(position, place, strict=True)]
        radius = generator.uniform(9, 24)
        tumour = ellipsoid(position, centre, radius * generator.uniform(0.8, 1.25, 3))
        tumour = overlap(tumour + np.float32(0.12 * radius) * rough, liver)
        paint(hu, inside(tumour, 1.5 * softness), level - generator.uniform(35, 60))
        labels[tumour < 0] = 2
    return labels


def _store(hu, labels, spacing, generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn canonical arrays into one of the orientations that scanners store."""
    from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff

    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-(n - 1) / 2 * step for n, step in zip(hu.shape, spacing, strict=True)]
    tilt = math.radians(generator.choice([0.0, 0.0, -6.0, 9.0]))  # of the table or the gantry
    turn = np.eye(4)
    turn[1:3, 1:3] = [[math.cos(tilt), -math.sin(tilt)], [math.sin(tilt), math.cos(tilt)]]
    turn[:3, 3] = generator.uniform(-40, 40, 3)  # scanners rarely put 0 into the patient
    # From RAS axes to the stored ones: invert "which world axis is each stored axis".
    stored = axcodes2ornt(str(generator.choice(_ORIENTATIONS)))
    order = np.argsort(stored[:, 0])
    transform = np.stack([order, stored[order, 1]], axis=1)
    affine = turn @ affine @ inv_ornt_aff(transform, hu.shape)
    return apply_orientation(hu, transform), apply_orientation(labels, transform), affine
