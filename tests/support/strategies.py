"""Hypothesis strategies: grids, and the many ways in which files lay their axes."""

import itertools

import numpy as np
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

SPACINGS_MM = st.tuples(*[st.floats(0.1, 12.0)] * 3)
OFFSETS_MM = st.tuples(*[st.floats(-1e3, 1e3)] * 3)
ORIENTATIONS = st.tuples(
    st.permutations(range(3)).map(tuple), st.tuples(*[st.sampled_from((1, -1))] * 3)
)
"""For each array axis, the world axis that it runs along, and in which direction."""
ALL_ORIENTATIONS = [
    (axes, signs)
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def oriented_affine(axes, signs, spacing_mm=(1.0, 2.0, 3.0), offset_mm=(10.0, -20.0, 30.0)):
    """Array axis i runs along world axis axes[i], in direction signs[i], in steps spacing_mm[i]."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for array_axis, (world_axis, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[world_axis, array_axis] = sign * spacing_mm[array_axis]
    affine[:3, 3] = offset_mm
    return affine


def rotated(affine, degrees):
    """The grid turned about the world's axes, by so many degrees about each."""
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    return turn @ affine


def affines(largest_degrees=180.0, largest_shear=0.0):
    """Grids of any orientation and voxel size, turned by up to so much and sheared.

    A shear of 1 makes 45 degrees of a right angle.
    """
    angle = st.floats(-largest_degrees, largest_degrees)
    shear = st.floats(-largest_shear, largest_shear)

    def build(orientation, spacing_mm, offset_mm, degrees, shears):
        sheared = np.eye(4)
        sheared[(0, 0, 1), (1, 2, 2)] = shears
        unit = oriented_affine(*orientation, (1.0, 1.0, 1.0), offset_mm)
        return rotated(unit @ sheared @ np.diag([*spacing_mm, 1.0]), degrees)

    return st.builds(
        build,
        ORIENTATIONS,
        SPACINGS_MM,
        OFFSETS_MM,
        st.tuples(*[angle] * 3),
        st.tuples(*[shear] * 3),
    )


def shapes(dims=3, largest=7):
    """Grids of a few voxels along each axis."""
    return st.tuples(*[st.integers(1, largest)] * dims)
