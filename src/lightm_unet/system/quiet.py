"""Warnings of libraries kept from users, also where several threads read and write files."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_one_at_a_time = threading.RLock()


@contextmanager
def without_warnings() -> Iterator[None]:
    """Ignore all warnings within the block, which one thread at a time can be in.

    Python's filters are the whole process's. Two threads that each set them and set them back
    would leave them wrong: one would put back what the other had set for its own block.

    Example:
        >>> with without_warnings():
        ...     warnings.warn("this attribute is too long")
    """
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
