"""Uploads on the disk: files of our own names, in a folder that is gone when the server is.

The server's folder is locked as long as it runs. A server that was killed leaves its folder behind,
without the lock: the next one removes it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lightm_unet.deploy.serve.problems import Kind, Problem

try:
    import fcntl
except ImportError:  # Windows, which refuses to remove a file that is open: a lock of its own
    fcntl = None  # type: ignore[assignment]

PREFIX = "lightm-unet-serve-"
_LOCK = "lock"


class Spool:
    """The folders of all requests, and what they may hold together.

    Args:
        most_bytes: of all uploads that are on the disk at the same time.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most, self._held = most_bytes, 0
        self._guard = threading.Lock()
        _remove_abandoned(Path(tempfile.gettempdir()))
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))  # nobody else can read it
        self._lock = _lock(self.folder)

    def close(self) -> None:
        """Remove the folder with all that is in it."""
        if self._lock:
            self._lock.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_folder(self) -> RequestFolder:
        """A folder for one request."""
        return RequestFolder(Path(tempfile.mkdtemp(dir=self.folder)), self)

    def take(self, count: int) -> None:
        """Count bytes that are about to be written.

        Raises:
            Problem: all uploads together would be too many.
        """
        with self._guard:
            if self._held + count > self._most:
                raise Problem(
                    Kind.UNAVAILABLE,
                    "the uploads of all clients together fill the server's space; try again",
                    headers={"retry-after": "10"},
                )
            self._held += count

    def give(self, count: int) -> None:
        """Bytes that are gone from the disk."""
        with self._guard:
            self._held -= count


class RequestFolder:
    """The files of one request, which are removed when the last who holds them lets go."""

    def __init__(self, path: Path, spool: Spool) -> None:
        self.path, self._spool, self._bytes = path, spool, 0
        self._holders = 0
        self._guard = threading.Lock()

    def hold(self) -> None:
        """Keep the files for one more."""
        with self._guard:
            self._holders += 1

    def let_go(self) -> None:
        """One holder less; the last one removes everything."""
        with self._guard:
            self._holders -= 1
            if self._holders:
                return
        shutil.rmtree(self.path, ignore_errors=True)
        self._spool.give(self._bytes)

    @contextmanager
    def new_file(self, name: str) -> Iterator[CountedFile]:
        """Write a file.

        Args:
            name: of our own, never the client's.
        """
        with (self.path / name).open("xb") as file:
            yield CountedFile(file, self)

    def take(self, count: int) -> None:
        """Count bytes that are about to be written here.

        Raises:
            Problem: all uploads together would be too many.
        """
        self._spool.take(count)
        self._bytes += count


class CountedFile:
    """A file whose bytes count for the spool."""

    def __init__(self, file: BinaryIO, folder: RequestFolder) -> None:
        self._file, self._folder = file, folder
        self.bytes = 0

    def write(self, data: bytes) -> None:
        """Write bytes.

        Raises:
            Problem: all uploads together would be too many, or the disk is full.
        """
        self._folder.take(len(data))
        try:
            self._file.write(data)
        except OSError as error:
            raise Problem(
                Kind.UNAVAILABLE,
                f"the upload cannot be stored ({error.strerror}); try again later",
                headers={"retry-after": "30"},
            ) from error
        self.bytes += len(data)


def _lock(folder: Path) -> BinaryIO | None:
    """A file that is locked until it is closed or its process ends; None without such locks."""
    if fcntl is None:
        return None
    file = (folder / _LOCK).open("wb")
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def _remove_abandoned(parent: Path) -> None:
    """Remove the folders of servers that were killed. Only our own user's can be opened."""
    if fcntl is None:
        return
    for folder in parent.glob(f"{PREFIX}*"):
        if folder.is_symlink():
            continue
        with contextlib.suppress(OSError):
            if folder.stat().st_uid != os.getuid():
                continue
            with (folder / _LOCK).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
