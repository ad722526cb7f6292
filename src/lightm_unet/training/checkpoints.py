"""Checkpoints: written completely or not at all, and read without executing their content."""

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
    """Replaces a checkpoint atomically.

    Lightning writes to the system's temporary folder and moves the file. On another file system
    the move is a copy, and a run killed during the copy would have no complete checkpoint.
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
        monitor: keep the epoch with the highest value of this metric; by default the latest.
                (`save_last` with a monitor is not enough: it skips epochs that are not better,
                and a resumed run would have to repeat them.)
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
        # If the run's folder has been moved, Lightning would otherwise drop the best score.
        super().load_state_dict({**state_dict, "dirpath": self.dirpath})


def check_checkpoint(path: Path, module: torch.nn.Module) -> None:
    """Check that training of this module can resume from a checkpoint.

    Raises:
        DataError: it is damaged, contains other objects than plain data, or belongs to another
            network.
    """
    advice = f"copy {BEST} over it to resume from the best epoch, or start the run again"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the error is sufficient
            content = torch.load(path, map_location="cpu", weights_only=True)
        found = {name: tuple(tensor.shape) for name, tensor in content["state_dict"].items()}
    except Exception as error:  # damaged bytes can raise any error in the unpickler
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
            f"{expected.get(name, 'nothing')}, as this run's settings and labels require",
            "undo the changes to run.json or dataset.json, or start another run",
        )
