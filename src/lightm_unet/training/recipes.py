"""Training recipes by name: optimizer, learning-rate schedule, epochs and batch size."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from lightm_unet.networks.registry import recipe_named_by
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.system.choices import check_choice

AUTO = "auto"
"""Stands for the recipe that a network names in the registry."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. A run can replace epochs, batch size and learning rate."""

    optimizer: str
    """"sgd" (Nesterov momentum 0.99), "adam" or "adamw"."""
    learning_rate: float
    """The highest learning rate of the run."""
    schedule: str
    """"poly": (1 - progress)^0.9 of the highest rate. "cosine": rises from 0 in the first 5 % of
    the steps, then falls along half a cosine to 1 %."""
    weight_decay: float
    """Weight decay as the optimizer defines it; "adamw" decays matrices and filters only, see
    `decayed_names`."""
    clip: float | None
    """Largest L2 norm of all gradients together; None does not clip."""
    epochs: int
    """Passes over the training cases."""
    batch_size: tuple[int, int]
    """Images per step, in 2D and in 3D."""
    keep_variance: bool = False
    """Whether a `LightMUNet` without norms starts from weights that keep the variance, see
    `networks.first_weights`."""
    ema: float | None = None
    """Decay of the moving average of the weights, see `ema.py`; None averages nothing. Where it
    scores better on the validation cases, it is the model."""

    def batch_size_for(self, spatial_dims: int) -> int:
        """Images per step for this number of dimensions."""
        return self.batch_size[spatial_dims - 2]


RECIPES = {
    # Section 3 of the paper: SGD at 1e-4, PolyLRScheduler, 100 epochs, batch 12 and 2. It does not
    # give momentum and weight decay; nnU-Net's are used, as the scheduler is nnU-Net's.
    "paper": Recipe("sgd", 1e-4, "poly", 3e-5, None, 100, (12, 2)),
    # The trainer in the authors' repository: Adam, gradients clipped at 12.
    "released": Recipe("adam", 1e-4, "poly", 1e-5, 12.0, 100, (12, 2)),
    # Chosen by short runs; clip and 3D batch were not compared separately: docs/notes.md, "Which
    # recipe learns soonest".
    "default": Recipe("sgd", 1e-2, "poly", 3e-5, 1.0, 50, (2, 1)),
    # The better of two for every network that was tried: docs/notes.md, "Which recipe suits which
    # network".
    "adamw": Recipe("adamw", 2e-3, "cosine", 1e-2, 1.0, 50, (2, 1), keep_variance=True, ema=0.999),
}


def find_recipe(name: str) -> Recipe:
    """Find a recipe by name.

    Raises:
        UsageError: there is no recipe of this name.
    """
    check_choice("recipe", name, RECIPES)
    return RECIPES[name]


def settle_recipe(name: str, network: str | NetworkSpec) -> str:
    """The name of the recipe that trains a network; "auto" is the one that the network names.

    Raises:
        UsageError: the network, or a recipe of this name, does not exist.

    Example:
        >>> settle_recipe("auto", "nnu-net"), settle_recipe("paper", "nnu-net")
        ('adamw', 'paper')
    """
    if name != AUTO:
        check_choice("recipe", name, (AUTO, *RECIPES))
        return name
    own = recipe_named_by(network)
    check_choice(f"the recipe of {NetworkSpec.parse(network).name}", own, RECIPES)
    return own


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
    decayed = decayed_names(network)
    named = list(network.named_parameters())
    groups = [
        {
            "params": [p for name, p in named if name in decayed],
            "weight_decay": recipe.weight_decay,
        },
        {"params": [p for name, p in named if name not in decayed], "weight_decay": 0.0},
    ]
    # One loop for all on the CPU, where the many small tensors cost more calls than arithmetic.
    on_cpu = all(p.device.type == "cpu" for _, p in named)
    return torch.optim.AdamW(groups, learning_rate, betas=(0.9, 0.999), fused=on_cpu or None)


_NORMS = (
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    nn.modules.batchnorm._NormBase,  # of every batch and instance norm
)


def decayed_names(network: nn.Module) -> frozenset[str]:
    """The names of the parameters that weight decay pulls towards 0: matrices and filters.

    All others are left out: norms, biases, scales, embeddings, and the scan's A_log, D and the bias
    of delta. Pulled towards 0 these would lose the value they start from, which is not 0.

    Example:
        >>> sorted(decayed_names(nn.Sequential(nn.Linear(2, 3), nn.LayerNorm((3, 4)))))
        ['0.weight']
    """
    return frozenset(
        name
        for name, parameter in network.named_parameters()
        if name.endswith("weight")
        and parameter.dim() > 1
        and not isinstance(network.get_submodule(name.rpartition(".")[0]), (*_NORMS, nn.Embedding))
    )


def learning_rate_factor(schedule: str, steps: int) -> Callable[[int], float]:
    """The function that gives each step's learning rate as a fraction of the highest one.

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
