"""Memory that the native kernels keep between calls, since fresh pages cost more than they hold.

The system takes some 3 microseconds for a fresh page, and a 3D image's features are tens of
thousands of pages in every layer and call.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from lightm_unet.ops.dispatch import native

LARGE = 2**18
"""Numbers from which a tensor's memory is kept: 1 MB of them. Smaller ones the C library keeps."""


def empty(shape: Sequence[int]) -> Tensor:
    """A float32 tensor on the CPU for a native kernel to fill.

    Its memory is kept when it is freed, for the next one of about that size.
    """
    size = 1
    for n in shape:
        size *= n
    return torch.empty(*shape) if size < LARGE else from_dlpack(native.empty(list(shape)))


def empty_like(t: Tensor) -> Tensor:
    """A dense one of t's shape."""
    return empty(t.shape)


def release_memory() -> None:
    """Give what the native kernels keep between calls, and do not use now, back to the system."""
    if native is not None:
        native.release_memory()
