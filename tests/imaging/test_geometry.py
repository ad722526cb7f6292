import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightm_unet.imaging.geometry import Geometry, canonical_axes, left_right_axis
from strategies import (
    ALL_ORIENTATIONS,
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


def test_pictures_keep_their_rows_and_columns():
    picture = Geometry((4, 5), np.eye(4))
    assert canonical_axes(picture) == ((0, 1), (False, False))
    assert left_right_axis(picture) == 1


SLICES = {
    "axial": ((0, 1), (1, 0), 1),
    "coronal": ((0, 2), (2, 0), 1),
    "sagittal": ((1, 2), (2, 1), None),
}
"""The world axes that a slice lies along; those that its rows and columns run against; and the
canonical axis of left and right."""


@given(st.sampled_from(sorted(SLICES)), st.booleans(), st.tuples(*[st.booleans()] * 3), SPACINGS_MM)
def test_a_slice_has_a_radiologist_s_rows_and_columns_however_it_is_stored(
    plane, swapped, flips, spacing_mm
):
    (first, second), expected, left_right = SLICES[plane]
    along = (second, first) if swapped else (first, second)
    through = 3 - first - second
    signs = tuple(-1 if flip else 1 for flip in flips)
    affine = oriented_affine((*along, through), signs, spacing_mm)
    geometry = Geometry((4, 5), affine, unit_axes=1)
    axes, turned = canonical_axes(geometry)
    assert tuple(along[axis] for axis in axes) == expected
    # Rows and columns run against their world axes: a step that runs along one is flipped.
    assert turned == tuple(signs[axis] > 0 for axis in axes)
    assert left_right_axis(geometry) == left_right


@given(affines(), ORIENTATIONS)
def test_the_canonical_directions_do_not_depend_on_how_the_axes_are_stored(affine, orientation):
    order, signs = orientation
    stored = affine.copy()
    stored[:3, :3] = affine[:3, list(order)] * signs
    found = []
    for grid in (affine, stored):
        axes, flips = canonical_axes(Geometry((4, 5, 6), grid))
        found.append(grid[:3, list(axes)] * np.where(flips, -1, 1))
    np.testing.assert_allclose(found[1], found[0])


@pytest.mark.parametrize("degrees", [(0, 0, 45), (0, 45, 0), (45, 0, 0), (0, 0, 135)])
@pytest.mark.parametrize("dims", [2, 3])
def test_a_grid_halfway_between_two_axes_has_one_answer(degrees, dims):
    found = []
    for axes, signs in ALL_ORIENTATIONS:
        if dims == 2 and axes[2] != 2:
            continue  # another slice
        grid = rotated(oriented_affine(axes, signs, (1.0, 1.0, 1.0)), degrees)
        order, flips = canonical_axes(Geometry((4, 5, 6)[:dims], grid))
        found.append(grid[:3, list(order)] * np.where(flips, -1, 1))
    np.testing.assert_allclose(found, np.broadcast_to(found[0], np.shape(found)), atol=1e-9)


@given(affines(), st.integers(0, 2))
def test_a_volume_of_one_slice_is_flat_and_a_volume_again(affine, thin):
    shape = tuple(1 if axis == thin else 4 + axis for axis in range(3))
    volume = Geometry(shape, affine)
    flat = volume.as_slice()
    assert flat.shape == tuple(length for length in shape if length > 1)
    assert flat.stored_shape == shape
    assert flat.as_volume().as_slice().difference(flat) is None
    # The last voxel lies where it lay.
    last = [length - 1 for length in flat.shape] + [0, 1]
    whole = [length - 1 for length in shape] + [1]
    np.testing.assert_allclose(flat.affine @ last, affine @ whole)


def test_a_volume_of_several_slices_is_not_flat():
    volume = Geometry((4, 5, 6), np.eye(4))
    assert volume.as_slice() is volume
    assert volume.as_volume() is volume


@pytest.mark.parametrize(("axes", "signs"), ALL_ORIENTATIONS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 7), (1, 7, 1), (7, 1, 1)])
def test_of_several_axes_with_one_voxel_the_one_closest_to_upwards_is_left_out(axes, signs, shape):
    flat = Geometry(shape, oriented_affine(axes, signs)).as_slice()
    thin = [axes[axis] for axis in range(3) if shape[axis] == 1]
    assert abs(flat.affine[max(thin), 2]) > 0


@given(affines(), st.floats(0.01, 1.0))
def test_only_axes_that_are_not_at_right_angles_need_a_matrix(affine, shear):
    square = Geometry((4, 5, 6), affine)
    assert square.steps_mm == square.spacing_mm
    sheared = affine.copy()
    sheared[:, 2] += shear * affine[:, 1]
    np.testing.assert_array_equal(Geometry((4, 5, 6), sheared).steps_mm, sheared[:3, :3])
    assert Geometry((4, 5), sheared).steps_mm == square.spacing_mm[:2]


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
