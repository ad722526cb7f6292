"""Weights that others have published, into the networks here that go by the same names."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from lightm_unet.errors import DataError, UsageError

# nnU-Net's modules list their layers a second time as all_modules, and hold the encoder a second
# time in the decoder: one tensor under several names.
DUPLICATES = re.compile(r"(^decoder\.encoder\.)|(\.all_modules\.)")
# Wrappers of the network for several GPUs and for torch.compile.
PREFIX = re.compile(r"^((module|_orig_mod)\.)+")


def load_released_weights(network: nn.Module, source: Mapping[str, Tensor] | Path | str) -> None:
    """Fill a network with published weights.

    For lightm-unet-released, lightm-unet-first-upload, both u-mambas and nnu-net, whose parameters
    have their authors' names. Nothing but tensors and numbers is unpickled from a file.

    Args:
        network: is filled in place; left as it was if the weights do not fit.
        source: tensors by name; or a file: safetensors, a state dict saved by torch, or a
            checkpoint of nnU-Net, in which they are the entry `network_weights`.

    Raises:
        UsageError: tensors that do not fit; the first name that differs is given with both shapes.
        DataError: the same for a file, or it is unreadable.

    Example:
        >>> from lightm_unet.networks.registry import build_network
        >>> network = build_network("lightm-unet-released", 2, 1, 2, init_filters=8)
        >>> load_released_weights(network, {"convInit.0.conv.weight": torch.zeros(1, 1, 5, 5)})
        Traceback (most recent call last):
        lightm_unet.errors.UsageError: the weights do not fit lightm-unet-released: found (1, 1, 5, 5) for convInit.0.conv.weight, expected (1, 1, 3, 3)
    """  # noqa: E501 (the message is one line)
    path = Path(source) if isinstance(source, (str, Path)) else None
    given = _read(Path(source)) if isinstance(source, (str, Path)) else source
    tensors = {
        PREFIX.sub("", name): tensor
        for name, tensor in given.items()
        if not DUPLICATES.search(PREFIX.sub("", name))
    }
    expected = network.state_dict()
    for name in [*expected, *tensors]:
        found, wanted = _shape(tensors.get(name)), _shape(expected.get(name))
        if found == wanted:
            continue
        called = getattr(network, "name", type(network).__name__)
        if path is None:
            raise UsageError(
                f"the weights do not fit {called}: found {found} for {name}, expected {wanted}"
            )
        raise DataError(
            path,
            f"{found} for {name}",
            f"{wanted} in {called}",
            "build the network with the options that these weights were trained with",
        )
    network.load_state_dict(tensors)


def _shape(tensor: object) -> str:
    if tensor is None:
        return "nothing"
    return str(tuple(tensor.shape)) if isinstance(tensor, Tensor) else f"a {type(tensor).__name__}"


def _read(path: Path) -> Mapping[str, Tensor]:
    expected = "safetensors, a state dict saved by torch, or a checkpoint of nnU-Net"
    if not path.is_file():
        raise DataError(path, "no file", expected, "check the path")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with torch.serialization.safe_globals(_numpy_numbers()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            path,
            f"something that is no tensor or number ({_first_line(error)})",
            expected,
            "save its state dict as safetensors where you trust the file",
        ) from error
    except Exception as error:  # a damaged file fails in any of zipfile, torch and safetensors
        raise DataError(
            path, f"unreadable content ({_first_line(error)})", expected, "get the file again"
        ) from error
    if isinstance(content, Mapping) and "network_weights" in content:
        content = content["network_weights"]
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        raise DataError(path, f"a {type(content).__name__}", expected, "check the path")
    return content


def _numpy_numbers() -> list:
    """What a numpy scalar is pickled with: nnU-Net's checkpoints have some in their log."""
    import numpy as np

    scalar = np.float64(0).__reduce__()[0]
    modules = ("numpy.core.multiarray", "numpy._core.multiarray")  # before and since numpy 2
    kinds = (np.float64, np.float32, np.int64, np.int32)
    return [
        *((scalar, f"{module}.scalar") for module in modules),
        np.dtype,
        *(type(np.dtype(kind)) for kind in kinds),
    ]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
