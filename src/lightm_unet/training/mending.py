"""The best model, saved again from a checkpoint where its folder has been damaged."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lightm_unet.errors import DataError, LightMUNetError
from lightm_unet.models.model_folder import ModelFiles, load_model
from lightm_unet.training.checkpoints import read_checkpoint
from lightm_unet.training.ema import PREFIXES, RAW
from lightm_unet.training.run_folder import BEST, MODEL

_log = logging.getLogger(__name__)


def mend_model(
    folder: Path,
    checkpoint: dict[str, Any],
    network: torch.nn.Module,
    files: Callable[[torch.nn.Module, dict[str, Any]], ModelFiles],
) -> None:
    """Save a run's best model again unless its folder holds what best.ckpt tells.

    Args:
        folder: the run's folder.
        checkpoint: the content of the checkpoint that the run goes on from.
        network: the run's network, with any weights; it is not changed.
        files: the files of a model, from its network and scores.

    Raises:
        DataError: the model is damaged, and no checkpoint of the best epoch is whole.
    """
    best = _best_checkpoint(folder, checkpoint)
    if best is None:
        try:
            load_model(folder / MODEL)
        except LightMUNetError as error:
            raise DataError(
                folder / MODEL,
                f"no usable model ({error})",
                f"the best model, or {BEST} to save it again from",
                "copy one of them here, or start another run",
            ) from error
        return
    twin = copy.deepcopy(network)
    prefix = PREFIXES[_scores(best).get("weights", RAW)]
    twin.load_state_dict(
        {
            name.removeprefix(prefix): tensor
            for name, tensor in best["state_dict"].items()
            if name.startswith(prefix)
        }
    )
    wanted = files(twin, _scores(best))
    if not wanted.are_in(folder / MODEL):
        _log.warning(f"{folder / MODEL}: found other files than the best epoch's; saved again")
        wanted.write(folder / MODEL)


def _best_checkpoint(folder: Path, checkpoint: dict[str, Any]) -> dict[str, Any] | None:
    """The content of a checkpoint that was written after the best epoch so far."""
    try:
        best = read_checkpoint(folder / BEST)
        if _scores(best) and _scores(best)["epoch"] >= _scores(checkpoint).get("epoch", 0):
            return best
    except DataError as error:
        _log.warning(f"{error.path}: found {error.found}; the next better epoch will replace it")
    if _scores(checkpoint).get("epoch") == checkpoint["epoch"] + 1:
        return checkpoint
    return None


def _scores(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Epoch and scores of the best model at that time; empty in files of earlier versions."""
    return checkpoint["callbacks"].get("SaveBestModel", {}).get("scores", {})
