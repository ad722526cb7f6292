"""The same cases on a Ray cluster of this machine give the same masks."""

import os

import numpy as np
import pytest

from lightm_unet.errors import UsageError
from lightm_unet.imaging.picture import write_picture
from lightm_unet.inference.predict import predict
from lightm_unet.models.model_folder import load_model
from small_models import random_network, write_model

NAMES = [f"{number:02}" for number in range(8)]


@pytest.fixture
def model(tmp_path):
    return load_model(write_model(tmp_path / "model", random_network(channels=1)))


@pytest.fixture
def images(tmp_path):
    numbers = np.random.default_rng(0)
    for name in NAMES:
        path = tmp_path / "in" / f"{name}.png"
        write_picture(numbers.integers(0, 255, (16, 16), np.uint8), path)
    (tmp_path / "in" / "03.png").write_bytes(b"no picture")
    return tmp_path / "in"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray warns of its own future
def test_masks_are_the_same(model, images, tmp_path):
    pytest.importorskip("ray")
    predict(model, images, tmp_path / "local", device="cpu")
    results = predict(model, images, tmp_path / "ray", device="cpu", engine="ray", ray_workers=1)
    assert [result.name for result in results] == NAMES
    assert [result.name for result in results if result.error] == ["03"]
    for name in NAMES:
        one, other = (tmp_path / folder / f"{name}.png" for folder in ("local", "ray"))
        assert one.exists() == other.exists() == (name != "03")
        assert not one.exists() or one.read_bytes() == other.read_bytes()


def test_a_model_that_is_not_in_files_is_refused(make_model, images, tmp_path):
    pytest.importorskip("ray")
    with pytest.raises(UsageError, match="models in folders"):
        predict(
            make_model(spatial_dims=2, size=(16, 16)),
            images,
            tmp_path / "out",
            device="cpu",
            engine="ray",
        )
    assert not os.path.exists(tmp_path / "out")
