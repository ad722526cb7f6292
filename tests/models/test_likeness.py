"""An image unlike the training images is told from one like them."""

import math

import numpy as np
import pytest
import torch

from lightm_unet.models.likeness import FEWEST_CASES, TrainingProfile, fit_profile, measure
from lightm_unet.system.json_codec import from_json, to_json

NAMES = ("background", "disc")


def case(seed: int, dims: int = 2):
    """A bright disc near the middle on a noisy ground, and certain probabilities of it."""
    random = np.random.default_rng(seed)
    grid = np.indices((32,) * dims) - 16 - random.normal(0, 1, (dims,) + (1,) * dims)
    disc = np.square(grid).sum(axis=0) < random.uniform(7, 9) ** 2
    image = torch.tensor(random.normal(0, 0.3, disc.shape) + 2 * disc, dtype=torch.float32)
    return image[None], probabilities_of(disc)


def probabilities_of(inside, certainty=0.97):
    p = torch.where(torch.as_tensor(inside), certainty, 1 - certainty)
    return torch.stack([1 - p, p])


def profile(dims=2, cases=60):
    measured = [measure(*case(seed, dims), NAMES) for seed in range(cases + 20)]
    return fit_profile(measured[:cases], measured[cases:])


def wrong_images(dims):
    random = np.random.default_rng(1)
    shape = (32,) * dims
    empty = torch.zeros(shape, dtype=torch.bool)
    image, found = case(999, dims)
    return {
        "noise": (torch.tensor(random.normal(size=(1, *shape)), dtype=torch.float32), empty),
        "a constant": (torch.zeros(1, *shape), empty),
        "inverted": (-image, found[1] > 0.5),
        "shifted": (image.roll(12, 1), found[1].roll(12, 0) > 0.5),
        "nothing found": (image, empty),
        "everything found": (image, ~empty),
    }


@pytest.mark.parametrize("dims", [2, 3])
def test_wrong_images_are_told_and_right_ones_are_not(dims):
    usual = profile(dims)
    right = [usual.judge(measure(*case(seed, dims), NAMES)).unlike for seed in range(500, 600)]
    assert np.mean(right) < 0.1
    for name, (image, found) in wrong_images(dims).items():
        assert usual.judge(measure(image, probabilities_of(found), NAMES)).unlike, name


def test_the_judgement_names_the_feature_that_is_most_unusual():
    image, found = case(999)
    judged = profile().judge(measure(image, probabilities_of(found[1] > 0.5, 0.6), NAMES))
    assert judged.unlike
    assert judged.most_unusual in ("certainty of disc", "share of uncertain voxels")
    assert judged.score > judged.limit


def test_at_most_a_twentieth_of_the_validation_cases_is_above_the_limit():
    usual = profile()
    measured = [measure(*case(seed), NAMES) for seed in range(60, 80)]
    share = np.mean([usual.judge(each).unlike for each in measured])
    assert share == usual.false_alarms <= 0.05


def test_a_profile_survives_json():
    usual = profile()
    again = from_json(TrainingProfile, to_json(usual))
    assert again == usual


def test_few_cases_give_no_profile():
    measured = [measure(*case(seed), NAMES) for seed in range(FEWEST_CASES)]
    assert fit_profile(measured[:-1], []) is None
    assert fit_profile(measured, []) is not None


def test_features_worked_out_by_hand():
    """Stripes of 1 voxel, +1 and -1: all detail is at 1 voxel, and half is found."""
    image = torch.tensor([1.0, -1.0]).repeat(16).expand(1, 32, 32).contiguous()
    found = torch.zeros(32, 32, dtype=torch.bool)
    found[:16] = True
    features = measure(image, probabilities_of(found, 0.75), NAMES).features
    assert features["detail of 1 voxels"] == pytest.approx(math.log10(1024 / 1023), abs=1e-3)
    assert features["detail of 2 voxels"] == -6
    assert features["brightness (percentile 2)"] == -1
    assert features["share of disc"] == pytest.approx(math.log10(0.5001), abs=1e-4)
    assert features["certainty of disc"] == pytest.approx(0.75)
    assert features["share of uncertain voxels"] == pytest.approx(0, abs=1e-3)


def test_an_image_too_thin_for_every_scale_is_not_judged():
    image, probabilities = case(0)
    assert profile().judge(measure(image[:, :8], probabilities[:, :8], NAMES)) is None


def test_training_images_of_too_different_depth_teach_nothing():
    image, probabilities = case(0)
    cases = [measure(*case(seed), NAMES) for seed in range(30)]
    assert fit_profile(cases, cases) is not None
    assert fit_profile([*cases, measure(image[:, :8], probabilities[:, :8], NAMES)], cases) is None
