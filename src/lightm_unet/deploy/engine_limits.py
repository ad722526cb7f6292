"""Which models run without torch: by csrc/model, in the browser and behind the C interface.

csrc/model/description.cpp and network_weights.cpp refuse the same; here a model is refused before
anything is written for it.
"""

from __future__ import annotations

import json
from typing import Any

from lightm_unet.errors import UsageError
from lightm_unet.models.model_folder import WEIGHTS, ModelFolder
from lightm_unet.preprocessing.preprocessing import NORMALIZATIONS
from lightm_unet.system.files import read_bytes

NETWORKS = ("lightm-unet", "lightm-unet-small", "lightm-unet-tiny", "lightm-unet-nano")
NUMBERS = ("F32", "F16", "BF16")
"""safetensors' names of the numbers that weights may be."""


def refuse_unless_runs(model: ModelFolder) -> None:
    """Refuse a sound model that the engine cannot run.

    Raises:
        UsageError: the network is another one, or was built with options that the engine lacks.
    """
    network = model.card["network"]
    name, options = network["name"], network["options"]
    if name not in NETWORKS:
        raise UsageError(
            f"{model.path}: the network is {name}, and the browser runs LightM-UNets only; use "
            "--format onnx, or `lightm-unet serve`"
        )
    for option, usual in (("conv", "causal"), ("directions", 1)):
        if (found := options.get(option, usual)) != usual:
            raise UsageError(
                f"{model.path}: the network has {option}={found}, and the browser runs "
                f"{option}={usual} only; use --format onnx, or `lightm-unet serve`"
            )
    preparation = model.preprocessing
    if preparation.normalization not in NORMALIZATIONS or preparation.flat_axes == "file":
        raise UsageError(
            f"{model.path}: images are prepared as nnU-Net does "
            f"({preparation.normalization}, axes {preparation.flat_axes}), which the browser "
            "cannot; use --format onnx, or `lightm-unet serve`"
        )
    if others := sorted(_kinds_of_numbers(read_bytes(model.path / WEIGHTS)) - {*NUMBERS, "I64"}):
        raise UsageError(
            f"{model.path}: the weights are {', '.join(others)}, and the browser reads "
            f"{', '.join(NUMBERS)}; save them as one of these"
        )


def _kinds_of_numbers(weights: bytes) -> set[str]:
    """Of a safetensors file: its header is JSON, behind its length."""
    length = int.from_bytes(weights[:8], "little")
    header: dict[str, Any] = json.loads(weights[8 : 8 + length])
    return {entry["dtype"] for name, entry in header.items() if name != "__metadata__"}
