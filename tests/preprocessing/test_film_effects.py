"""Effects of other hospitals' films: what they change, and that labels follow."""

import numpy as np
import pytest
import torch

from lightm_unet.preprocessing.film_effects import (
    RandFilmEffect,
    collimate,
    expose,
    film_effects,
    invert,
    mark,
    show_a_part,
)

EFFECTS = [collimate, expose, invert, mark, show_a_part]


def sample():
    """A bright disc, labelled, on a noisy ground."""
    rows, columns = np.mgrid[:48, :64]
    disc = (rows - 24) ** 2 + (columns - 32) ** 2 < 15**2
    image = np.random.default_rng(0).normal(0, 0.3, disc.shape) + 2 * disc
    return {
        "image": torch.tensor(image[None], dtype=torch.float32),
        "labels": torch.tensor(disc[None], dtype=torch.uint8),
    }


def changed(effect, seed):
    return RandFilmEffect(effect, 1.0).set_random_state(seed=seed)(sample())


@pytest.mark.parametrize("effect", EFFECTS)
def test_an_effect_is_the_same_for_the_same_seed_and_keeps_form_and_input(effect):
    before = sample()
    given = sample()
    first = RandFilmEffect(effect, 1.0).set_random_state(seed=3)(given)
    again = changed(effect, 3)
    for key, value in before.items():
        assert torch.equal(given[key], value)
        assert torch.equal(first[key], again[key])
        assert (first[key].shape, first[key].dtype) == (value.shape, value.dtype)
    assert not torch.equal(first["image"], before["image"])
    assert torch.isfinite(first["image"]).all()


@pytest.mark.parametrize("effect", EFFECTS)
def test_no_probability_changes_nothing(effect):
    after = RandFilmEffect(effect, 0.0).set_random_state(seed=0)(sample())
    assert torch.equal(after["image"], sample()["image"])


@pytest.mark.parametrize("effect", [expose, invert, mark])
def test_what_does_not_move_or_hide_leaves_the_labels(effect):
    for seed in range(20):
        assert torch.equal(changed(effect, seed)["labels"], sample()["labels"])


def test_a_border_hides_image_and_labels_alike():
    for seed in range(50):
        after = changed(collimate, seed)
        hidden = (after["image"] != sample()["image"])[0]
        assert after["image"][0][hidden].unique().numel() <= 1
        assert not after["labels"][0][hidden].any()
        assert torch.equal(after["labels"][0][~hidden], sample()["labels"][0][~hidden])


def test_a_partial_view_enlarges_image_and_labels_alike():
    """Where the labels say disc, the picture is bright."""
    for seed in range(20):
        after = changed(show_a_part, seed)
        disc = after["labels"][0].bool()
        assert after["image"][0][disc].mean() > after["image"][0][~disc].mean() + 1.5
        assert disc.float().mean() > 1.02 * sample()["labels"].float().mean()


def test_an_overexposed_film_has_fewer_levels_but_the_same_order():
    after = changed(expose, 1)["image"].flatten()
    before = sample()["image"].flatten()
    assert after.unique().numel() < before.unique().numel()
    assert (after[before.argsort()].diff() >= 0).all()


def test_every_effect_is_part_of_the_augmentation():
    assert {transform.effect for transform in film_effects()} == set(EFFECTS)
