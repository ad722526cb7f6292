"""What a training run is told: one dataclass for the command line, the run's record and Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightm_unet.errors import UsageError
from lightm_unet.networks.spec import NetworkSpec

DEVICES = ("auto", "cpu", "cuda", "mps")
DEFAULT_NETWORK = NetworkSpec("lightm-unet")
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a run; None leaves a choice to the recipe or to the data."""

    recipe: str = "default"
    """Optimizer, schedule and their numbers: default, paper or released."""
    epochs: int | None = None
    """Passes over the training cases."""
    batch_size: int | None = None
    """Images of a step, on each device."""
    learning_rate: float | None = None
    """The highest learning rate of the run."""
    size: tuple[int, ...] | None = None
    """Resize whole images to this many pixels or voxels; by default the paper's 512x512 or
    128x128x128."""
    patch: tuple[int, ...] | None = None
    """Instead of whole images, train on patches of this many pixels or voxels."""
    spacing_mm: tuple[float, ...] | None = None
    """With patches: resample every image to this voxel size."""
    normalization: str = "auto"
    """zscore, ct, or auto: ct where the channel is called CT."""
    augmentation: str = "default"
    """none, default or strong."""
    samples_per_case: int = 1
    """Samples drawn from each case in an epoch."""
    seed: int = 0
    """Of the split (unless the data set has one), the first weights, and every random change."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    devices: int = 1
    """How many of them."""
    precision: str = "auto"
    """32-true, bf16-mixed or 16-mixed; auto takes bf16 where a GPU has it, else 32."""
    workers: int = 0
    """Processes that prepare samples beside the training."""
    network: NetworkSpec = DEFAULT_NETWORK
    """The network, with options if wanted: lightm-unet, lightm-unet:width=16, nnu-net."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "network", NetworkSpec.parse(self.network))  # a text will do


def make_settings(given: Mapping[str, Any]) -> TrainingSettings:
    """Settings from keyword arguments, of which None means not given.

    Args:
        given: fields of `TrainingSettings`; or, as they were before a network was one text,
            `architecture` (its name) and `network` (a dict of its options).

    Raises:
        UsageError: a setting that does not exist.
    """
    given = join_network({name: value for name, value in given.items() if value is not None})
    names = {field.name for field in dataclasses.fields(TrainingSettings)}
    if unknown := sorted(set(given) - names):
        raise UsageError(
            f"train has no setting {', '.join(unknown)}; it has {', '.join(sorted(names))}"
        )
    return TrainingSettings(**given)


def join_network(given: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings with the network in one entry, where there were two.

    The older form has the name as `architecture` and the options as a dict under `network`: in
    Python calls, and in run.json of format 1.

    Raises:
        UsageError: both forms at once.

    Example:
        >>> joined = join_network({"architecture": "segresnet", "network": {"init_filters": 8}})
        >>> str(joined["network"])
        'segresnet:init_filters=8'
    """
    joined = dict(given)
    name, network = joined.pop("architecture", None), joined.pop("network", None)
    if network is None and name is None:
        return joined
    if network is None or isinstance(network, Mapping):
        network = NetworkSpec(name or DEFAULT_NETWORK.name, network or {})
    elif name is not None:
        raise UsageError(
            f"architecture={name} and network={network} both name a network; give network alone"
        )
    return {**joined, "network": network}
