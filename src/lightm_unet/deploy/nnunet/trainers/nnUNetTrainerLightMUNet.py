"""nnU-Net trainers with this package's recipe: optimizer, schedule and averaged weights.

Loss, augmentation, sampling and validation are nnU-Net's own. nnU-Net finds a trainer by its name
in the folders that nnUNet_extTrainer lists, imports every file there, and loads checkpoints by the
same name: the names here must stay.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import nn

from lightm_unet.deploy.nnunet.schedule import RecipeSchedule
from lightm_unet.networks.registry import recipe_named_by
from lightm_unet.system.files import open_atomic
from lightm_unet.training.ema import AveragedNetwork
from lightm_unet.training.recipes import build_optimizer, find_recipe
from lightm_unet.training.step import clip_gradients

TRAINED = "lightm_unet_trained"
"""The entry of a checkpoint with the weights that training goes on from; those under nnU-Net's own
name are averaged, since they are what predicts."""


class nnUNetTrainerLightMUNet(nnUNetTrainer):
    """The recipe of the network that the plans name, without deep supervision, 1000 epochs.

    AdamW for most networks: a warm-up of 5 % of the steps, then half a cosine; no weight decay on
    norms, biases and the scan's parameters; gradients clipped at 1. Validation, and the checkpoint,
    have the moving average of the weights.
    """

    epochs = 1000

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008 (nnU-Net's own signature)
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        options = self.configuration_manager.network_arch_init_kwargs
        self.recipe = find_recipe(recipe_named_by(options.get("network", "nnu-net")))
        self.initial_lr = self.recipe.learning_rate
        self.weight_decay = self.recipe.weight_decay
        self.num_epochs = self.epochs
        self.enable_deep_supervision = False
        self.averaged: AveragedNetwork | None = None

    def initialize(self) -> None:
        """As nnU-Net, and begin the average."""
        super().initialize()
        if self.recipe.ema is not None:
            self.averaged = AveragedNetwork(self._bare_network(), self.recipe.ema)

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, RecipeSchedule]:
        """The recipe's; what it does at each step hangs on the optimizer's hooks."""
        optimizer = build_optimizer(self.recipe, self.network, self.initial_lr)
        schedule = RecipeSchedule(
            optimizer, self.recipe, self.num_epochs, self.num_iterations_per_epoch
        )

        def before(*_: Any) -> None:
            clip_gradients(self.network, self.recipe)

        def after(*_: Any) -> None:
            schedule.advance()
            if self.averaged is not None:
                self.averaged.update(self._bare_network())

        optimizer.register_step_pre_hook(before)
        optimizer.register_step_post_hook(after)
        return optimizer, schedule

    def on_validation_epoch_start(self) -> None:
        """As nnU-Net, with the averaged weights."""
        self._exchange()
        super().on_validation_epoch_start()

    def on_validation_epoch_end(self, val_outputs: list[dict]) -> None:
        """As nnU-Net; training goes on with its own weights."""
        super().on_validation_epoch_end(val_outputs)
        self._exchange()

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """As nnU-Net, with the averaged weights."""
        with self._averaged_weights():
            super().perform_actual_validation(save_probabilities)

    def save_checkpoint(self, filename: str) -> None:
        """As nnU-Net, with the averaged weights; those that are trained are added."""
        if self.averaged is None:
            super().save_checkpoint(filename)
            return
        buffer = io.BytesIO()
        with self._averaged_weights():
            super().save_checkpoint(buffer)  # torch.save takes a file as it takes a name
        if not buffer.tell():  # another process writes it, or none does
            return
        buffer.seek(0)
        checkpoint = torch.load(buffer, map_location="cpu", weights_only=False)  # written above
        weights = self._bare_network().state_dict()
        checkpoint[TRAINED] = {"weights": weights, "steps": self.averaged.steps}
        with open_atomic(Path(filename)) as file:
            torch.save(checkpoint, file)

    def load_checkpoint(self, filename_or_checkpoint: dict | str) -> None:
        """As nnU-Net; the average and the trained weights each go to their place."""
        super().load_checkpoint(filename_or_checkpoint)
        if self.averaged is None:
            return
        network = self._bare_network()
        self.averaged.network.load_state_dict(network.state_dict())
        checkpoint = filename_or_checkpoint
        if isinstance(checkpoint, str):  # nnU-Net has just loaded the same file
            checkpoint = torch.load(checkpoint, map_location=self.device, weights_only=False)
        if TRAINED in checkpoint:  # not in one of another trainer
            network.load_state_dict(checkpoint[TRAINED]["weights"])
            self.averaged.steps.copy_(checkpoint[TRAINED]["steps"])

    def _bare_network(self) -> nn.Module:
        """The network without what nnU-Net wraps around it."""
        network = self.network.module if self.is_ddp else self.network
        return getattr(network, "_orig_mod", network)

    def _exchange(self) -> None:
        if self.averaged is not None:
            self.averaged.exchange(self._bare_network())

    @contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        self._exchange()
        try:
            yield
        finally:
            self._exchange()


class nnUNetTrainerLightMUNet_250epochs(nnUNetTrainerLightMUNet):
    """A quarter of the usual length."""

    epochs = 250


class nnUNetTrainerLightMUNet_50epochs(nnUNetTrainerLightMUNet):
    """A twentieth of the usual length."""

    epochs = 50


class nnUNetTrainerLightMUNet_1epoch(nnUNetTrainerLightMUNet):
    """One epoch, to try whether everything works."""

    epochs = 1
