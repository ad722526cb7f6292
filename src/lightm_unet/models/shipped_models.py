"""The trained models that come with the package, by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightm_unet.system.records import read_record

FOLDER = Path(__file__).parent / "shipped"
"""A folder for each model, with model.json, model.safetensors and README.md, its card."""


@dataclass(frozen=True)
class ShippedModel:
    """A trained model that comes with the package."""

    name: str
    folder: Path
    purpose: str
    """What it segments, in one line."""
    spatial_dims: int
    parameters: int
    labels: tuple[str, ...]
    """Without the background."""
    dice: float
    """Mean Dice on its test cases, on the images' own grids; of the validation cases until the
    model is final."""

    @property
    def card(self) -> Path:
        """What it was trained on, how well it does, and what it is not for."""
        return self.folder / "README.md"


def shipped_names() -> tuple[str, ...]:
    """The names of the models that come with the package."""
    return tuple(sorted(path.parent.name for path in FOLDER.glob("*/model.json")))


def shipped_models() -> list[ShippedModel]:
    """The models that come with the package."""
    return [_describe(name) for name in shipped_names()]


def _describe(name: str) -> ShippedModel:
    card: dict[str, Any] = read_record(FOLDER / name / "model.json")
    about = card["about"]
    return ShippedModel(
        name=name,
        folder=FOLDER / name,
        purpose=about["purpose"],
        spatial_dims=card["preprocessing"]["spatial_dims"],
        parameters=about["parameters"],
        labels=tuple(label["name"] for label in card["labels"][1:]),
        dice=about["dice"],
    )
