"""What a training run is told: one dataclass for the command line, the run's record and Python."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from lightm_unet.errors import UsageError

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
    architecture: str = "lightm-unet"
    """The network's name, such as lightm-unet, nnu-net or segresnet."""
    network: dict[str, Any] = field(default_factory=dict)
    """Options of the network, see network_options."""

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
