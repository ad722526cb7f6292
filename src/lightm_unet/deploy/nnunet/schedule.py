"""A recipe's learning rate for each step, in a trainer that asks once for each epoch."""

from __future__ import annotations

import torch

from lightm_unet.training.recipes import Recipe, learning_rate_factor


class RecipeSchedule:
    """The learning rate of a recipe; nnU-Net calls `step` as each epoch begins.

    Args:
        optimizer: its learning rates are set.
        recipe: gives the schedule and the highest rate.
        epochs: of the whole training.
        steps: of the optimizer in each epoch.

    Example:
        >>> from lightm_unet.training.recipes import RECIPES
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], 1.0)
        >>> schedule = RecipeSchedule(optimizer, RECIPES["adamw"], epochs=10, steps=10)
        >>> schedule.step(0)
        >>> optimizer.param_groups[0]["lr"]
        0.0004
        >>> schedule.advance()
        >>> optimizer.param_groups[0]["lr"]
        0.0008
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, recipe: Recipe, epochs: int, steps: int
    ) -> None:
        self._optimizer, self._highest = optimizer, recipe.learning_rate
        self._factor = learning_rate_factor(recipe.schedule, epochs * steps)
        self._steps, self._number = steps, 0

    def step(self, epoch: int) -> None:
        """Set the rate of an epoch's first step, whatever came before."""
        self._set(epoch * self._steps)

    def advance(self) -> None:
        """Set the rate of the next step."""
        self._set(self._number + 1)

    def _set(self, number: int) -> None:
        self._number = number
        for group in self._optimizer.param_groups:
            group["lr"] = self._highest * self._factor(number)
