"""Which implementation of the ops runs where, and why another one does not.

    reference   the definition, a loop over steps          any device, short sequences
    torch       plain torch, in chunks                     any device
    cpu         native kernels from csrc/                  CPU, float32
    triton      GPU kernels, compiled when first used      CUDA, float32, bfloat16, float16

Without a request the fastest one that fits the tensors is taken. A request, by the `backend`
argument of an op or by the environment variable `LIGHTM_UNET_BACKEND`, is obeyed or refused with
the reason, never replaced.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass

import torch

from lightm_unet.errors import MissingPartError, UsageError
from lightm_unet.system.choices import check_choice

try:
    # Compiled from csrc/, with no stub.
    from lightm_unet import _C as native  # type: ignore[attr-defined]
except ImportError as error:
    native, _why_no_native = None, str(error)

ENVIRONMENT_VARIABLE = "LIGHTM_UNET_BACKEND"
NAMES = ("cpu", "triton", "torch", "reference")  # fastest first


@dataclass(frozen=True)
class Backend:
    """One implementation of the ops, as `backends()` reports it."""

    name: str
    """The value for `backend=` or LIGHTM_UNET_BACKEND."""
    available: bool
    """Whether it can run in this process."""
    runs_on: str
    """The tensors that it takes."""
    detail: str
    """The instruction set or version in use; where it is not available, why, and what to do."""


def backends() -> tuple[Backend, ...]:
    """Every implementation of the ops, the fastest first, with the reason where one is missing.

    Example:
        >>> [b.name for b in backends() if b.runs_on == "any device"]
        ['torch', 'reference']
    """
    return (
        Backend("cpu", native is not None, "CPU, float32", _native_detail()),
        Backend(
            "triton",
            _why_no_triton() is None,
            "CUDA, float32, bfloat16, float16",
            _why_no_triton() or _triton_detail(),
        ),
        Backend("torch", True, "any device", f"torch {torch.__version__}, in chunks"),
        Backend("reference", True, "any device", "a loop over steps, for checking the others"),
    )


def _native_detail() -> str:
    if native is not None:
        return f"native scan; whole layers in inference and training; {native.instruction_set()}"
    return (
        f"the extension was not built ({_why_no_native}); install a C++17 compiler "
        "(Debian: apt-get install g++), then `pip install --force-reinstall --no-deps lightm-unet`"
    )


def _interpreting() -> bool:
    """Whether Triton kernels are to run in its interpreter, on the CPU, to check them."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@functools.cache
def _why_no_triton() -> str | None:
    """The reason for not having Triton, and the remedy; None if it is there."""
    if not torch.cuda.is_available() and not _interpreting():
        return (
            f"torch {torch.__version__} sees no CUDA device; on a machine with an NVIDIA GPU "
            "install its driver and a CUDA build of torch (https://pytorch.org/get-started/locally)"
        )
    try:
        import triton  # noqa: F401
    except ModuleNotFoundError:
        return "triton is not installed; `pip install triton` (on Linux)"
    except Exception as error:  # a broken installation raises whatever its libraries do
        return f"triton cannot be imported ({error}); `pip install --force-reinstall triton`"
    return None


def _triton_detail() -> str:
    import triton

    where = "the interpreter" if _interpreting() else torch.cuda.get_device_name()
    return f"triton {triton.__version__}, {where}"


def choose_backend(requested: str | None, device: torch.device, dtype: torch.dtype) -> str:
    """The backend for tensors on `device`, computed in `dtype`.

    Raises:
        UsageError: no backend has the requested name, or it cannot take such tensors.
        MissingPartError: the requested backend was not built.
    """
    if device.type == "meta":  # shapes without values, as when a network is counted
        return "torch"
    requested = requested or os.environ.get(ENVIRONMENT_VARIABLE) or None
    fits_native = device.type == "cpu" and dtype == torch.float32
    fits_triton = device.type == "cuda" and dtype == torch.float32
    if requested is None:
        if native is not None and fits_native:
            return "cpu"
        return "triton" if fits_triton and _why_no_triton() is None else "torch"
    check_choice("backend", requested, NAMES)
    if requested == "cpu" and native is None:
        raise MissingPartError(f"backend 'cpu' is not available: {_native_detail()}")
    if requested == "cpu" and not fits_native:
        raise UsageError(
            f"backend 'cpu' takes float32 tensors on the CPU, got {dtype} on {device}; "
            "move or convert them, or leave the backend to be chosen"
        )
    if requested == "triton" and _why_no_triton() is not None:
        raise MissingPartError(f"backend 'triton' is not available: {_why_no_triton()}")
    if requested == "triton" and not fits_triton and not (fits_native and _interpreting()):
        raise UsageError(
            f"backend 'triton' takes float32, bfloat16 and float16 tensors on a CUDA device, got "
            f"{dtype} on {device}; move or convert them, or leave the backend to be chosen"
        )
    return requested
