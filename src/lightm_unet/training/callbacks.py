"""Callbacks of the training: CSV log, folder of the best model, log lines, progress."""

from __future__ import annotations

import csv
import io
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from lightm_unet.system.files import write_bytes
from lightm_unet.system.memory import peak_bytes
from lightm_unet.system.progress import Progress, ProgressEvent
from lightm_unet.system.records import expect_usable


def _peak_bytes(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else peak_bytes()


class CsvLog(pl.Callback):
    """Write one row for each epoch to a single CSV file; a resumed run appends to it.

    The rows are also in each checkpoint, from which a resumed run writes the file again: it has
    each epoch once, whatever has become of the file.

    Columns: epoch (from 1), step, seconds (of this epoch), learning_rate, peak_memory_mb (10^6
    bytes; peak so far of the process or of the GPU's allocator), and the logged metrics, "" where
    an epoch lacks one.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self._started = 0.0

    def state_dict(self) -> dict[str, Any]:  # noqa: D102
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: D102
        self.rows = list(state["rows"])

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:  # noqa: D102
        if self.rows and trainer.is_global_zero:
            self._write()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:  # noqa: D102
        # Checkpoints of earlier versions have no rows. Epochs after the checkpoint are repeated.
        if trainer.current_epoch and not self.rows and self.path.exists():
            rows = _read_rows(self.path)
            self.rows = [row for row in rows if int(row["epoch"]) <= trainer.current_epoch]

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:  # noqa: D102
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:  # noqa: D102
        if not trainer.is_global_zero:
            return
        metrics = {
            name: f"{float(value):.6g}" for name, value in sorted(trainer.callback_metrics.items())
        }
        self.rows.append(
            {
                "epoch": trainer.current_epoch + 1,
                "step": trainer.global_step,
                "seconds": f"{time.perf_counter() - self._started:.2f}",
                "learning_rate": f"{trainer.optimizers[0].param_groups[0]['lr']:.3g}",
                "peak_memory_mb": round(_peak_bytes(module.device) / 1e6),
                **metrics,
            }
        )
        self._write()

    def _write(self) -> None:
        text = io.StringIO()
        # Some scores begin only later in a run.
        columns = dict.fromkeys(name for row in (self.rows[-1], *self.rows) for name in row)
        writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_bytes(text.getvalue().encode(), self.path)


def _read_rows(path: Path) -> list[dict[str, Any]]:
    advice = "remove the file; the log then begins with the next epoch"
    with expect_usable(path, "a log", advice), path.open(newline="", errors="replace") as file:
        try:
            rows = list(csv.DictReader(file))
        except csv.Error as error:
            raise ValueError(str(error)) from error
        if [row.get("epoch") for row in rows] != [str(n) for n in range(1, len(rows) + 1)]:
            raise ValueError("its epochs are not 1, 2 and so on")
    return rows


class SaveBestModel(pl.Callback):
    """Calls `save(scores)` whenever val_dice reaches a new maximum in this run.

    The scores are also in each checkpoint, so that the model can be saved again from it. Where the
    module averages its weights, scores["weights"] says which were better, see `ema.py`.

    Args:
        save: writes the model folder.
    """

    def __init__(self, save: Callable[[dict[str, Any]], None]) -> None:
        self.save = save
        self.best = -1.0
        self.scores: dict[str, Any] = {}

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:  # noqa: D102
        if trainer.sanity_checking:
            return
        scores: dict[str, Any] = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith("val_dice")
        }
        if getattr(module, "averaged", None) is not None:
            scores["weights"] = module.better
        if scores["val_dice"] > self.best:
            self.best = scores["val_dice"]
            self.scores = {"epoch": trainer.current_epoch + 1, **scores}
            if trainer.is_global_zero:
                self.save(self.scores)

    def state_dict(self) -> dict[str, Any]:  # noqa: D102
        return {"best": self.best, "scores": self.scores}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: D102
        self.best, self.scores = state["best"], state.get("scores", {})


class EpochLines(pl.Callback):
    """Logs one line for each epoch: epoch, loss, validation Dice, time left.

    Args:
        log: receives the line, at level INFO.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._lines = log  # Lightning uses the name `log` itself
        self._started, self._first = 0.0, 0

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:  # noqa: D102
        self._started, self._first = time.perf_counter(), trainer.current_epoch

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:  # noqa: D102
        if not trainer.is_global_zero:
            return
        assert trainer.max_epochs is not None  # `train` always sets it
        metrics, done = trainer.callback_metrics, trainer.current_epoch + 1
        each = (time.perf_counter() - self._started) / (done - self._first)
        labels = ", ".join(
            f"{name.removeprefix('val_dice/')} {float(value):.4f}"
            for name, value in metrics.items()
            if name.startswith("val_dice/")
        )
        self._lines.info(
            f"epoch {done}/{trainer.max_epochs}  loss {float(metrics['train_loss']):.4f}  "
            f"validation Dice {float(metrics['val_dice']):.4f} ({labels})  "
            f"{each:.1f} s an epoch, {(trainer.max_epochs - done) * each / 60:.0f} min to go"
        )


class EpochProgress(pl.Callback):
    """Reports the steps of each epoch, then its validation cases.

    Args:
        progress: called with the events.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:  # noqa: D102
        self._report(trainer, "train", 0, trainer.num_training_batches)

    def on_train_batch_end(  # noqa: D102
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        self._report(trainer, "train", index + 1, trainer.num_training_batches)

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:  # noqa: D102
        self._report(trainer, "validate", 0, trainer.num_val_batches[0])

    def on_validation_batch_end(  # noqa: D102
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        index: int,
        dataloader: int = 0,
    ) -> None:
        self._report(trainer, "validate", index + 1, trainer.num_val_batches[0])

    def _report(self, trainer: pl.Trainer, what: str, done: int, total: float) -> None:
        if trainer.is_global_zero:
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self.progress(ProgressEvent(f"{what}, {epoch}", done, int(total)))
