"""The models of a server: loaded once, run once to know what they need, and described."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from lightm_unet.errors import UsageError
from lightm_unet.models.logits import compute_logits
from lightm_unet.models.model_folder import WEIGHTS, ModelFolder, load_model
from lightm_unet.ops.memory import release_memory
from lightm_unet.system.files import file_digest
from lightm_unet.system.memory import forget_peak, peak_bytes, resident_bytes

BYTES_FOR_A_VALUE = 48
"""Memory for each value of an image on its way to a mask, its file's bytes included."""
BYTES_FOR_A_LABEL = 12
"""And for each of the model's labels: logits, those of the windows, and resized ones. With two
labels that makes 72; measured were 36 to 62, from 8 bits to 64, whole and by windows."""
_FEWEST_VALUES = 1_000_000


@dataclass(frozen=True)
class ServedModel:
    """A model that is ready to run."""

    name: str
    folder: ModelFolder
    sha256: str
    """Of its weights."""
    network_bytes: int
    """Memory of one pass of the network."""
    most_values: int
    """Pixels or voxels times channels of the largest image that it takes here."""

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the image's channels; numbers where the card has none."""
        names = self.folder.card.get("channels")
        count = self.folder.preprocessing.channels
        if isinstance(names, list) and len(names) == count:
            return tuple(map(str, names))
        return tuple(f"channel {number}" for number in range(count))

    def describe(self) -> dict[str, Any]:
        """What `GET /v1/models` says of it."""
        preprocessing = self.folder.preprocessing
        about = self.folder.card.get("about")
        about = about if isinstance(about, dict) else {}
        pairs = zip(self.folder.label_names, self.folder.label_colours, strict=True)
        readme = self.folder.path / "README.md"
        return {
            "name": self.name,
            "purpose": about.get("purpose"),
            "spatial_dims": preprocessing.spatial_dims,
            "channels": list(self.channels),
            "labels": [
                {"value": value, "name": name, "colour": colour.css}
                for value, (name, colour) in enumerate(pairs)
            ],
            "parameters": sum(p.numel() for p in self.folder.network.parameters()),
            "sha256": self.sha256,
            "tells_unlike_images": self.folder.profile is not None,
            "most_values": self.most_values,
            "scores": self.folder.card.get("scores"),
            "training": self.folder.card.get("training"),
            "card": readme.read_text(encoding="utf-8") if readme.is_file() else None,
        }


def load_served_models(
    paths: Iterable[str | os.PathLike[str]], device: torch.device, memory_bytes: int
) -> dict[str, ServedModel]:
    """Load models and run each once.

    Args:
        paths: names of the package's models, and folders.
        device: that runs them.
        memory_bytes: for the work of one worker.

    Returns:
        Each by its name, which for a folder is the folder's.

    Raises:
        UsageError: no model, none at a path, two of one name, or one that needs more memory.
        DataError: a folder is damaged.
    """
    loaded: dict[str, ServedModel] = {}
    for path in paths:
        model = _load(path, device, memory_bytes)
        if model.name in loaded:
            raise UsageError(
                f"two models are called {model.name}: {loaded[model.name].folder.path} and "
                f"{model.folder.path}; rename the folder of one"
            )
        loaded[model.name] = model
    if not loaded:
        raise UsageError("serve needs at least one model")
    return loaded


def _load(path: str | os.PathLike[str], device: torch.device, memory_bytes: int) -> ServedModel:
    folder = load_model(path)
    named = folder.path.parent if folder.path.name == "model" else folder.path
    network_bytes = _warm_up(folder, device)
    labels = len(folder.label_names)
    left = memory_bytes - network_bytes
    most = left // (BYTES_FOR_A_VALUE + BYTES_FOR_A_LABEL * labels)
    if most < _FEWEST_VALUES:
        raise UsageError(
            f"{path}: its network needs {network_bytes / 1e9:.1f} GB for each worker, of "
            f"{memory_bytes / 1e9:.1f}; set a larger memory_gb or fewer workers"
        )
    digest = file_digest(folder.path / WEIGHTS)
    return ServedModel(named.resolve().name, folder, digest, network_bytes, most)


@torch.inference_mode()
def _warm_up(folder: ModelFolder, device: torch.device) -> int:
    """Run the network once, so that the first request is not slower; returns bytes it took."""
    preprocessing = folder.preprocessing
    grid = preprocessing.size or preprocessing.roi_size
    assert grid is not None  # a `Preprocessing` has one of the two
    release_memory()
    forget_peak()
    before = resident_bytes()
    images = torch.zeros(1, preprocessing.channels, *grid, device=device)
    compute_logits(folder.network.to(device).eval(), images, preprocessing)
    return max(0, peak_bytes() - before)
