"""LightM-UNet, and the networks it is compared with, by name."""

from lightm_unet.networks.lightm_unet import LightMUNet, LightMUNetOptions
from lightm_unet.networks.registry import build_network, network_names

__all__ = ["LightMUNet", "LightMUNetOptions", "build_network", "network_names"]
