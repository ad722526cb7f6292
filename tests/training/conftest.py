"""Tiny data sets and one finished run that the tests of `lightm_unet.training` start from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lightm_unet.datasets.dataset import write_dataset_json
from lightm_unet.datasets.phantom import write_phantom_dataset
from lightm_unet.imaging.picture import write_picture
from lightm_unet.training.train import TrainedRun, train

TINY = {"width": 4, "encoder_layers": (1,), "bottleneck_layers": 1}


@pytest.fixture(scope="session")
def xray(tmp_path_factory) -> Path:
    """Six X-ray phantoms of 32x32: four train, one validates; read only."""
    return write_phantom_dataset(tmp_path_factory.mktemp("x") / "xray", "xray", 6, 32).root


@pytest.fixture(scope="session")
def ct(tmp_path_factory) -> Path:
    """Six CT phantoms of about 32 voxels along each axis; read only."""
    return write_phantom_dataset(tmp_path_factory.mktemp("c") / "ct", "ct", 6, 32).root


@pytest.fixture
def squares(tmp_path) -> Path:
    """Pictures whose label is where they are bright: as easy as it gets."""
    root = tmp_path / "squares"
    for index in range(6):
        labels = np.zeros((24, 24), np.uint8)
        labels[4 + index : 14 + index, 8 - index : 20 - index] = 1
        write_picture(60 + 120 * labels, root / "imagesTr" / f"case_{index}_0000.png")
        write_picture(labels, root / "labelsTr" / f"case_{index}.png")
    write_dataset_json(
        root,
        name="Squares",
        channel_names=["brightness"],
        label_names=["background", "square"],
        training_cases=6,
        file_ending=".png",
    )
    return root


@pytest.fixture(scope="session")
def train_tiny() -> Callable[..., TrainedRun]:
    """`train`, with settings that take a fraction of a second."""
    usual = {
        "recipe": "released",
        "device": "cpu",
        "epochs": 4,
        "batch_size": 2,
        "learning_rate": 0.02,
        "network": TINY,
    }

    def train_(dataset: Path, output: Path, **settings) -> TrainedRun:
        if settings.get("resume"):
            return train(dataset, output, **settings)
        grid = {} if "patch" in settings else {"size": (24,)}
        return train(dataset, output, **(usual | grid | settings))

    return train_


@pytest.fixture(scope="session")
def finished(xray, train_tiny, tmp_path_factory) -> TrainedRun:
    """A run of four epochs that nothing has interrupted; read only."""
    return train_tiny(xray, tmp_path_factory.mktemp("runs") / "finished")


class Stopped(Exception):
    """Stands for whatever ends a run from outside."""


@pytest.fixture
def stop_in_epoch() -> Callable[..., Callable[[str], None]]:
    """A listener that raises when an epoch is about to end, before its checkpoint is written."""

    def make(epoch: int, error: BaseException | None = None) -> Callable[[str], None]:
        def hear(line: str) -> None:
            if line.startswith(f"epoch {epoch}/"):
                raise error or Stopped

        return hear

    make.error = Stopped
    return make
