"""What is measured of an image is what Python measures."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightm_unet.models.likeness import measure


def expected_of(image, logits):
    names = [f"label {value}" for value in range(len(logits))]
    found = measure(torch.from_numpy(image), torch.from_numpy(logits).softmax(dim=0), names)
    return np.array(list(found.features.values())), found.layout


def assert_same(steps, image, logits):
    features, layout = steps.measure(image, logits)
    expected, expected_layout = expected_of(image, logits)
    np.testing.assert_allclose(features, expected, rtol=2e-5, atol=2e-5)
    # torch adds a thousand voxels in float32.
    np.testing.assert_allclose(layout, expected_layout, rtol=0, atol=5e-6)


@given(
    st.lists(st.sampled_from([1, 2, 3, 5, 8, 13, 17, 33]), min_size=2, max_size=3),
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(0, 99),
)
def test_features_of_any_grid_are_pythons(steps, grid, channels, labels, seed):
    random = np.random.default_rng(seed)
    image = random.normal(0, 1, (channels, *grid)).astype(np.float32)
    assert_same(steps, image, random.normal(0, 2, (labels, *grid)).astype(np.float32))


@pytest.mark.parametrize("grid", [(512, 512), (40, 56, 40), (65, 127)])
def test_features_of_a_smooth_image_are_pythons(steps, grid):
    places = np.meshgrid(*(np.linspace(0, 3, length) for length in grid), indexing="ij")
    image = np.sin(sum(places)).astype(np.float32)[None]
    logits = np.stack([np.cos(2 * places[0]), np.sin(3 * places[-1])]).astype(np.float32) * 9
    assert_same(steps, image, logits)


@pytest.mark.parametrize("grid", [(20, 30), (9, 10, 11)])
def test_a_constant_image_with_one_label_is_measured(steps, grid):
    image = np.zeros((1, *grid), np.float32)
    logits = np.zeros((3, *grid), np.float32)
    logits[2] = 50
    assert_same(steps, image, logits)
    assert_same(steps, image, -logits)


def test_a_label_that_is_found_nowhere_has_no_certainty(steps):
    logits = np.zeros((2, 8, 8), np.float32)
    logits[0] = 1
    features, _ = steps.measure(np.zeros((1, 8, 8), np.float32), logits)
    assert features[-2] == 0
