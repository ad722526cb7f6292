"""Model folders of small random networks."""

from __future__ import annotations

from pathlib import Path

import torch

from lightm_unet.models.model_folder import save_model
from lightm_unet.networks.lightm_unet import LightMUNet
from lightm_unet.preprocessing.preprocessing import Preprocessing

SMALL = {"width": 5, "encoder_layers": (1, 2), "bottleneck_layers": 2, "d_state": 3}
"""Options of a network that is small and odd."""


def random_network(spatial_dims: int = 2, channels: int = 2, labels: int = 3, **options):
    """A LightM-UNet in evaluation mode whose every number is random, norms' statistics included."""
    torch.manual_seed(0)
    network = LightMUNet(spatial_dims, channels, labels, **{**SMALL, **options}).eval()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif tensor.dim() == 1 or name.endswith("running_mean"):
                tensor.add_(0.3 * torch.randn_like(tensor)) if tensor.is_floating_point() else None
    return network


def write_model(folder: Path, network, **preprocessing) -> Path:
    """Its model folder, for whole images of 16 voxels along each axis unless told otherwise."""
    dims = network.spatial_dims
    names = ("background", *(f"label {value}" for value in range(1, network.out_channels)))
    grid = {} if "roi_size" in preprocessing else {"size": (16,) * dims}
    made = Preprocessing(dims, network.in_channels, **{**grid, **preprocessing})
    channels = tuple(f"channel {index}" for index in range(network.in_channels))
    save_model(folder, network, made, names, channels, {}, {})
    return folder
