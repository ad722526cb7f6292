"""One step of training: what `train` does with each batch, and what `bench --what train` times.

In `train`, Lightning makes the step through `lightning_module.py`; a test checks that both agree.
Reading and augmenting images, the learning-rate schedule and logging are not part of it.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from lightm_unet.training.losses import training_loss
from lightm_unet.training.recipes import Recipe


def take_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    image: Tensor,
    labels: Tensor,
    precision: str = "32-true",
) -> Tensor:
    """Change a network's weights once: forward, loss, backward, clip, optimizer.

    Args:
        network: a network in training mode.
        optimizer: the optimizer of its parameters, see `build_optimizer`.
        recipe: the recipe, which gives the largest gradient norm.
        image: `(batch, channels, *spatial)`.
        labels: `(batch, 1, *spatial)`, any integer type.
        precision: "32-true" or "bf16-mixed".

    Returns:
        The loss before the step, a scalar.
    """
    optimizer.zero_grad()
    mixed = precision == "bf16-mixed"
    with torch.autocast(image.device.type, torch.bfloat16) if mixed else nullcontext():
        loss = training_loss(network(image), labels)
    loss.backward()
    clip_gradients(network, recipe)
    optimizer.step()
    return loss.detach()


def clip_gradients(network: nn.Module, recipe: Recipe) -> None:
    """Shorten the gradient of all parameters together to the recipe's largest L2 norm, if any."""
    if recipe.clip is not None:
        nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
