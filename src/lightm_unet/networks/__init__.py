"""LightM-UNet, the networks it is compared with, and the counting of what any of them costs."""

from lightm_unet.networks.counting import NetworkCost, count_network
from lightm_unet.networks.lightm_unet import LightMUNet, LightMUNetOptions
from lightm_unet.networks.registry import build_network, network_names
from lightm_unet.networks.released_weights import load_released_weights

__all__ = [
    "LightMUNet",
    "LightMUNetOptions",
    "NetworkCost",
    "build_network",
    "count_network",
    "load_released_weights",
    "network_names",
]
