"""What stops a run from outside, explained: a full disk, too little memory, a lost process."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightm_unet.errors import DataError, LightMUNetError, MissingPartError

_MEMORY = ("out of memory", "allocate memory", "not enough memory", "bad_alloc", "bad allocation")
_WORKER = "DataLoader worker"
_ENDED = ("killed by signal", "exited unexpectedly")
GO_ON = "then go on with --resume"


@contextmanager
def explained_failures(folder: Path) -> Iterator[None]:
    """Explain what ends a run without being the user's mistake. Files of finished epochs are whole.

    Args:
        folder: the run's folder.

    Raises:
        DataError: instead of any `OSError`: the run's files cannot be written.
        MissingPartError: instead of an error for want of memory, or where a process that loads
            samples was ended.
    """
    try:
        yield
    except LightMUNetError:
        raise
    except (OSError, MemoryError, RuntimeError) as error:
        explanation = _explain(error, folder)
        if explanation is None:
            raise
        raise explanation from error


def _explain(error: BaseException, folder: Path) -> LightMUNetError | None:
    text = str(error)
    reason = text.strip().rpartition("\n")[2][:200]
    if isinstance(error, RuntimeError) and _WORKER in text and any(e in text for e in _ENDED):
        return MissingPartError(
            f"{folder}: a process that prepares samples was ended ({reason}), most often for want "
            f"of memory; {GO_ON}, on a machine with more memory, or start a run with fewer "
            "--workers"
        )
    if (
        isinstance(error, MemoryError)
        or getattr(error, "errno", None) == errno.ENOMEM
        or (isinstance(error, RuntimeError) and any(sign in text for sign in _MEMORY))
    ):
        return MissingPartError(
            f"{folder}: the memory does not suffice ({reason or type(error).__name__}); start a "
            "run with a smaller --batch-size, --size or --patch, or with fewer --workers; or end "
            f"other programs, {GO_ON}"
        )
    if isinstance(error, OSError):
        named = error.filename is not None and not str(error.filename).endswith(".tmp")
        return DataError(
            error.filename if named else folder,
            error.strerror or reason,
            "a folder that can be written and a disk with space",
            f"free some space or correct the folder, {GO_ON} if the run has begun",
        )
    return None
