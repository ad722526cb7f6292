"""How many values an image may have, where a program that serves others sets a limit.

Headers state sizes, so that a file of a few kilobytes can ask for all memory of a machine. Readers
call `check_values` with what the header states, before memory is taken for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from lightm_unet.errors import TooLargeError

_most: ContextVar[float] = ContextVar("most_values", default=math.inf)


@contextmanager
def limit_values(most: int) -> Iterator[None]:
    """Within the block, and in this thread alone, refuse images of more values.

    Args:
        most: pixels or voxels times channels, in the file and on the model's grid.

    Example:
        >>> with limit_values(100):
        ...     check_values(Path("scan.nii"), (4, 5, 6))
        Traceback (most recent call last):
        lightm_unet.errors.TooLargeError: scan.nii: found 4x5x6 values; expected at most 100 \
together; cut out the region that matters, or resample the image to fewer values
    """
    token = _most.set(most)
    try:
        yield
    finally:
        _most.reset(token)


def check_values(path: Path, shape: Sequence[int], what: str = "values") -> None:
    """Refuse an image that has more values than `limit_values` allows.

    Args:
        path: the file, for the message.
        shape: all axes, channels too.
        what: they are, for the message.

    Raises:
        TooLargeError: it has.
    """
    most = _most.get()
    if math.prod(shape) > most:
        raise TooLargeError(
            path,
            f"{'x'.join(map(str, shape))} {what}",
            f"at most {most:,.0f} together",
            "cut out the region that matters, or resample the image to fewer values",
        )
