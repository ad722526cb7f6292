import itertools

import numpy as np
import pytest

from lightm_unet.imaging.geometry import Geometry
from lightm_unet.inference.components import box_of, find_components, voxel_size


def test_parts_come_largest_first_and_touch_at_corners_too():
    mask = np.zeros((6, 6), bool)
    mask[0, 0] = mask[4:6, 0:2] = True
    mask[1:4, 3] = mask[4, 4] = True  # a line, and a voxel at its end's corner
    found = find_components(mask, Geometry((6, 6), np.eye(4)))
    assert found.voxels == (4, 4, 1)
    boxes = [box for box, _ in found.parts(most=2)]
    assert sorted(boxes) == [(slice(1, 5), slice(3, 5)), (slice(4, 6), slice(0, 2))]


def test_parts_of_one_size_have_the_same_order_however_the_file_keeps_its_axes():
    mask = np.zeros((7, 5, 6), bool)
    for place in ((0, 0, 0), (0, 4, 5), (6, 2, 3), (3, 0, 5)):
        mask[place] = True
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    seen = set()
    for axes in itertools.permutations(range(3)):
        for flips in itertools.product((1, -1), repeat=3):
            place = np.zeros((4, 4))
            place[3, 3] = 1
            for axis, (old, sign) in enumerate(zip(axes, flips, strict=True)):
                place[old, axis] = sign
                place[old, 3] = 0 if sign > 0 else mask.shape[old] - 1
            stored = np.flip(mask.transpose(axes), [a for a in range(3) if flips[a] < 0])
            geometry = Geometry(stored.shape, affine @ place)
            parts = find_components(stored, geometry).parts(most=4)
            starts = [[each.start for each in box] for box, _ in parts]
            world = np.array(starts) @ geometry.affine[:3, :3].T + geometry.affine[:3, 3]
            seen.add(tuple(map(tuple, world.round(6).tolist())))
    assert len(seen) == 1


def test_nothing_has_no_parts_and_no_box():
    nothing = np.zeros((2, 3), bool)
    assert box_of(nothing) is None
    assert len(find_components(nothing, Geometry((2, 3), np.eye(4)))) == 0


@pytest.mark.parametrize(
    ("shape", "affine", "size"),
    [
        ((2, 2, 2), np.diag([1.0, 2.0, -3.0, 1.0]), (6.0, "mm3")),
        ((2, 2), np.diag([0.5, 2.0, 9.0, 1.0]), (1.0, "mm2")),
        ((2, 2), np.eye(4), None),
    ],
)
def test_the_size_of_a_voxel(shape, affine, size):
    assert voxel_size(Geometry(shape, affine)) == size
