"""One step of training: what `train` does with each batch, and what `bench --what train` times.

Lightning takes the step in `train`, by `lightning_module.py`; a test holds the two together. Not
part of it are reading and augmenting the images, the schedule of the learning rate, and logging.
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
        network: in training mode.
        optimizer: of its parameters, see `build_optimizer`.
        recipe: names the largest gradient.
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
