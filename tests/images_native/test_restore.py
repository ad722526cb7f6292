"""Labels and probabilities come back as Python brings them back."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import Image
from lightm_unet.preprocessing.apply import preprocess_image
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.preprocessing.restore import restore_logits, restore_probabilities
from native_images import images


def picture(*shape):
    return Geometry(shape, np.eye(4))


def plan_of(*size):
    return Preprocessing(spatial_dims=len(size), channels=1, size=size)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("threads", "step"), [(1, 10**6), (3, 10**6), (2, 1), (1, 3)])
@given(data=st.data())
def test_restored_labels_and_probabilities_are_pythons(steps, dims, threads, step, data):
    image, plan = data.draw(images(dims))
    _, record = preprocess_image(image, plan)
    classes = data.draw(st.sampled_from([1, 2, 3, 9]))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    logits = random.normal(0, 3, (classes, *record.grid_shape)).astype(np.float32)
    labels, probabilities = steps.restore(logits, image.geometry, plan, step, threads)
    expected = np.stack(list(restore_probabilities(torch.from_numpy(logits), record)))
    np.testing.assert_allclose(probabilities, expected, atol=3e-6)
    wanted = restore_logits(torch.from_numpy(logits), record)
    # Another label only where two are as likely but for rounding.
    at = np.nonzero(labels != wanted)
    np.testing.assert_allclose(expected[(labels[at], *at)], expected[(wanted[at], *at)], atol=3e-6)
    np.testing.assert_array_equal(probabilities.argmax(axis=0), labels)


def test_equal_logits_go_to_the_smaller_label(steps):
    image, plan = (
        Image(np.zeros((1, 4, 5), np.float32), picture(4, 5), Path("a.png")),
        plan_of(4, 5),
    )
    logits = np.zeros((3, 4, 5), np.float32)
    logits[1:, 2:] = 1
    labels, probabilities = steps.restore(logits, image.geometry, plan)
    np.testing.assert_array_equal(labels, np.repeat([[0], [0], [1], [1]], 5, axis=1))
    np.testing.assert_array_equal(probabilities.argmax(axis=0), labels)
    assert (probabilities[1, 2:] > probabilities[2, 2:]).all()
