"""Which device runs the network."""

from __future__ import annotations

import torch

from lightm_unet.errors import MissingPartError, UsageError


def choose_device(name: str = "auto") -> torch.device:
    """The device of this name, checked to be there.

    Args:
        name: "auto" takes a CUDA GPU, else Apple's, else the CPU; or "cpu", "cuda", "cuda:1",
            "mps".

    Raises:
        UsageError: no such kind of device.
        MissingPartError: the device is not in this machine, or torch was built without it.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
        if name == "cpu" and torch.backends.mps.is_available():
            name = "mps"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"no device {name!r}; expected auto, cpu, cuda, cuda:N or mps") from error
    count = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }.get(device.type)
    if count is None:
        raise UsageError(f"no device {name!r}; expected auto, cpu, cuda, cuda:N or mps")
    if (device.index or 0) >= count:
        raise MissingPartError(
            f"torch {torch.__version__} finds no device {name!r} here; "
            "use --device cpu, or install a torch build for this GPU"
        )
    return device
