"""Configurations in nnU-Net's plans file that name a network of this package.

A configuration of ours inherits everything from one of nnU-Net's but the architecture, and where
the network needs other multiples, the patch size: prepared images are shared.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from lightm_unet.deploy.nnunet.folders import find_dataset
from lightm_unet.deploy.nnunet.network import CLASS_NAME, full_resolution_twice
from lightm_unet.deploy.nnunet.settings import PlansSettings
from lightm_unet.errors import DataError, UsageError
from lightm_unet.networks.registry import build_network, network_names
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.system.choices import check_choice
from lightm_unet.system.files import read_bytes, read_json, write_bytes
from lightm_unet.system.json_codec import to_json

_log = logging.getLogger(__name__)

USUAL = ("2d", "3d_fullres")
"""nnU-Net's configurations that ours are made of unless others are named."""
PREPARE = "nnUNetv2_plan_and_preprocess -d NUMBER"


@dataclass(frozen=True)
class Planned:
    """What was added to a plans file."""

    path: Path
    """The plans file."""
    configurations: tuple[str, ...]
    """Our configurations, for `train` and `predict`."""
    changed: bool
    """Whether the file was written; it was not if they were in it already."""


def add_configurations(
    dataset: str,
    configurations: Sequence[str] = PlansSettings.configurations,
    network: str | NetworkSpec = PlansSettings.network,
    plans: str = PlansSettings.plans,
) -> Planned:
    """Add configurations with one of our networks to a data set's plans file.

    The file as it was is kept beside it, with the ending .bak; doing the same again changes
    nothing.

    Args:
        dataset: its number or name, in the folder that nnUNet_preprocessed names.
        configurations: of nnU-Net, to inherit from; by default 2d and 3d_fullres, as far as the
            file has them.
        network: which network; one that gives its logits alone.
        plans: name of the plans.

    Raises:
        UsageError: a variable is unset, there is no such data set or configuration, or the network
            cannot be used.
        DataError: the plans file is missing, damaged or of another version of nnU-Net.
    """
    path = find_dataset(dataset) / f"{plans}.json"
    content = read_plans(path)
    there = content["configurations"]
    bases = configurations or [name for name in USUAL if name in there]
    if not bases:
        raise DataError(
            path,
            f"the configurations {', '.join(there)}",
            " or ".join(USUAL),
            "name one of the file's with -c",
        )
    new = {}
    for base in bases:
        check_choice("configuration", base, there)
        name, entry = our_configuration(content, base, NetworkSpec.parse(network), path)
        if name in there and not is_ours(there[name]):
            raise UsageError(
                f"{path}: the configuration {name} is there already and not one of ours; rename it"
            )
        new[name] = entry
    updated = {**content, "configurations": {**there, **new}}
    changed = updated != content
    if changed:
        write_bytes(read_bytes(path), path.with_name(f"{path.name}.bak"))
        # As nnU-Net writes it: the file differs in the new lines alone.
        write_bytes(json.dumps(updated, indent=4).encode(), path)
    return Planned(path, tuple(new), changed)


def read_plans(path: Path) -> dict[str, Any]:
    """A plans file's content.

    Raises:
        DataError: it is missing, damaged or of another version of nnU-Net.
    """
    if not path.is_file():
        raise DataError(path, "no plans file", "one that nnU-Net writes", f"make it: {PREPARE}")
    content = read_json(path)
    configurations = content.get("configurations")
    if not isinstance(configurations, dict) or not all(
        isinstance(each, dict) for each in configurations.values()
    ):
        raise DataError(
            path,
            "no configurations",
            "the plans of nnU-Net 2.8 or later",
            f"plan the data set again: {PREPARE}",
        )
    return content


def resolve(content: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    """A configuration with everything that it inherits.

    Args:
        content: of the plans file.
        name: of the configuration.
        path: of the file, for messages.

    Raises:
        DataError: it inherits from one that is not there or from itself, or entries that nnU-Net
            has in every configuration are missing.
    """
    chain: list[str] = []
    found: dict[str, Any] = {}
    following: Any = name
    while following is not None:
        if following in chain or following not in content["configurations"]:
            raise DataError(
                path,
                f"a configuration {chain[-1]} that inherits from {following!r}",
                "another one of the file",
                "correct inherits_from",
            )
        chain.append(following)
        entries = content["configurations"][following]
        found = {**entries, **found}
        following = entries.get("inherits_from")
    architecture = found.get("architecture")
    needed = isinstance(architecture, dict) and {"network_class_name", "arch_kwargs"} <= {
        *architecture
    }
    patch = found.get("patch_size")
    if (
        not needed
        or not isinstance(patch, list)
        or len(patch) not in (2, 3)
        or not all(type(size) is int and size > 0 for size in patch)
        or sorted(content.get("transpose_forward") or ()) != [0, 1, 2]
    ):
        raise DataError(
            path,
            f"a configuration {name} without architecture, patch_size or transpose_forward as "
            "nnU-Net 2.8 has them",
            "a plans file of nnU-Net 2.8 or later",
            f"plan the data set again: {PREPARE}",
        )
    return found


def is_ours(configuration: Mapping[str, Any]) -> bool:
    """Whether a configuration names a network of this package."""
    architecture = configuration.get("architecture")
    return isinstance(architecture, dict) and architecture.get("network_class_name") == CLASS_NAME


def file_axes(transpose_forward: Sequence[int], spatial_dims: int) -> list[int]:
    """For each axis of the image file, from the first, the axis of nnU-Net's prepared arrays.

    nnU-Net reads a volume as (k, j, i) and may turn these; a slice or a picture it takes as rows
    and columns.

    Example:
        >>> file_axes((0, 1, 2), 3), file_axes((2, 0, 1), 3), file_axes((0, 1, 2), 2)
        ([2, 1, 0], [0, 2, 1], [0, 1])
    """
    if spatial_dims == 2:
        return [0, 1]
    return [list(transpose_forward).index(2 - axis) for axis in range(3)]


def our_configuration(
    content: Mapping[str, Any], base: str, network: NetworkSpec, path: Path
) -> tuple[str, dict[str, Any]]:
    """The name and the entries of a configuration with one of our networks.

    Args:
        content: of the plans file.
        base: the configuration of nnU-Net to inherit from.
        network: which network.
        path: of the file, for messages.
    """
    configuration = resolve(content, base, path)
    if is_ours(configuration):
        raise UsageError(f"{base} is one of ours already; give the one that it inherits from")
    for entry in ("previous_stage", "next_stage"):
        if configuration.get(entry):
            raise UsageError(
                f"{base} is a stage of a cascade ({entry} {configuration[entry]}), which our "
                f"networks have no form for; choose {' or '.join(USUAL)}"
            )
    patch = configuration["patch_size"]
    dims = len(patch)
    axes = file_axes(content["transpose_forward"], dims)
    built = _build(network, dims, [patch[axis] for axis in axes])
    options = to_json(cast("dict[str, Any]", built.config))
    for given_otherwise in ("name", "spatial_dims", "in_channels", "out_channels"):
        options.pop(given_otherwise)
    entries: dict[str, Any] = {
        "inherits_from": base,
        "architecture": {
            "network_class_name": CLASS_NAME,
            "arch_kwargs": {
                "network": network.name,
                "options": options,
                "axes": axes,
                "strides": full_resolution_twice(dims),
            },
            "_kw_requires_import": [],
        },
    }
    multiple = cast(int, getattr(built, "multiple", 1))
    rounded = [math.ceil(size / multiple) * multiple for size in patch]
    name = f"{base}_{re.sub('[^A-Za-z0-9.-]+', '_', str(network)).strip('_')}"
    if rounded != patch:
        entries["patch_size"] = rounded
        sizes = ["x".join(map(str, each)) for each in (patch, rounded)]
        _log.info("%s: patches of %s instead of %s, multiples of %d", name, *sizes[::-1], multiple)
    return name, entries


def _build(network: NetworkSpec, dims: int, patch: Sequence[int]) -> torch.nn.Module:
    """The network for one channel and two classes, tried on a small image in training mode."""
    built = build_network(network, dims, 1, 2, image_size=patch)
    multiple = cast(int, getattr(built, "multiple", 16))
    small = [min(size, 2 * multiple) for size in patch]
    with torch.no_grad():
        logits = built.train()(torch.zeros(1, 1, *small))
    if not isinstance(logits, torch.Tensor):
        others = [name for name in network_names(dims) if name.startswith("lightm-unet")]
        raise UsageError(
            f"{network}: in training it gives several outputs, and nnU-Net's losses take one; "
            f"choose another network, such as {', '.join(others[:4])}"
        )
    return built
