"""LightM-UNet, and the networks it is compared with, by name.

Names are imported when they are first used: what only speaks of networks (a spec, an image size)
does not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "LightMUNet": "lightm_unet",
    "LightMUNetOptions": "lightm_unet",
    "NetworkSpec": "spec",
    "build_network": "registry",
    "network_names": "registry",
}

__all__ = ["LightMUNet", "LightMUNetOptions", "NetworkSpec", "build_network", "network_names"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lightm_unet.networks' has no attribute {name!r}")
    return getattr(importlib.import_module(f"lightm_unet.networks.{_HOME[name]}"), name)
