"""A trained model of nnU-Net's folder to a model folder, and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightm_unet.deploy.nnunet.checkpoint import own_weights, read_checkpoint, write_checkpoint
from lightm_unet.deploy.nnunet.network import CLASS_NAME, PREFIX, full_resolution_twice
from lightm_unet.deploy.nnunet.plans import file_axes, is_ours, read_plans, resolve
from lightm_unet.deploy.nnunet.preparation import from_preprocessing, to_preprocessing
from lightm_unet.errors import DataError, UsageError
from lightm_unet.models.model_folder import load_model, save_model
from lightm_unet.networks.registry import build_network
from lightm_unet.system.files import new_folder, read_json, write_json
from lightm_unet.system.json_codec import to_json

STOCK = "nnUNetTrainerNoDeepSupervision"
"""nnU-Net's own trainer that builds our networks, so that the folder needs none of ours."""
CONFIGURATION, FOLD = "exported", "fold_0"
_ADVICE = "give the folder TRAINER__PLANS__CONFIGURATION that nnU-Net trained, and copy it whole"


def import_model(
    trained: str | os.PathLike[str],
    output: str | os.PathLike[str],
    fold: str | None = None,
    checkpoint: str = "checkpoint_final.pth",
) -> Path:
    """Make a model folder of what nnU-Net has trained with one of our networks.

    Nothing in the checkpoint is executed.

    Args:
        trained: nnU-Net's folder TRAINER__PLANS__CONFIGURATION.
        output: the model folder, new or empty.
        fold: which one, such as 0 or all; it can be left out where there is only one.
        checkpoint: name of its file in the fold.

    Returns:
        The model folder.

    Raises:
        UsageError: the network is not one of ours, there is no such fold, or the preparation of the
            images or the labels have no form here; what is named.
        DataError: a file is missing, damaged, or holds more than tensors, numbers and texts.
    """
    folder = Path(trained)
    plans = read_plans(folder / "plans.json")
    dataset = read_json(folder / "dataset.json")
    weights_file = _fold(folder, fold, checkpoint) / checkpoint
    content = read_checkpoint(weights_file)
    name = content["init_args"].get("configuration")
    if name not in plans["configurations"]:
        expected = f"one of {', '.join(plans['configurations'])}"
        raise DataError(weights_file, f"the configuration {name!r:.60}", expected, _ADVICE)
    configuration = resolve(plans, name, folder / "plans.json")
    if not is_ours(configuration):
        class_name = configuration["architecture"]["network_class_name"]
        raise UsageError(
            f"{folder}: the network is {class_name}, none of ours; `lightm-unet nnunet plans` adds "
            "a configuration with one"
        )
    channels = list(map(str, _entries(dataset, "channel_names", folder).values()))
    labels = _labels(_entries(dataset, "labels", folder), folder)
    fingerprint = folder / "dataset_fingerprint.json"
    preprocessing = to_preprocessing(
        plans,
        configuration,
        len(channels),
        read_json(fingerprint) if fingerprint.is_file() else None,
        folder / "plans.json",
    )
    arguments = configuration["architecture"]["arch_kwargs"]
    if not isinstance(arguments.get("network"), str) or not isinstance(
        arguments.get("options"), dict
    ):
        path = folder / "plans.json"
        raise DataError(path, "no network with its options", "them in arch_kwargs", _ADVICE)
    network = build_network(
        arguments["network"],
        preprocessing.spatial_dims,
        len(channels),
        len(labels),
        **arguments["options"],
    )
    try:
        network.load_state_dict(own_weights(content, weights_file))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(weights_file, f"other weights ({reason})", "the plans'", _ADVICE) from error
    training = {
        "program": "nnU-Net",
        "dataset": plans.get("dataset_name"),
        "trainer": content["trainer_name"],
        "configuration": name,
        "fold": weights_file.parent.name.removeprefix("fold_"),
        "mirror_axes": to_json(content.get("inference_allowed_mirroring_axes")),
        "file_ending": dataset.get("file_ending"),
    }
    with new_folder(Path(output)) as made:
        save_model(
            made, network.eval(), preprocessing, tuple(labels), tuple(channels), training, {}
        )
    return Path(output)


def export_model(model: str | os.PathLike[str], output: str | os.PathLike[str]) -> Path:
    """Make a folder that nnU-Net predicts with of a model that it has trained.

    `nnUNetv2_predict_from_modelfolder -m OUTPUT -f 0` takes it.

    Args:
        model: a model folder.
        output: the folder to make, new or empty.

    Returns:
        That folder.

    Raises:
        UsageError: no model is there, or nnU-Net has no form for its images' preparation.
        DataError: the model's folder is damaged.
    """
    folder = load_model(model)
    training = folder.card.get("training") or {}
    dims = folder.preprocessing.spatial_dims
    axes = file_axes((0, 1, 2), dims)
    plans, configuration = from_preprocessing(folder.preprocessing, axes, folder.path)
    described = folder.card["network"]
    given_otherwise = ("spatial_dims", "in_channels", "out_channels")
    options = {
        option: value
        for option, value in described["options"].items()
        if option not in given_otherwise
    }
    configuration["architecture"] = {
        "network_class_name": CLASS_NAME,
        "arch_kwargs": {
            "network": described["name"],
            "options": options,
            "axes": axes,
            "strides": full_resolution_twice(dims),
        },
        "_kw_requires_import": [],
    }
    name = training.get("dataset") or "Dataset000_Exported"
    plans |= {"dataset_name": name, "plans_name": "nnUNetPlans"}
    configuration["data_identifier"] = f"nnUNetPlans_{CONFIGURATION}"
    plans["configurations"] = {CONFIGURATION: configuration}
    dataset = {
        "channel_names": {str(i): each for i, each in enumerate(folder.card["channels"])},
        "labels": {label: value for value, label in enumerate(folder.label_names)},
        "numTraining": 0,
        "file_ending": training.get("file_ending") or (".png" if dims == 2 else ".nii.gz"),
    }
    mirror_axes = training.get("mirror_axes")
    checkpoint = {
        "network_weights": {
            f"{PREFIX}{name}": tensor for name, tensor in folder.network.state_dict().items()
        },
        "trainer_name": STOCK,
        "init_args": {"configuration": CONFIGURATION},
        "inference_allowed_mirroring_axes": None if mirror_axes is None else tuple(mirror_axes),
    }
    with new_folder(Path(output)) as made:
        write_json(plans, made / "plans.json")
        write_json(dataset, made / "dataset.json")
        write_checkpoint(checkpoint, made / FOLD / "checkpoint_final.pth")
    return Path(output)


def _fold(folder: Path, fold: str | None, checkpoint: str) -> Path:
    there = sorted(path.parent for path in folder.glob(f"fold_*/{checkpoint}"))
    names = [path.name.removeprefix("fold_") for path in there]
    if fold is None and len(there) == 1:
        return there[0]
    if fold not in names:
        found = f"{', '.join(names)} have {checkpoint}" if names else f"none has {checkpoint}"
        raise UsageError(f"{folder}: {found}; name one of its folds, such as --fold 0")
    return there[names.index(fold)]


def _entries(dataset: Mapping[str, Any], name: str, folder: Path) -> dict[str, Any]:
    entries = dataset.get(name)
    if not isinstance(entries, dict) or not entries:
        path = folder / "dataset.json"
        raise DataError(path, f"no {name}", "nnU-Net's description of a data set", _ADVICE)
    return entries


def _labels(entries: Mapping[str, Any], folder: Path) -> list[str]:
    """The labels' names in the order of their values; the one that is ignored is no output."""
    values = {name: value for name, value in entries.items() if name != "ignore"}
    if any(isinstance(value, list) and len(value) > 1 for value in values.values()):
        raise UsageError(f"{folder}: regions of several labels have no form here; use labels")
    numbers = {
        name: value[0] if isinstance(value, list) and value else value
        for name, value in values.items()
    }
    if any(type(value) is not int for value in numbers.values()):
        path = folder / "dataset.json"
        raise DataError(path, f"the labels {numbers}", "a whole number for each", _ADVICE)
    ordered = sorted(numbers, key=lambda name: numbers[name])
    if [numbers[name] for name in ordered] != list(range(len(ordered))):
        raise UsageError(f"{folder}: labels need the values 0, 1, 2 and so on, got {numbers}")
    return ordered
