"""Memory that the native kernels keep between calls, since fresh pages cost more than they hold.

The system takes some 3 microseconds for a fresh page, and a 3D image's features are tens of
thousands of pages in every layer and call.

What is kept has a limit, a quarter of the machine's memory: beyond it the memory that was freed
first goes back to the system. So a training or a prediction whose images have many sizes holds no
more than it uses at once and that quarter.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from lightm_unet.errors import UsageError
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
    if size < LARGE:  # named in full: a program may have set other defaults
        return torch.empty(*shape, dtype=torch.float32, device="cpu")
    return from_dlpack(native.empty(list(shape)))


def empty_like(t: Tensor) -> Tensor:
    """A dense one of t's shape."""
    return empty(t.shape)


def kept_bytes() -> int:
    """Bytes that are kept now and not in use: of freed tensors, and working memory of layers."""
    return 0 if native is None else native.kept_bytes()


def kept_limit() -> int:
    """The most bytes of freed tensors that are kept; 0 where the native kernels are not built."""
    return 0 if native is None else native.kept_limit()


def limit_kept_memory(limit_bytes: int) -> int:
    """Keep no more than so many bytes of freed tensors; 0 keeps nothing.

    The limit is a quarter of the machine's memory unless it is set here.

    Returns:
        The limit before, 0 where the native kernels are not built.

    Raises:
        UsageError: the limit is below 0.
    """
    if limit_bytes < 0:
        raise UsageError(f"limit_bytes needs 0 or a positive number, got {limit_bytes}")
    return 0 if native is None else native.limit_kept_memory(limit_bytes)


def release_memory() -> None:
    """Give what the native kernels keep between calls, and do not use now, back to the system.

    They keep the memory of large tensors that were freed, up to a quarter of the machine's memory,
    and the working memory of the largest layer that they have run. The next pass has to take it
    anew, which makes it slower.
    """
    if native is not None:
        native.release_memory()
