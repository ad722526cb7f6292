"""What a training run is told: one dataclass for the command line, the run's record and Python."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import Any

import torch

from lightm_unet.data.augmentation import STRENGTHS
from lightm_unet.errors import MissingPartError, UsageError
from lightm_unet.networks import LightMUNet
from lightm_unet.training.recipes import RECIPES

DEVICES = ("auto", "cpu", "cuda", "mps")
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
    network: dict[str, Any] = field(default_factory=dict)
    """Options of the network, see LightMUNetOptions."""

    def to_json_dict(self) -> dict[str, Any]:
        """The settings as JSON's own types."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_json_dict(cls, content: dict[str, Any]) -> TrainingSettings:
        """The settings that `to_json_dict` described."""
        return cls(
            **{
                name: tuple(value) if isinstance(value, list) else value
                for name, value in content.items()
            }
        )


def make_settings(given: dict[str, Any]) -> TrainingSettings:
    """Settings from keyword arguments, of which None means not given.

    Raises:
        UsageError: a setting that does not exist.
    """
    names = {field.name for field in dataclasses.fields(TrainingSettings)}
    if unknown := sorted(set(given) - names):
        raise UsageError(
            f"train has no setting {', '.join(unknown)}; it has {', '.join(sorted(names))}"
        )
    return TrainingSettings(**{name: value for name, value in given.items() if value is not None})


def check_settings(settings: TrainingSettings) -> None:
    """Refuse what cannot be trained, before any image is read.

    Raises:
        UsageError: a value out of its range.
        MissingPartError: a device that is not here.
    """
    for name, least in (
        ("epochs", 1),
        ("batch_size", 1),
        ("samples_per_case", 1),
        ("devices", 1),
        ("workers", 0),
        ("seed", 0),
    ):
        value = getattr(settings, name)
        if value is not None and (not isinstance(value, int) or value < least):
            raise UsageError(f"{name} needs a whole number from {least} up, got {value!r}")
    if settings.learning_rate is not None and not 0 < settings.learning_rate < math.inf:
        raise UsageError(f"learning_rate needs a number above 0, got {settings.learning_rate!r}")
    for name, known in (
        ("recipe", tuple(RECIPES)),
        ("augmentation", STRENGTHS),
        ("device", DEVICES),
        ("precision", PRECISIONS),
    ):
        if getattr(settings, name) not in known:
            raise UsageError(f"{name} is {', '.join(known)}; got {getattr(settings, name)!r}")
    try:
        with torch.device("meta"):  # takes no memory: it is only built to have its options checked
            LightMUNet(2, 1, 2, **settings.network)
    except (TypeError, ArithmeticError) as error:
        raise UsageError(f"network options that cannot be used: {error}") from error
    _check_device(settings)


def find_device(settings: TrainingSettings) -> str:
    """The kind of device that trains: "cuda", "mps" or "cpu"."""
    if settings.device != "auto":
        return settings.device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def find_precision(settings: TrainingSettings) -> str:
    """The precision that the network is computed in, by Lightning's name."""
    if settings.precision != "auto":
        return settings.precision
    on_gpu = find_device(settings) == "cuda"
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"


def _check_device(settings: TrainingSettings) -> None:
    device = find_device(settings)
    there = {
        "cpu": settings.devices,  # any number of processes
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }[device]
    if settings.devices > there:
        raise MissingPartError(
            f"training on {settings.devices} {device} device(s) was asked for, and torch "
            f"{torch.__version__} finds {there}; use device cpu, or a torch build for this machine"
        )
    if device == "cpu" and settings.precision == "16-mixed":
        raise UsageError("precision 16-mixed needs a GPU; on the CPU use bf16-mixed or 32-true")
