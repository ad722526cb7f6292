"""One run, one writer: a file in the run's folder that says which process is training there.

The file holds the process's number, its start and its machine. A process that has ended holds
nothing, however it ended: its file is taken over. Numbers of processes are used again, hence the
start.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from lightm_unet.errors import UsageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_log = logging.getLogger(__name__)

LOCK = "lock.json"
"""The file's name."""
_THREADS = threading.Lock()


class Owner(NamedTuple):
    """A process on a machine."""

    pid: int
    started: str
    """When, as the system tells it; empty where it does not."""
    host: str


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Be the only process that trains in a folder, which is made where it is missing.

    Raises:
        UsageError: another process trains there, or may do so on another machine.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    own = this_process()
    _take(path, own)
    try:
        yield
    finally:
        with _guarded(path) as file:
            if _owner(file) == own:
                path.unlink(missing_ok=True)


def this_process() -> Owner:
    """The process that calls this."""
    pid = os.getpid()
    return Owner(pid, process_start(pid) or "", platform.node())


def process_start(pid: int) -> str | None:
    """When a process of this machine started; None if there is none, empty if nobody can tell."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()  # a name may hold blanks
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
        return None if fields[0] in "ZX" else f"{boot} {fields[19]}"
    except FileNotFoundError:
        if os.path.exists("/proc/self/stat"):
            return None
    except OSError:
        return ""
    try:  # macOS
        shown = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
    except OSError:  # Windows
        return ""
    return shown.stdout.strip() or None


def _take(path: Path, own: Owner) -> None:
    with _guarded(path) as file:
        owner = _owner(file)
        if owner is not None:
            _refuse_if_alive(owner, own, path)
            _log.info(
                f"{path.parent}: process {owner.pid} on {owner.host}, which trained here, has "
                "ended without a word; this process takes its place"
            )
        file.seek(0)
        file.truncate()
        file.write(json.dumps(own._asdict()) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _refuse_if_alive(owner: Owner, own: Owner, path: Path) -> None:
    if owner.host != own.host:
        raise UsageError(
            f"{path.parent}: process {owner.pid} on another machine, {owner.host}, trains here; "
            f"wait for it, or, if it does not run there any more, remove {path}"
        )
    started = process_start(owner.pid)
    if started is not None and (not started or not owner.started or started == owner.started):
        raise UsageError(
            f"{path.parent}: process {owner.pid} on {owner.host} trains here already; wait for it "
            f"or stop it, or choose another folder (if that process does something else, remove "
            f"{path})"
        )


def _owner(file: IO[str]) -> Owner | None:
    """Whom the file names; None if it is new, or its writer was killed while it wrote."""
    file.seek(0)
    try:
        content = json.loads(file.read())
        return Owner(int(content["pid"]), str(content["started"]), str(content["host"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


@contextmanager
def _guarded(path: Path) -> Iterator[IO[str]]:
    """The file, opened while no other process reads or changes it; made where it is missing.

    The system's own lock would not do for a whole run: processes that load samples would share it
    and hold it for some seconds after their parent was killed.
    """
    with _THREADS:
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            with os.fdopen(descriptor, "r+", errors="replace") as file:
                if fcntl is not None:
                    with contextlib.suppress(OSError):  # a file system without locks
                        fcntl.lockf(file, fcntl.LOCK_EX)
                if _is_still_there(descriptor, path):
                    yield file
                    return


def _is_still_there(descriptor: int, path: Path) -> bool:
    """Whether the file that was opened has not been removed by its owner meanwhile."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
