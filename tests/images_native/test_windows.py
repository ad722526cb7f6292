"""Windows lie and weigh as MONAI's do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from monai.data.utils import compute_importance_map, dense_patch_slices
from monai.inferers.utils import _get_scan_interval

LENGTHS = st.integers(1, 40)


@given(
    st.tuples(LENGTHS, LENGTHS, LENGTHS),
    st.tuples(LENGTHS, LENGTHS, LENGTHS),
    st.sampled_from([0, 0.1, 0.25, 0.5, 0.75, 0.9]),
)
def test_windows_start_where_monais_do(steps, grid, roi, overlap):
    padded = tuple(map(max, grid, roi))
    interval = _get_scan_interval(padded, roi, 3, (overlap,) * 3)
    slices = dense_patch_slices(padded, roi, interval)
    expected = [[each.start for each in window] for window in slices]
    found, count = steps.windows(grid, roi, overlap)
    assert count == len(expected)
    np.testing.assert_array_equal(found, expected[: len(found)])


@pytest.mark.parametrize("roi", [(1, 1, 1), (2, 3, 5), (7, 8, 40), (31, 16, 96), (1, 64, 48)])
def test_windows_weigh_as_monais_do(steps, roi):
    expected = compute_importance_map(roi, mode="gaussian")
    np.testing.assert_allclose(steps.weights(roi), expected, rtol=2e-6)


def test_a_picture_weighs_as_its_two_axes_do(steps):
    expected = compute_importance_map((24, 17), mode="gaussian")
    np.testing.assert_allclose(steps.weights((1, 24, 17))[0], expected, rtol=2e-6)


@given(st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.integers(1, 9)] * 3), st.data())
def test_a_window_is_cut_from_the_padded_image(steps, grid, roi, data):
    channel = np.random.default_rng(0).normal(size=grid).astype(np.float32)
    padded = tuple(map(max, grid, roi))
    start = data.draw(st.tuples(*(st.integers(0, p - r) for p, r in zip(padded, roi, strict=True))))
    around = [((p - g) // 2, p - g - (p - g) // 2) for p, g in zip(padded, grid, strict=True)]
    whole = np.pad(channel, around, constant_values=-7.5)
    expected = whole[tuple(slice(s, s + r) for s, r in zip(start, roi, strict=True))]
    np.testing.assert_array_equal(steps.cut(channel, roi, start, -7.5), expected)


def test_an_interval_of_less_than_a_voxel_is_one_voxel(steps):
    """int(10 * (1 - 0.9)) is 0 in float64, and becomes 1."""
    assert int(10 * (1 - 0.9)) == 0
    found, _ = steps.windows((1, 1, 13), (1, 1, 10), 0.9)
    assert found[:, 2].tolist() == [0, 1, 2, 3]
