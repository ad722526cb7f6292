from pathlib import Path

import pytest
import torch

from lightm_unet.models.model_folder import ModelFolder
from lightm_unet.preprocessing.preprocessing import Preprocessing


class Midpoint(torch.nn.Module):
    """Foreground is what is brighter than halfway between the darkest and the brightest voxel.

    It looks at nothing but the voxel itself and the two extremes, so the mask it should give is
    known exactly. It notes the grids it was given.
    """

    def __init__(self):
        super().__init__()
        self.grids = []

    def forward(self, images):
        self.grids.append(tuple(images.shape[2:]))
        brightness = images[:, :1]
        brighter = brightness - self.midpoint(brightness)
        return torch.cat([-brighter, brighter], dim=1)

    def midpoint(self, brightness):
        return (brightness.amin() + brightness.amax()) / 2


class AboveZero(Midpoint):
    """Foreground is what is above 0 after normalisation, so that windows do not differ."""

    def midpoint(self, brightness):
        return 0.0


@pytest.fixture(scope="session")
def make_model():
    """A model with a network whose answer is known."""

    def make(network=None, **preprocessing):
        return ModelFolder(
            network=network or Midpoint(),
            preprocessing=Preprocessing(**{"channels": 1, **preprocessing}),
            label_names=("background", "bright"),
            label_colours=((0, 0, 0), (230, 159, 0)),
            card={},
            path=Path("models/bright"),
        )

    make.midpoint, make.above_zero = Midpoint, AboveZero
    return make
