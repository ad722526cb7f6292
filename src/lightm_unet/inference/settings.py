"""What a prediction is told, and which images it can be given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Part = Literal["training", "validation", "test"]
PARTS = get_args(Part)
"""Parts of a training run's split."""


@dataclass(frozen=True)
class PredictSettings:
    """Settings of a prediction."""

    device: str = "auto"
    """Device that runs the network: auto, cpu, cuda, cuda:N (GPU number N, from 0) or mps; auto
    takes a GPU where there is one."""
    overlap: float = 0.5
    """Overlap of neighbouring sliding windows, 0 to below 1; models of whole images ignore it."""
