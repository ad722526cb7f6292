"""A folder for masks while processes write into it, and what killed ones have left there.

Every process holds a shared lock on the folder itself. Who could lock it alone is the only one
there, and may remove temporary files: nobody is writing them. The system gives up a process's lock
however it ends.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lightm_unet.inference.preview import PREVIEWS
from lightm_unet.inference.probabilities import FOLDER
from lightm_unet.system.files import remove_temporary_files

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_log = logging.getLogger(__name__)


@contextmanager
def using_folder(folder: Path) -> Iterator[None]:
    """Write into a folder within the block; it is made, and removed again where nothing was
    written.

    Where no other process uses it, temporary files that killed ones left are removed, before and
    after. File systems without such locks keep them.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = None if fcntl is None else os.open(folder, os.O_RDONLY)
    try:
        if descriptor is not None:
            _clean(folder, descriptor)
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        if descriptor is not None:
            with suppress(OSError):
                _clean(folder, descriptor)
            os.close(descriptor)
        if made:
            with suppress(OSError):  # there are files
                folder.rmdir()


def _clean(folder: Path, descriptor: int) -> None:
    """Remove temporary files if no other process uses the folder."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    for each in (folder, folder / FOLDER, folder / PREVIEWS):
        removed = remove_temporary_files(each)
        if removed:
            _log.info("%s: removed %d temporary files that a stopped run left", each, len(removed))
