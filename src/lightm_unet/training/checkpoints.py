"""Checkpoints: written whole or not at all, and read without running anything that is in them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from lightm_unet.errors import DataError
from lightm_unet.system.files import open_atomic
from lightm_unet.training.run_folder import BEST

_PARTS = {"optimizer_states", "lr_schedulers", "loops", "callbacks"}


class CheckpointFiles(TorchCheckpointIO):
    """Replaces a checkpoint in one step.

    Lightning's own way goes through the system's temporary folder. Where that is another file
    system, its move is a copy, and a run killed meanwhile is left without any whole checkpoint.
    """

    def save_checkpoint(  # noqa: D102
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        with open_atomic(Path(path)) as file:
            torch.save(checkpoint, file)


class KeptCheckpoint(ModelCheckpoint):
    """One checkpoint after each epoch, always in the same file.

    Args:
        path: the file.
        monitor: keep only the epoch with the highest value of this; by default each replaces the
            one before. (`save_last` beside a monitor would not do: it skips epochs that are no
            better, which a resumed run would then have to repeat.)
    """

    def __init__(self, path: Path, monitor: str | None = None) -> None:
        super().__init__(
            path.parent,
            path.stem,
            monitor=monitor,
            mode="max",
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:  # noqa: D102
        # A run's folder may have been moved since; Lightning would forget its best score.
        super().load_state_dict({**state_dict, "dirpath": self.dirpath})


def check_checkpoint(path: Path, module: torch.nn.Module) -> None:
    """Check that training of this module can go on from a checkpoint.

    Raises:
        DataError: it is damaged, holds more than plain numbers, or is of another network.
    """
    advice = f"copy {BEST} over it to go on from the best epoch, or start the run again"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the error says enough
            content = torch.load(path, map_location="cpu", weights_only=True)
        found = {name: tuple(tensor.shape) for name, tensor in content["state_dict"].items()}
    except Exception as error:  # whatever broken bytes make of an unpickler
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise DataError(path, f"it cannot be read ({reason})", "a checkpoint", advice) from error
    if missing := _PARTS - content.keys():
        raise DataError(path, f"no {min(missing)}", "a checkpoint of a training run", advice)
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    if found != expected:
        name = min(name for name, _ in found.items() ^ expected.items())
        raise DataError(
            path,
            f"{found.get(name, 'nothing')} for {name}",
            f"{expected.get(name, 'nothing')}, as this run's settings and labels ask for",
            "undo what has changed in run.json or dataset.json, or start another run",
        )
