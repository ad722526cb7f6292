import numpy as np
import pytest
import torch

from lightm_unet.errors import UsageError
from lightm_unet.preprocessing.augmentation import STRENGTHS, build_augmentation
from lightm_unet.preprocessing.preprocessing import Preprocessing

FLAT = Preprocessing(spatial_dims=2, channels=1, size=(24, 20))
VOLUME = Preprocessing(spatial_dims=3, channels=2, size=(20, 22, 24))


def sample_of(preprocessing):
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(preprocessing.channels, *preprocessing.size, generator=generator)
    return {"image": image, "labels": (image[:1] > 0).to(torch.uint8)}


@pytest.mark.parametrize(
    ("preprocessing", "strength"),
    [(FLAT, strength) for strength in STRENGTHS]
    + [(VOLUME, strength) for strength in STRENGTHS if strength != "radiograph"],
)
def test_shapes_and_label_values_stay(preprocessing, strength):
    augment = build_augmentation(preprocessing, strength)
    for seed in range(6):
        augment.set_random_state(seed=seed)
        sample = sample_of(preprocessing)
        result = augment({key: value.clone() for key, value in sample.items()})
        for key in sample:
            assert result[key].shape == sample[key].shape
        assert set(torch.unique(result["labels"]).tolist()) <= {0, 1}
        assert torch.isfinite(result["image"]).all()


def test_effects_of_films_are_for_pictures():
    with pytest.raises(UsageError, match="for pictures"):
        build_augmentation(VOLUME, "radiograph")


def test_none_changes_nothing():
    sample = sample_of(FLAT)
    result = build_augmentation(FLAT, "none")({key: value.clone() for key, value in sample.items()})
    assert torch.equal(result["image"], sample["image"])


def test_the_seed_decides_and_the_default_changes_images():
    augment = build_augmentation(FLAT)
    results = []
    for seed in (1, 1, 2):
        augment.set_random_state(seed=seed)
        results.append(np.asarray(augment(sample_of(FLAT))["image"]))
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


@pytest.mark.parametrize("preprocessing", [FLAT, VOLUME])
def test_labels_move_with_the_image(preprocessing):
    """A bright block stays where its label is, whatever the geometry does."""
    augment = build_augmentation(preprocessing, "strong")
    image = torch.zeros(preprocessing.channels, *preprocessing.size)
    image[(slice(None), *(slice(3, 2 * length // 3) for length in preprocessing.size))] = 10
    for seed in range(12):
        augment.set_random_state(seed=seed)
        result = augment({"image": image.clone(), "labels": (image[:1] > 5).to(torch.uint8)})
        bright = np.asarray(result["image"])[0] > 5
        labelled = np.asarray(result["labels"])[0] > 0
        assert 2 * (bright & labelled).sum() > 0.75 * (bright.sum() + labelled.sum())


def test_default_mirrors_left_and_right_only():
    """Top and bottom never change places: the mean of a vertical ramp's halves tells."""
    augment = build_augmentation(FLAT)
    ramp = torch.linspace(0, 1, 24)[None, :, None].expand(1, 24, 20).contiguous()
    for seed in range(20):
        augment.set_random_state(seed=seed)
        image = np.asarray(augment({"image": ramp.clone(), "labels": ramp.clone()})["image"])[0]
        assert image[12:].mean() > image[:12].mean()


def test_an_unknown_strength_is_refused():
    with pytest.raises(UsageError, match="none, default, strong"):
        build_augmentation(FLAT, "mild")
