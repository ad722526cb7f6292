"""LightM-UNet: light 2D and 3D medical image segmentation with Mamba layers.

Names are imported on first use, so that `import lightm_unet` is fast and needs
neither a GPU nor a compiler.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_HOME = {
    "LightMUNet": "networks.lightm_unet",
    "LightMUNetOptions": "networks.lightm_unet",
    "NetworkCost": "costs.counting",
    "NetworkSpec": "networks.spec",
    "build_network": "networks.registry",
    "count_network": "costs.counting",
    "load_released_weights": "networks.peers.released_weights",
    "network_names": "networks.registry",
    "register_network": "networks.registry",
    "SegmentationNetwork": "networks.base",
    "selective_scan": "ops",
    "causal_conv1d": "ops",
    "gated_norm": "ops",
    "release_memory": "ops",
    "backends": "ops",
    "doctor": "diagnosis",
    "bench": "benchmark.bench",
    "count_networks": "costs.count",
    "count_paper": "costs.count",
    "import_dataset": "datasets.importers",
    "check_dataset": "datasets.check",
    "write_phantom_dataset": "datasets.phantom",
    "train": "training.train",
    "load_model": "models.model_folder",
    "predict": "inference.predict",
    "evaluate": "evaluation.evaluate",
    "compare": "comparison.compare",
}

__all__ = [
    "LightMUNet",
    "LightMUNetOptions",
    "NetworkCost",
    "NetworkSpec",
    "SegmentationNetwork",
    "backends",
    "bench",
    "build_network",
    "causal_conv1d",
    "check_dataset",
    "compare",
    "count_network",
    "count_networks",
    "count_paper",
    "doctor",
    "evaluate",
    "gated_norm",
    "import_dataset",
    "load_model",
    "load_released_weights",
    "network_names",
    "predict",
    "register_network",
    "release_memory",
    "selective_scan",
    "train",
    "write_phantom_dataset",
]

try:
    __version__ = version("lightm-unet")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lightm_unet' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"lightm_unet.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
