"""What every op refuses before any backend sees it: tensors that it would convert with a loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad

from lightm_unet.errors import UsageError

FLOATING = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
"""What the ops compute with; `compute_dtype` says in which of them."""


def check_tensors(op: str, **tensors: Tensor | None) -> None:
    """Refuse what is no dense tensor of floating-point numbers on the first tensor's device.

    Whole numbers would be cut off in the result, complex ones lose their imaginary part, and
    numbers of 8 bits need a scale that does not travel with them. Forward-mode derivatives, which
    the ops do not have, would be taken for zero.

    Args:
        op: the name that the user called.
        tensors: its arguments by name; None stands for one that is left out.

    Raises:
        UsageError: names the argument, what it is, and what to do.
    """
    device = None
    for name, tensor in tensors.items():
        if tensor is None:
            continue
        if not isinstance(tensor, Tensor):
            raise UsageError(
                f"{op}: {name} needs a torch.Tensor, got {type(tensor).__name__}; "
                "torch.as_tensor makes one"
            )
        if tensor.dtype not in FLOATING or tensor.layout is not torch.strided or tensor.is_nested:
            nested = ", nested" if tensor.is_nested else ""
            raise UsageError(
                f"{op}: {name} needs a dense tensor of float32, float64, bfloat16 or float16, "
                f"got {tensor.dtype} ({str(tensor.layout).removeprefix('torch.')}{nested}); "
                "convert it first, for example with .float(), .to_dense() or .dequantize()"
            )
        if forward_ad._current_level >= 0 and forward_ad.unpack_dual(tensor).tangent is not None:
            raise UsageError(
                f"{op}: {name} carries a forward-mode derivative (jvp, jacfwd), and the op has "
                "derivatives in backward mode only; use torch.autograd.grad or backward()"
            )
        device = tensor.device if device is None else device
        if tensor.device != device:
            first = next(iter(tensors))
            raise UsageError(f"{op}: {name} is on {tensor.device}, but {first} is on {device}")


def compute_dtype(first: Tensor) -> torch.dtype:
    """float64 if the first argument is, float32 for every other; the others are converted."""
    return torch.float64 if first.dtype == torch.float64 else torch.float32
