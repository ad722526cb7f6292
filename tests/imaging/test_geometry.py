import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightm_unet.imaging.geometry import Geometry, canonical_axes
from strategies import (
    OFFSETS_MM,
    ORIENTATIONS,
    SPACINGS_MM,
    affines,
    oriented_affine,
    rotated,
    shapes,
)

AFFINE = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -7], [0, 0, 3, 11], [0, 0, 0, 1]])
# Up to here every array axis stays closest to the world axis that it ran along.
OBLIQUE_DEGREES = st.tuples(*[st.floats(-20, 20)] * 3)


def canonical_affine(geometry, axes, flips):
    """The affine of the array once its axes are put in this order and flipped."""
    affine = geometry.affine.copy()
    for canonical, (axis, flip) in enumerate(zip(axes, flips, strict=True)):
        column = geometry.affine[:, axis]
        affine[:, canonical] = -column if flip else column
        if flip:
            affine[:, 3] += (geometry.shape[axis] - 1) * column
    return affine


def mm_in(difference):
    """The distance that a difference names, to three digits."""
    return float(re.search(r"voxels up to (\S+) mm away", difference)[1])


def test_spacing_is_the_voxel_size_along_each_array_axis():
    assert Geometry((4, 5, 6), AFFINE).spacing_mm == (1.5, 2.0, 3.0)


@given(ORIENTATIONS, SPACINGS_MM, st.tuples(*[st.floats(-180, 180)] * 3))
def test_spacing_is_the_same_however_the_grid_is_turned(orientation, spacing_mm, degrees):
    affine = rotated(oriented_affine(*orientation, spacing_mm), degrees)
    assert Geometry((4, 5, 6), affine).spacing_mm == pytest.approx(spacing_mm, rel=1e-12)
    assert Geometry((4, 5), affine).spacing_mm == pytest.approx(spacing_mm[:2], rel=1e-12)


@given(ORIENTATIONS, SPACINGS_MM, OBLIQUE_DEGREES)
def test_canonical_axes_are_the_closest_world_axes_also_of_oblique_grids(
    orientation, spacing_mm, degrees
):
    world_axes, signs = orientation
    geometry = Geometry((4, 5, 6), rotated(oriented_affine(*orientation, spacing_mm), degrees))
    axes, flips = canonical_axes(geometry)
    assert tuple(world_axes[axis] for axis in axes) == (0, 1, 2)
    assert flips == tuple(signs[axis] < 0 for axis in axes)


@given(affines(largest_degrees=20), shapes())
def test_a_grid_brought_to_canonical_axes_has_them(affine, shape):
    axes, flips = canonical_axes(Geometry(shape, affine))
    brought = canonical_affine(Geometry(shape, affine), axes, flips)
    again = canonical_axes(Geometry(tuple(shape[axis] for axis in axes), brought))
    assert again == ((0, 1, 2), (False, False, False))
    assert (np.diag(brought)[:3] > 0).all()


@given(affines(largest_shear=1.0))
def test_any_grid_has_each_axis_once(affine):
    axes, flips = canonical_axes(Geometry((4, 5, 6), affine))
    assert sorted(axes) == [0, 1, 2]
    assert set(flips) <= {True, False}


@given(affines())
def test_flat_grids_keep_their_axes_whatever_their_affine(affine):
    assert canonical_axes(Geometry((4, 5), affine)) == ((0, 1), (False, False))


def test_grids_agree_up_to_a_tenth_of_a_voxel_at_their_corners():
    grid = Geometry((11, 5, 6), np.eye(4))
    near, far = np.eye(4), np.eye(4)
    near[0, 0], far[0, 0] = 1.009, 1.011  # ten voxels from first to last: 0.09 and 0.11 mm
    assert grid.difference(Geometry((11, 5, 6), near)) is None
    assert "0.11 mm" in grid.difference(Geometry((11, 5, 6), far))
    assert "shape" in grid.difference(Geometry((11, 6, 5), np.eye(4)))


@given(affines(), st.sampled_from([2, 3]), OFFSETS_MM, st.floats(0, 0.099), st.floats(0.101, 50))
def test_a_shifted_grid_agrees_within_a_tenth_of_its_smallest_voxel_edge_and_no_further(
    affine, dims, towards, little, much
):
    direction = np.add(towards, (0, 0, 2e3))  # of any length but 0
    direction /= np.linalg.norm(direction)
    grid = Geometry((4, 5, 6)[:dims], affine)
    for share, agrees in ((little, True), (much, False)):
        moved = affine.copy()
        moved[:3, 3] += share * min(grid.spacing_mm) * direction
        difference = grid.difference(Geometry(grid.shape, moved))
        assert (difference is None) == agrees
        if difference:
            assert mm_in(difference) == pytest.approx(share * min(grid.spacing_mm), rel=6e-3)


@given(affines(), shapes(), shapes())
def test_grids_of_one_shape_and_affine_agree_and_of_two_shapes_do_not(affine, shape, other):
    difference = Geometry(shape, affine).difference(Geometry(other, affine.copy()))
    assert difference == (None if shape == other else f"shape {other} against {shape}")


@given(affines(), st.sampled_from([0, 1, 2]))
def test_a_grid_read_from_its_other_end_is_another(affine, axis):
    grid = Geometry((4, 5, 6), affine)
    flips = tuple(number == axis for number in range(3))
    mirrored = Geometry((4, 5, 6), canonical_affine(grid, (0, 1, 2), flips))
    extent = (grid.shape[axis] - 1) * grid.spacing_mm[axis]
    assert mm_in(grid.difference(mirrored)) == pytest.approx(extent, rel=6e-3)
