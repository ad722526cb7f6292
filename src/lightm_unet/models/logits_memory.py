"""Memory for a network's output on a whole image; what is large is kept in a temporary file.

The output of a large scan takes gigabytes, one float for each voxel and label. It is written once
and read a few times, part by part, so that a file serves as well: the system keeps of it in memory
what fits. The file has no name, so that nothing of it is left, however the process ends.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import torch

from lightm_unet.errors import UsageError

LARGEST_IN_MEMORY = 2**30
"""Bytes."""


class LogitsMemory(NamedTuple):
    """Memory that can be written and read like any tensor."""

    tensor: torch.Tensor
    """float32."""
    mapped: mmap.mmap | None = None
    """The file behind it."""

    def release(self) -> None:
        """Give back what the process holds of a file in memory; the numbers stay in the file."""
        if self.mapped is not None and hasattr(self.mapped, "madvise"):  # not on Windows
            self.mapped.madvise(mmap.MADV_DONTNEED)


def take_memory(shape: tuple[int, ...]) -> LogitsMemory:
    """Memory for so many numbers; for many of them in a temporary file.

    The file lies where the system keeps temporary files; `TMPDIR` names another folder.

    Raises:
        UsageError: the folder has too little space for it.
    """
    size = 4 * math.prod(shape)
    if size <= LARGEST_IN_MEMORY:
        return LogitsMemory(torch.empty(shape))
    with tempfile.TemporaryFile() as file:
        try:
            # Space is reserved now: a disk that fills up later would end the process.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
        except OSError as error:
            with suppress(OSError):
                file.truncate(0)
            raise UsageError(
                f"the logits of this image take {size / 1e9:.1f} GB in the folder for temporary "
                f"files, {tempfile.gettempdir()}, which it does not give "
                f"({error.strerror or error}); free space there, or set TMPDIR to another folder"
            ) from error
        mapped = mmap.mmap(file.fileno(), size)
    array = np.frombuffer(mapped, np.float32).reshape(shape)
    return LogitsMemory(torch.from_numpy(array), mapped)
