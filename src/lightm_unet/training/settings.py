"""The settings of a training run, for the command line, the run's record and Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from lightm_unet.errors import UsageError
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.preprocessing.mirroring import AUTO, parse_mirror_axes

Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
PRECISIONS = get_args(Precision)
DEFAULT_NETWORK = NetworkSpec("lightm-unet")


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a run; None means that the recipe or the data decide."""

    recipe: Literal["auto", "adamw", "default", "paper", "released"] = "auto"
    """Name of the recipe: the optimizer, its learning rate and schedule, epochs and batch size;
    auto is the recipe that suits the network."""
    epochs: int | None = None
    """Number of passes over the training cases; by default the recipe's."""
    batch_size: int | None = None
    """Number of images in one step, on each device; by default the recipe's."""
    learning_rate: float | None = None
    """Highest learning rate of the run; by default the recipe's."""
    size: tuple[int, ...] | None = None
    """Size in pixels or voxels that whole images are resized to; by default the paper's 512x512 or
    128x128x128."""
    patch: tuple[int, ...] | None = None
    """Size in pixels or voxels of patches to train on, instead of whole images."""
    spacing_mm: tuple[float, ...] | None = None
    """Voxel size in mm that images are resampled to before patches are cut; by default each image
    keeps its own."""
    normalization: Literal["auto", "zscore", "ct"] = "auto"
    """Scaling of intensities: zscore uses each image's own mean and standard deviation; ct uses
    those of the whole data set, for Hounsfield units; auto is ct if the channel is named CT, and
    zscore otherwise."""
    augmentation: Literal["none", "default", "strong", "radiograph"] = "default"
    """Random changes to training images; radiograph adds the looks of other hospitals' X-rays."""
    mirror_axes: tuple[str, ...] = (AUTO,)
    """Axes along which training images are mirrored at random: left-right, front-back, head-foot
    of volumes, left-right, up-down of pictures, separated by commas; or none. auto is left-right,
    and with strong augmentation every axis, without those along which a label's name says a
    side, as "left kidney" does."""
    samples_per_case: int = 1
    """Number of samples drawn from each case in an epoch."""
    seed: int = 0
    """Seed of the split (unless the data set has one), of the initial weights, of the sample order
    and of the augmentation."""
    device: str = "auto"
    """Device for training: cpu, cuda, cuda:N or mps; auto is a GPU if there is one."""
    devices: int = 1
    """Number of devices."""
    precision: Precision = "auto"
    """Precision of the computation; auto is bf16-mixed on a GPU that supports it, else 32-true."""
    workers: int = 0
    """Number of additional processes that prepare samples."""
    network: NetworkSpec = DEFAULT_NETWORK
    """Network to train, optionally with options: lightm-unet, lightm-unet:width=16, nnu-net."""
    teacher: Path | None = None
    """Folder of a trained model or run, whose soft labels are learned beside the labels; it must
    have been trained on the same labels, channels and image size."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "network", NetworkSpec.parse(self.network))  # accepts a text
        object.__setattr__(self, "mirror_axes", parse_mirror_axes(self.mirror_axes))
        for name in ("size", "patch", "spacing_mm"):  # one number stands for all axes
            value = getattr(self, name)
            if hasattr(value, "tolist"):  # an array, or a number of NumPy's
                value = value.tolist()
            if isinstance(value, (int, float)):
                value = (value,)
            elif isinstance(value, list):
                value = tuple(value)
            object.__setattr__(self, name, value)
        if isinstance(self.teacher, (str, Path)):  # whole, for resuming from another folder
            object.__setattr__(self, "teacher", Path(self.teacher).resolve())


def make_settings(given: Mapping[str, Any]) -> TrainingSettings:
    """Settings from keyword arguments; None means not given.

    Args:
        given: fields of `TrainingSettings`; or, in the former form, `architecture` (the network's
                name) and `network` (a dict of its options).

    Raises:
        UsageError: a setting does not exist.
    """
    given = join_network({name: value for name, value in given.items() if value is not None})
    names = {field.name for field in dataclasses.fields(TrainingSettings)}
    if unknown := sorted(set(given) - names):
        raise UsageError(
            f"train has no setting {', '.join(unknown)}; it has {', '.join(sorted(names))}"
        )
    return TrainingSettings(**given)


def join_network(given: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings with the network in one entry instead of two.

    The older form has the name as `architecture` and the options as a dict under `network`: in
    Python calls, and in run.json of format 1.

    Raises:
        UsageError: both forms are mixed.

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
