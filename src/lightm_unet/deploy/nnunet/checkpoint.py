"""nnU-Net's checkpoints, read as data: nothing in them is executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightm_unet.deploy.nnunet.network import PREFIX
from lightm_unet.errors import DataError
from lightm_unet.system.files import open_atomic

_ADVICE = "train the model with nnU-Net 2.8 or later, or copy its folder again"


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's entries: tensors, and the numbers and texts that nnU-Net logs.

    Raises:
        DataError: it is missing or damaged, holds anything else, which only executing it would
            make, or lacks the weights.
    """
    try:
        with torch.serialization.safe_globals(_numbers()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        found = f"it cannot be read ({error.strerror or error})"
        raise DataError(path, found, "a checkpoint", _ADVICE) from error
    except Exception as error:  # of zip, pickle, or torch's refusal
        # What torch says of a refusal begins with advice to load it all the same.
        reason = str(error).partition("WeightsUnpickler error: ")[2] or str(error)
        raise DataError(
            path,
            f"something else than tensors, numbers and texts ({' '.join(reason.split())[:120]})",
            "a checkpoint of nnU-Net, which is read without executing anything in it",
            _ADVICE,
        ) from error
    entries = ("network_weights", "trainer_name", "init_args")
    if (
        not isinstance(content, dict)
        or not all(entry in content for entry in entries)
        or not isinstance(content["init_args"], dict)
    ):
        expected = f"a checkpoint with {', '.join(entries)}"
        raise DataError(path, "other entries", expected, _ADVICE)
    return content


def own_weights(content: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """The weights of the network within a `PlannedNetwork`, by its own names.

    Raises:
        DataError: they are of another network.
    """
    weights = content["network_weights"]
    is_ours = isinstance(weights, dict) and all(
        name.startswith(PREFIX) and isinstance(tensor, Tensor) for name, tensor in weights.items()
    )
    if not is_ours or not weights:
        raise DataError(path, "weights of another network", "those of one of ours", _ADVICE)
    return {name.removeprefix(PREFIX): tensor for name, tensor in weights.items()}


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint in one step."""
    with open_atomic(path) as file:
        torch.save(content, file)


def _numbers() -> list[Any]:
    """What a numpy number in a checkpoint is made by; nnU-Net logs such numbers."""
    scalar = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(kind)) for kind in np.typecodes["AllFloat"] + np.typecodes["AllInteger"]}
    # numpy 1 and 2 call the same function by different names.
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    return [np.dtype, *kinds, *((scalar, name) for name in names)]
