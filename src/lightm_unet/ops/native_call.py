"""How tensors reach the native kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.dlpack import to_dlpack


def call(kernel: Callable[..., None], *arguments: Any) -> None:
    """Run a kernel of the extension on torch's threads; results go into tensors it is given.

    Tensors, also in lists, are handed over as DLPack capsules. The extension would take tensors
    too, but then it calls back into Python code of torch's for each of them, and a Ctrl-C that
    arrives in there is lost.
    """
    kernel(*(_handed_over(argument) for argument in arguments), torch.get_num_threads())


def _handed_over(argument: Any) -> Any:
    if isinstance(argument, Tensor):
        return to_dlpack(argument)
    if isinstance(argument, list):
        return [_handed_over(item) for item in argument]
    return argument
