"""LightM-UNet, and the counting of any network's parameters and operations."""

from lightm_unet.networks.counting import NetworkCost, count_network
from lightm_unet.networks.lightm_unet import LightMUNet, LightMUNetOptions

__all__ = ["LightMUNet", "LightMUNetOptions", "NetworkCost", "count_network"]
