"""What a mask depends on, as one hash: the image's files, the models and the settings."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from lightm_unet.inference.cases import InputCase
from lightm_unet.inference.settings import PredictSettings
from lightm_unet.models.model_folder import ModelFolder
from lightm_unet.system.files import file_digest
from lightm_unet.system.records import digest

_CHANGE_NOTHING = (
    *("device", "ensemble", "report", "keep_ids", "series", "manifest", "shard"),
    *("isolate", "engine", "ray_address", "ray_workers"),
)
"""Settings that no file of a case depends on but through its files and the models' weights."""


def settings_key(models: Sequence[ModelFolder], settings: PredictSettings) -> str:
    """The hash of models and settings; empty where a model does not say which weights it has."""
    if not all(model.weights_hash for model in models):
        return ""
    chosen: dict[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(settings).items()
        if name not in _CHANGE_NOTHING
    }
    cards = [
        {name: model.card.get(name) for name in ("weights", "preprocessing", "labels")}
        for model in models
    ]
    return digest({"settings": chosen, "models": cards})


def case_key(case: InputCase, settings: str) -> str:
    """The hash of a case's files and of what is done with them.

    Args:
        case: one with an image.
        settings: from `settings_key`.

    Raises:
        DataError: a file cannot be read.
    """
    whole = hashlib.sha256(settings.encode())
    if case.dicom:
        for file in case.dicom:
            own = hashlib.sha256()
            with file.open() as stream:
                while block := stream.read(1 << 20):
                    own.update(block)
            whole.update(own.digest())
    else:
        for path in case.files:
            whole.update(bytes.fromhex(file_digest(path)))
    return whole.hexdigest()
