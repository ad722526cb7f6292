"""Checkpoints: written completely or not at all, and read without executing their content.

Each ends with a checksum of what comes before, which torch passes over. Where last.ckpt is damaged,
an older one takes its place: the epochs in between are repeated, which gives the same weights.
"""

from __future__ import annotations

import io
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from lightm_unet.errors import DataError
from lightm_unet.system.files import open_sealed, seal_holds, write_bytes
from lightm_unet.training.ema import EMA, PREFIXES
from lightm_unet.training.run_folder import BEST, LAST, PREVIOUS

_log = logging.getLogger(__name__)
_SEALED = "sealed"
"""An entry of each checkpoint that has a checksum; those of earlier versions have none."""
_PARTS = {"optimizer_states", "lr_schedulers", "loops", "callbacks"}


class CheckpointFiles(TorchCheckpointIO):
    """Replaces a checkpoint atomically; that of the epoch before is kept beside last.ckpt.

    Lightning writes to the system's temporary folder and moves the file. On another file system
    the move is a copy, and a run killed during the copy would have no complete checkpoint.
    """

    def save_checkpoint(  # noqa: D102
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        path, content = Path(path), io.BytesIO()
        # Into memory first: torch itself may abort where a write fails.
        torch.save({**checkpoint, _SEALED: True}, content)
        keep = path.with_name(Path(PREVIOUS).name) if path.name == Path(LAST).name else None
        with open_sealed(path, keep) as file:
            file.write(content.getbuffer())


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


def has_average(checkpoint: dict[str, Any]) -> bool:
    """Whether a checkpoint holds the moving average of the weights; earlier versions had none."""
    return any(name.startswith(PREFIXES[EMA]) for name in checkpoint["state_dict"])


def find_checkpoint(folder: Path) -> dict[str, Any]:
    """The content of the newest checkpoint of a run that is whole; afterwards it is last.ckpt.

    Args:
        folder: the run's folder, with at least one checkpoint.

    Raises:
        DataError: none is whole.
    """
    first: DataError | None = None
    for name in (LAST, PREVIOUS, BEST):
        path = folder / name
        if not path.exists():
            continue
        try:
            content = read_checkpoint(path)
        except DataError as error:
            first = first or error
            continue
        if name != LAST:
            reason = f"found {first.found}" if first else "it is not there"
            _log.warning(
                f"{folder / LAST}: {reason}; goes on from {path.name}, which was written after "
                f"epoch {content['epoch'] + 1}"
            )
            write_bytes(path.read_bytes(), folder / LAST)
        return content
    assert first is not None  # the caller has seen one
    raise DataError(
        first.path,
        f"{first.found}, nor can the others beside it",
        "a checkpoint",
        f"remove {first.path.parent} and repeat the command: the run then starts again from its "
        "first epoch, with its own settings",
    )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint that is whole.

    Raises:
        DataError: it is damaged, or contains other objects than plain data.
    """
    advice = f"copy {BEST} over it to resume from the best epoch, or start the run again"
    try:
        sealed = seal_holds(path)
        if sealed is False:
            raise ValueError("its checksum is that of another content")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the error is sufficient
            content = torch.load(path, map_location="cpu", weights_only=True)
        if content.get(_SEALED) and not sealed:
            raise ValueError("its end is missing")
        shapes_of(content["state_dict"])
    except Exception as error:  # damaged bytes can raise any error in the unpickler
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise DataError(path, f"it cannot be read ({reason})", "a checkpoint", advice) from error
    if missing := _PARTS - content.keys():
        raise DataError(path, f"no {min(missing)}", "a checkpoint of a training run", advice)
    return content


def shapes_of(weights: dict[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}


def check_fits(content: dict[str, Any], path: Path, module: torch.nn.Module) -> None:
    """Check that a module can be trained further from a checkpoint.

    Args:
        content: of the checkpoint.
        path: its file, for the message.
        module: the module that is to be trained.

    Raises:
        DataError: the checkpoint belongs to another network.
    """
    found, expected = shapes_of(content["state_dict"]), shapes_of(module.state_dict())
    if found != expected:
        name = min(name for name, _ in found.items() ^ expected.items())
        raise DataError(
            path,
            f"{found.get(name, 'nothing')} for {name}",
            f"{expected.get(name, 'nothing')}, as this run's settings and labels require",
            "undo the changes to run.json or dataset.json, or start another run",
        )
