"""Training recipes by name: what turns gradients into a network."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from lightm_unet.system.choices import check_choice


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. A run can replace epochs, batch size and learning rate."""

    optimizer: str
    """"sgd" (Nesterov momentum 0.99), "adam" or "adamw"."""
    learning_rate: float
    """The highest learning rate of the run."""
    schedule: str
    """"poly": (1 - progress)^0.9 of it. "cosine": up from 0 in the first 5 %, then half a cosine
    down to 1 % of it."""
    weight_decay: float
    """As the optimizer defines it; in "adamw" norms, biases, scales and the scan's own rates
    are left out."""
    clip: float | None
    """Largest L2 norm of all gradients together."""
    epochs: int
    """Passes over the training cases."""
    batch_size: tuple[int, int]
    """Images of a step, in 2D and in 3D."""

    def batch_size_for(self, spatial_dims: int) -> int:
        """Images of a step for so many dimensions."""
        return self.batch_size[spatial_dims - 2]


RECIPES = {
    # Section 3 of the paper: SGD at 1e-4, PolyLRScheduler, 100 epochs, batch 12 and 2. It names
    # nnU-Net's scheduler, so momentum and weight decay, which it leaves out, are nnU-Net's.
    "paper": Recipe("sgd", 1e-4, "poly", 3e-5, None, 100, (12, 2)),
    # The trainer in the authors' repository: Adam, gradients clipped at 12.
    "released": Recipe("adam", 1e-4, "poly", 1e-5, 12.0, 100, (12, 2)),
    # Chosen by short runs; clip and 3D batch had no comparison of their own: docs/notes.md, "Which
    # recipe learns soonest".
    "default": Recipe("sgd", 1e-2, "poly", 3e-5, 1.0, 50, (2, 1)),
    # For networks with norms in the decoder: no weight decay on norms, biases and the scan's rates.
    "adamw": Recipe("adamw", 2e-3, "cosine", 1e-2, 1.0, 50, (2, 1)),
}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UsageError: there is none.
    """
    check_choice("recipe", name, RECIPES)
    return RECIPES[name]


def build_optimizer(
    recipe: Recipe, network: nn.Module, learning_rate: float
) -> torch.optim.Optimizer:
    """The recipe's optimizer over all of a network's parameters."""
    parameters = list(network.parameters())
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            learning_rate,
            momentum=0.99,
            nesterov=True,
            weight_decay=recipe.weight_decay,
        )
    if recipe.optimizer == "adam":
        return torch.optim.Adam(parameters, learning_rate, weight_decay=recipe.weight_decay)
    decayed, left_out = [], []
    for name, parameter in network.named_parameters():
        is_weight = name.endswith("weight") and parameter.dim() > 1  # a norm's has one dimension
        (decayed if is_weight else left_out).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": left_out, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, learning_rate)


def learning_rate_factor(schedule: str, steps: int) -> Callable[[int], float]:
    """The share of the highest learning rate that each of `steps` steps uses.

    Example:
        >>> factor = learning_rate_factor("poly", 10)
        >>> factor(0), round(factor(5), 3)
        (1.0, 0.536)
        >>> [round(learning_rate_factor("cosine", 100)(step), 2) for step in (0, 4, 99)]
        [0.2, 1.0, 0.01]
    """
    if schedule == "poly":
        return lambda step: (1 - min(step / steps, 1)) ** 0.9
    warm_up = max(1, round(0.05 * steps))

    def cosine(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        progress = min((step - warm_up) / max(1, steps - warm_up), 1)
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))

    return cosine
