"""The LightningModule: loss, validation score and optimizer of a network."""

from __future__ import annotations

from typing import cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics import MeanMetric

from lightm_unet.errors import DivergedError
from lightm_unet.models.logits import compute_logits
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.training.distillation import Teacher
from lightm_unet.training.ema import EMA, RAW, AveragedNetwork
from lightm_unet.training.losses import hard_dice, training_loss
from lightm_unet.training.recipes import Recipe, build_optimizer, learning_rate_factor
from lightm_unet.training.step import clip_gradients


class SegmentationModule(pl.LightningModule):
    """Trains a network with a recipe; logs train_loss, val_dice and val_dice of each label.

    val_dice is each label's mean Dice over the cases, averaged over the labels, on the grid of the
    network's input; `evaluate` computes scores on the images' own grids.

    If the recipe averages the weights, the average is scored too, in the second half of the epochs:
    there the learning rate falls and the best epochs come, and it costs half. val_dice is then that
    of whichever scores better; val_dice_raw, val_dice_ema and ema_is_better (0 or 1) are logged
    beside it.

    Args:
        network: maps images to logits; in training mode possibly at several resolutions.
        recipe: optimizer and schedule.
        learning_rate: the highest learning rate of the run.
        label_names: the index is the label's value.
        preprocessing: decides between whole images and patches; with patches, validation uses a
            sliding window.
        teacher: gives soft labels, whose loss is added.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        recipe: Recipe,
        learning_rate: float,
        label_names: tuple[str, ...],
        preprocessing: Preprocessing,
        teacher: Teacher | None = None,
    ) -> None:
        super().__init__()
        self.network, self.recipe, self.learning_rate = network, recipe, learning_rate
        self.label_names, self.preprocessing = label_names[1:], preprocessing
        self.averaged = AveragedNetwork(network, recipe.ema) if recipe.ema else None
        self.validation_dice = torch.nn.ModuleDict(
            {
                name: torch.nn.ModuleList(MeanMetric() for _ in self.label_names)
                for name in (RAW, EMA)
            }
        )
        self.better = RAW
        self.teacher = teacher
        self.epoch_loss = MeanMetric(nan_strategy="disable")  # NaN must not be ignored

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:  # noqa: D102
        logits = self.network(batch["image"])
        loss = training_loss(logits, batch["labels"])
        if self.teacher is not None:
            loss = loss + self.teacher.loss(logits, batch["image"])
        self.epoch_loss.update(loss.detach())
        self.log("train_loss", self.epoch_loss, on_epoch=True, on_step=False)
        return loss

    def on_train_batch_end(self, *_: object) -> None:
        """Take the step's weights into their average."""
        if self.averaged is not None:
            self.averaged.update(self.network)

    def configure_gradient_clipping(self, *_: object, **__: object) -> None:
        """Clip as `take_step` does; Lightning calls this when all gradients are computed."""
        clip_gradients(self.network, self.recipe)

    def on_validation_start(self) -> None:
        """Stop before weights that are not finite reach a checkpoint or the model folder."""
        if not torch.isfinite(self.epoch_loss.compute()):
            raise DivergedError(
                f"the training loss became {float(self.epoch_loss.compute())} in epoch "
                f"{self.current_epoch + 1}; the best model and last.ckpt of the epochs before are "
                f"kept; start again with a learning rate below {self.learning_rate:g}"
            )
        if self.trainer.world_size > 1:
            # BatchNorm's statistics differ by what each process has seen since its last step.
            for buffer in self.buffers():
                torch.distributed.broadcast(buffer, 0)

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:  # noqa: D102
        for weights, network in self._scored().items():
            logits = compute_logits(network, batch["image"], self.preprocessing, overlap=0.25)
            scores = hard_dice(logits, batch["labels"])
            for metric, score in zip(self._label_metrics(weights), scores.unbind(1), strict=True):
                metric.update(score)

    def on_validation_epoch_end(self) -> None:
        """Log the scores, and settle which weights are the better ones."""
        found = {}
        for weights in self._scored():
            metrics = self._label_metrics(weights)
            found[weights] = torch.stack([metric.compute() for metric in metrics])
            for metric in metrics:
                metric.reset()
        self.better = max(found, key=lambda weights: float(found[weights].mean()))
        for name, score in zip(self.label_names, found[self.better], strict=True):
            self.log(f"val_dice/{name}", score, sync_dist=True)
        self.log("val_dice", found[self.better].mean(), sync_dist=True)
        if self.averaged is not None:
            for weights, scores in found.items():
                self.log(f"val_dice_{weights}", scores.mean(), sync_dist=True)
            self.log("ema_is_better", float(self.better == EMA), sync_dist=True)

    @property
    def better_network(self) -> torch.nn.Module:
        """The network whose weights scored better in the last validation: a model of this epoch."""
        return self._scored()[self.better]

    def _scored(self) -> dict[str, torch.nn.Module]:
        """The networks that are validated in this epoch, by the name of their weights."""
        assert self.trainer.max_epochs is not None  # `train` always sets it
        if self.averaged is None or 2 * (self.current_epoch + 1) <= self.trainer.max_epochs:
            return {RAW: self.network}
        return {RAW: self.network, EMA: self.averaged.network}

    def configure_optimizers(self) -> OptimizerLRScheduler:  # noqa: D102
        optimizer = build_optimizer(self.recipe, self.network, self.learning_rate)
        factor = learning_rate_factor(
            self.recipe.schedule, int(self.trainer.estimated_stepping_batches)
        )
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def _label_metrics(self, weights: str) -> list[MeanMetric]:
        metrics = cast(torch.nn.ModuleList, self.validation_dice[weights])
        return [cast(MeanMetric, metric) for metric in metrics]
