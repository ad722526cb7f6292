"""A finished run stores what its training images usually look like."""

import numpy as np
import pytest

from lightm_unet.datasets.dataset import write_dataset_json
from lightm_unet.imaging.picture import write_picture
from lightm_unet.inference.predict import predict
from lightm_unet.models.likeness import FEWEST_CASES
from lightm_unet.models.model_folder import load_model


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    """Forty pictures of a bright disc, of which 28 train."""
    root = tmp_path_factory.mktemp("data") / "discs"
    random = np.random.default_rng(0)
    for index in range(40):
        rows, columns = np.mgrid[:24, :24] - 12 + random.normal(0, 1, (2, 1, 1))
        labels = (rows**2 + columns**2 < 36).astype(np.uint8)
        image = (60 + 120 * labels + random.normal(0, 5, labels.shape)).astype(np.uint8)
        write_picture(image, root / "imagesTr" / f"case_{index:02}_0000.png")
        write_picture(labels, root / "labelsTr" / f"case_{index:02}.png")
    write_dataset_json(
        root,
        name="Discs",
        channel_names=["brightness"],
        label_names=["background", "disc"],
        training_cases=40,
        file_ending=".png",
    )
    return root


def test_a_finished_run_knows_its_training_images(discs, train_tiny, tmp_path, listen):
    run = train_tiny(discs, tmp_path / "run", epochs=1, augmentation="radiograph")
    profile = load_model(run.folder).profile
    assert profile.training_cases == 28 >= FEWEST_CASES
    assert profile.longest_mm is None
    assert profile.false_alarms <= 0.05
    noise = np.random.default_rng(1).integers(0, 255, (24, 24))
    write_picture(noise, tmp_path / "noise.png")
    (result,) = predict(run.folder, tmp_path / "noise.png", tmp_path / "out", device="cpu")
    assert len(result.warnings) == 1

    said = []
    with listen(said.append):
        train_tiny(discs, run.folder, resume=True)
    assert not any("saved again" in line for line in said)
    assert load_model(run.folder).profile == profile


def test_few_cases_leave_the_model_without_a_profile(finished):
    assert load_model(finished.model).profile is None


def test_the_network_of_the_text_starts_with_its_variance_kept(discs, train_tiny, tmp_path):
    """By the recipe that says so; the head keeps torch's weights."""
    weights = {}
    for recipe in ("released", "adamw"):
        run = train_tiny(
            discs,
            tmp_path / recipe,
            epochs=1,
            recipe=recipe,
            learning_rate=1e-12,
            augmentation="none",
        )
        weights[recipe] = load_model(run.folder).network.state_dict()
    changed = [
        name
        for name, tensor in weights["adamw"].items()
        if not tensor.allclose(weights["released"][name], atol=1e-6)
    ]
    assert any("projection" in name for name in changed)
    assert not any(name.startswith("head") for name in changed)
