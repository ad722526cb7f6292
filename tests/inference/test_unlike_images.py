"""Images unlike the training images are told, and refused on request."""

import json
from dataclasses import replace

import numpy as np
import pytest

from lightm_unet.errors import DataError
from lightm_unet.imaging.image import read_image
from lightm_unet.imaging.nifti import write_nifti
from lightm_unet.imaging.picture import write_picture
from lightm_unet.inference.predict import predict
from lightm_unet.models.likeness import fit_profile, measure
from lightm_unet.models.predict_image import image_logits


def disc(seed):
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:48, :48] - 24 + random.normal(0, 1, (2, 1, 1))
    bright = rows**2 + columns**2 < random.uniform(11, 13) ** 2
    return (60 + 120 * bright + random.normal(0, 5, bright.shape)).clip(0, 255).astype(np.uint8)


def profile_of(model, paths):
    cases, extents = [], []
    for path in paths:
        logits = image_logits(model, read_image(path))
        probabilities = logits.logits.softmax(dim=0)
        cases.append(measure(logits.image, probabilities, model.label_names))
        extents.append(logits.record.extent_mm)
    return fit_profile(cases, [], extents if model.preprocessing.spatial_dims == 3 else ())


@pytest.fixture
def model(make_model, tmp_path):
    """Trained, as it were, on forty pictures of a bright disc."""
    plain = make_model(spatial_dims=2, size=(32, 32))
    paths = [tmp_path / "discs" / f"{seed}.png" for seed in range(40)]
    for seed, path in enumerate(paths):
        write_picture(disc(seed), path)
    return replace(plain, profile=profile_of(plain, paths))


@pytest.fixture
def images(tmp_path):
    """Another disc, and noise."""
    write_picture(disc(99), tmp_path / "in" / "disc.png")
    noise = np.random.default_rng(0).integers(0, 255, (48, 48))
    write_picture(noise, tmp_path / "in" / "noise.png")
    return tmp_path / "in"


def test_an_unlike_image_is_segmented_with_a_line_that_says_so(model, images, tmp_path, listen):
    said = []
    with listen(said.append):
        like, unlike = predict(model, images, tmp_path / "out")
    assert like.warnings == ()
    assert len(said) == len(unlike.warnings) == 1
    assert "noise.png: unlike the images that the model was trained on (score " in said[0]
    assert (tmp_path / "out" / "noise.png").exists()
    cases = json.loads((tmp_path / "out" / "prediction.json").read_text())["cases"]
    assert [len(case["warnings"]) for case in cases] == [0, 1]


def test_strict_refuses_it(model, images, tmp_path):
    like, unlike = predict(model, images, tmp_path / "out", strict=True)
    assert like.error is None
    assert "noise.png: found an image unlike the images" in unlike.error
    assert not (tmp_path / "out" / "noise.png").exists()


def test_an_image_in_memory_is_told_too(model, listen):
    said = []
    with listen(said.append):
        model.predict(disc(99), device="cpu")
        model.predict(np.random.default_rng(0).random((48, 48)), device="cpu")
    assert len(said) == 1
    assert said[0].startswith("image in memory: unlike the images")


def test_a_volume_far_larger_than_the_training_volumes_is_refused(make_model, tmp_path):
    """Trained on crops of 12 mm: 18 mm are within one and a half times that, 19 mm are not."""
    plain = make_model(spatial_dims=3, size=(8, 8, 8))
    random = np.random.default_rng(0)

    def volume(length):
        path = tmp_path / f"{length}.nii.gz"
        write_nifti(random.random((length, 12, 12), np.float32), np.eye(4), path)
        return path

    profile = profile_of(plain, [volume(12) for _ in range(20)])
    assert profile.longest_mm == (12, 12, 12)
    model = replace(plain, profile=profile)
    predict(model, volume(18), tmp_path / "out")
    with pytest.raises(DataError, match=r"a volume of 19 x 12 x 12 mm; expected at most 1.5 times"):
        predict(model, volume(19), tmp_path / "out")
