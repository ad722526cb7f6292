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


@pytest.mark.parametrize("axis", ["left-right", "up-down"])
def test_a_picture_is_mirrored_along_the_named_axis_only(axis):
    """Of a ramp the halves' means tell which way it rises."""
    augment = build_augmentation(FLAT, mirror_axes=[axis])
    rises = {"left-right": 0, "up-down": 0}
    for seed in range(20):
        for ramp_axis, line in (("left-right", [1, 20]), ("up-down", [24, 1])):
            ramp = torch.linspace(0, 1, max(line)).reshape(1, *line).expand(1, 24, 20).contiguous()
            augment.set_random_state(seed=seed)
            image = np.asarray(augment({"image": ramp.clone(), "labels": ramp.clone()})["image"])[0]
            first, second = np.array_split(image, 2, axis=1 if line[0] == 1 else 0)
            rises[ramp_axis] += second.mean() > first.mean()
    (other,) = set(rises) - {axis}
    assert rises[other] == 20
    assert 5 < rises[axis] < 15


@pytest.mark.parametrize(
    ("axis", "place"), [("left-right", 1), ("front-back", 2), ("head-foot", 3)]
)
def test_a_volume_is_mirrored_along_the_named_axis_only(axis, place):
    augment = build_augmentation(VOLUME, mirror_axes=[axis])
    ramps = torch.stack(torch.meshgrid(*map(torch.arange, VOLUME.size), indexing="ij")).float()
    rises = np.zeros(3)
    for seed in range(20):
        augment.set_random_state(seed=seed)
        image = np.asarray(
            augment({"image": ramps[:2].clone(), "labels": ramps[2:].clone()})["image"]
        )
        moved = np.asarray(
            augment.set_random_state(seed=seed)(
                {"image": ramps[1:].clone(), "labels": ramps[:1].clone()}
            )["image"]
        )
        for ramp, channel in enumerate((image[0], image[1], moved[1])):
            first, second = np.array_split(channel, 2, axis=ramp)
            rises[ramp] += second.mean() > first.mean()
    assert 5 < rises[place - 1] < 15
    assert (np.delete(rises, place - 1) == 20).all()


def test_an_unknown_strength_is_refused():
    with pytest.raises(UsageError, match="none, default, strong"):
        build_augmentation(FLAT, "mild")
