"""Which device runs a network: one choice and one set of errors for every verb."""

from __future__ import annotations

import torch

from lightm_unet.errors import MissingPartError, UsageError


def choose_device(name: str | torch.device = "auto", count: int = 1) -> torch.device:
    """The device of this name, checked to be there.

    Args:
        name: "auto" takes a CUDA GPU, else Apple's, else the CPU; or "cpu", "cuda", "cuda:1",
            "mps".
        count: how many such devices are to work together. A CPU takes any number of processes.

    Returns:
        A device of that kind. It has an index only where the name has one.

    Raises:
        UsageError: no such kind of device, or several of a device that is named by its index.
        MissingPartError: the device is not in this machine, or torch was built without it.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    if isinstance(name, torch.device):
        name = str(name)
    if not isinstance(name, str):
        raise UsageError(_unknown(name))
    if name == "auto":
        name = _best()
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(_unknown(name)) from error
    if device.type == "cpu" and device.index is None:
        present = max(count, 1)
    elif device.type == "cuda":
        present = torch.cuda.device_count()
    elif device.type == "mps":
        present = int(torch.backends.mps.is_available())
    else:
        raise UsageError(_unknown(name))
    if device.index is not None and count > 1:
        raise UsageError(
            f"device {name!r} is one device, but {count} were requested; use {device.type!r}"
        )
    if (device.index or 0) + count > present:
        found = f"no device {name!r}"
        if 0 < present < count:
            found = f"only {present} of {count} devices {name!r}"
        raise MissingPartError(
            f"torch {torch.__version__} finds {found} here; "
            "use --device cpu, or install a torch build for this GPU"
        )
    return device


def wait_for(device: torch.device) -> None:
    """Return when the device has done what it was given; a GPU works on after a call returns."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device's memory, or the machine's, does not suffice."""
    # On a CPU, torch raises a plain RuntimeError; only its text tells.
    typed = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    texts = ("can't allocate memory", "not enough memory")  # Linux and macOS, Windows
    return typed or (isinstance(error, RuntimeError) and any(text in str(error) for text in texts))


def _best() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _unknown(name: object) -> str:
    return f"device must exist: no device {name!r}; expected auto, cpu, cuda, cuda:N or mps"
