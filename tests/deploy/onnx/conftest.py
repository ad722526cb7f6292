"""Models small enough to be exported in a test."""

import pytest
import torch

from lightm_unet.models.model_folder import save_model
from lightm_unet.networks.registry import build_network
from lightm_unet.preprocessing.preprocessing import Preprocessing

SMALL = "lightm-unet:width=4:encoder_layers=[1]:bottleneck_layers=1"


@pytest.fixture
def make_model(tmp_path):
    """A function that writes a model with random weights; gives its folder."""

    def make(network=SMALL, **preprocessing):
        settings = {"spatial_dims": 2, "channels": 1, **preprocessing}
        if "roi_size" not in settings:
            settings.setdefault("size", (16, 16) if settings["spatial_dims"] == 2 else (8, 8, 8))
        torch.manual_seed(1)
        built = build_network(
            network,
            settings["spatial_dims"],
            settings["channels"],
            2,
            image_size=settings.get("size") or settings["roi_size"],
        )
        folder = tmp_path / "model"
        channels = tuple(f"channel {number}" for number in range(settings["channels"]))
        save_model(
            folder, built, Preprocessing(**settings), ("background", "lung"), channels, {}, {}
        )
        return folder

    return make
