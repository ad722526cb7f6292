from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lightm_unet.imaging.dicom_source import Source
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.same_voxels import on_image_grid
from strategies import ORIENTATIONS, affines, shapes


def stored(labels, affine, axes, signs):
    """Axis `axes[i]` becomes axis i, backwards where the sign is negative."""
    place = np.zeros((4, 4))
    place[3, 3] = 1
    for axis, (old, sign) in enumerate(zip(axes, signs, strict=True)):
        place[old, axis] = sign
        place[old, 3] = 0 if sign > 0 else labels.shape[old] - 1
    moved = np.flip(labels.transpose(axes), [axis for axis in range(3) if signs[axis] < 0])
    return moved, Geometry(moved.shape, affine @ place)


@given(affines(largest_shear=0.5), shapes(), ORIENTATIONS, st.integers(0, 99))
def test_any_order_and_direction_of_the_axes_comes_back(affine, shape, orientation, seed):
    labels = np.random.default_rng(seed).integers(0, 9, shape)
    moved, geometry = stored(labels, affine, *orientation)
    assert np.array_equal(on_image_grid(moved, geometry, Geometry(shape, affine)), labels)


def test_slices_that_are_left_out_are_empty():
    labels = np.ones((3, 4, 2), np.uint8)
    place = np.eye(4)
    place[2, 3] = 3
    found = on_image_grid(labels, Geometry((3, 4, 2), place), Geometry((3, 4, 6), np.eye(4)))
    assert [int(found[:, :, k].sum()) for k in range(6)] == [0, 0, 0, 12, 12, 0]


def test_other_voxels_are_refused():
    labels, image = np.ones((3, 4, 5), np.uint8), Geometry((3, 4, 5), np.eye(4))

    def found(affine, shape=(3, 4, 5)):
        return on_image_grid(labels, Geometry(shape, affine), image)

    assert found(np.eye(4)) is not None
    beside = np.eye(4)
    beside[0, 3] = 0.3
    outside = np.eye(4)
    outside[2, 3] = 1
    assert found(beside) is None
    assert found(outside) is None
    assert found(np.diag([1.02, 1.0, 1.0, 1.0])) is not None  # 0.04 of a voxel at the end
    assert found(np.diag([1.1, 1.0, 1.0, 1.0])) is None
    assert found(np.diag([2.0, 1.0, 1.0, 1.0])) is None


def test_another_frame_of_reference_is_refused():
    one, other = (
        replace(Geometry((2, 2, 2), np.eye(4)), dicom=Source((), uid)) for uid in ("1.1", "1.2")
    )
    labels = np.ones((2, 2, 2), np.uint8)
    assert on_image_grid(labels, one, one) is not None
    assert on_image_grid(labels, one, other) is None
