"""A model on disk: model.safetensors and model.json. Everything that runs a model reads only this.

model.json holds the network's name and options, the preprocessing, the labels with their colours,
what it was trained on, by which recipe, and with which scores. Loading executes nothing from the
folder: safetensors holds numbers only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from lightm_unet import __version__
from lightm_unet.errors import DataError, UsageError
from lightm_unet.networks.registry import TO_REGISTER, build_network, network_names
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.reporting.palette import Colour, label_colour, read_colour
from lightm_unet.system.files import write_bytes
from lightm_unet.system.json_codec import from_json, to_json
from lightm_unet.system.records import read_record, write_record

WEIGHTS, CARD = "model.safetensors", "model.json"


@dataclass(frozen=True)
class ModelFolder:
    """A trained network with everything that is needed to use it."""

    network: torch.nn.Module
    """In evaluation mode, on the CPU."""
    preprocessing: Preprocessing
    """From an image to the network's input."""
    label_names: tuple[str, ...]
    """The index is the label's value; the first is the background."""
    label_colours: tuple[Colour, ...]
    """Colour of each label in pictures."""
    card: dict[str, Any]
    """All of model.json but its format."""
    path: Path
    """The folder."""


def save_model(
    folder: Path,
    network: torch.nn.Module,
    preprocessing: Preprocessing,
    label_names: tuple[str, ...],
    channel_names: tuple[str, ...],
    training: dict[str, Any],
    scores: dict[str, Any],
) -> None:
    """Write a model folder; each of its files is replaced in one step.

    Args:
        folder: made where missing.
        network: built by `build_network`; its `config` and weights are stored.
        preprocessing: what it was trained with.
        label_names: the index is the label's value.
        channel_names: of the images, in order.
        training: data set, recipe and settings, JSON-able.
        scores: measured on validation cases, JSON-able.
    """
    weights = {
        name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()
    }
    write_bytes(save(weights, metadata={"format": "pt"}), folder / WEIGHTS)
    options = dict(cast("dict[str, Any]", network.config))
    name = options.pop("name")
    card = {
        "lightm_unet": __version__,
        "network": {"name": name, "options": options},
        "preprocessing": to_json(preprocessing),
        "channels": list(channel_names),
        "labels": [
            {"value": value, "name": name, "colour": list(label_colour(value))}
            for value, name in enumerate(label_names)
        ],
        "training": training,
        "scores": scores,
    }
    write_record(card, folder / CARD)


def load_model(path: Path | str) -> ModelFolder:
    """Load a model folder, or the model of a training run.

    Args:
        path: a folder with model.json, or one with model/model.json.

    Raises:
        UsageError: no model is there.
        DataError: the folder is damaged, or of a format that this version does not know.
    """
    folder = find_model(path)
    card = read_record(folder / CARD)
    try:
        network = _build_network(card["network"], folder / CARD)
        preprocessing = from_json(Preprocessing, card["preprocessing"])
        names = tuple(str(label["name"]) for label in card["labels"])
        colours = tuple(read_colour(label["colour"]) for label in card["labels"])
        of_network = (network.spatial_dims, network.in_channels, network.out_channels)
        if of_network != (preprocessing.spatial_dims, preprocessing.channels, len(names)):
            raise UsageError("network, preprocessing and labels do not fit together")
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise DataError(
            folder / CARD,
            f"a description that cannot be used ({error})",
            "a file written by `lightm-unet train`",
            "train the model again, or copy the whole folder again",
        ) from error
    _load_weights(network, folder / WEIGHTS)
    return ModelFolder(network.eval(), preprocessing, names, colours, card, folder)


def find_model(path: Path | str) -> Path:
    """The folder that holds model.json: `path` itself, or model/ in it.

    Raises:
        UsageError: neither does.
    """
    path = Path(path)
    for folder in (path, path / "model"):
        if (folder / CARD).is_file():
            return folder
    raise UsageError(
        f"{path}: no {CARD} here or in {path / 'model'}; expected a model folder or the folder of "
        "a training run that has finished its first epoch"
    )


def _build_network(description: dict[str, Any], path: Path) -> torch.nn.Module:
    """The network without values: a damaged card may describe one larger than the memory."""
    if (name := description["name"]) not in network_names():
        known = f"one of {', '.join(network_names())}"
        raise DataError(path, f"a network called {name!r}", known, TO_REGISTER)
    with torch.device("meta"):
        return build_network(description["name"], **description["options"])


def _load_weights(network: torch.nn.Module, path: Path) -> None:
    advice = "copy the whole model folder again, or train the model again"
    try:
        weights = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise DataError(path, f"unreadable weights ({error})", "safetensors", advice) from error
    expected = network.state_dict()
    for name in [*expected, *weights]:
        found = tuple(weights[name].shape) if name in weights else "nothing"
        wanted = tuple(expected[name].shape) if name in expected else "nothing"
        if found != wanted:
            raise DataError(path, f"{found} for {name}", f"{wanted}", advice)
    network.to_empty(device="cpu").load_state_dict(weights)
