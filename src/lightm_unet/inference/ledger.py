"""The ledger of a folder of masks: which cases are done, so that a second run does only the rest.

`ledger.jsonl` has one JSON object on each line. A case begins with a `begin` line and ends with an
`end` line with the hash of the mask, or the error. Lines are only ever appended, each by
one write under a lock, so several processes can share the file. A line that a killed process left
half-written is passed over, and so is any other damaged line; its case is done again.

Nothing depends on clocks: what is written later in the file counts. Nor does anything depend on a
line having reached the disk before a power failure: a line that is lost is a case done again, and a
line whose mask is lost is found out by the mask's hash.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from lightm_unet.errors import DataError
from lightm_unet.system.files import encode_text

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_log = logging.getLogger(__name__)

LEDGER_NAME = "ledger.jsonl"
"""In the output folder; `evaluate` passes over it."""
FORMAT = 1
MOST_BEGINS = 3
"""A case that was begun so often without an end is set aside."""
_SYNC_SECONDS = 1.0
"""Lines reach the disk at the latest so long after they were written."""
_EVENTS = _BEGIN, _END, _LEFT = "begin", "end", "left"


class _Begun(NamedTuple):
    """The begins of a case since its last end."""

    key: str
    in_company: bool = False
    """Whether one was while other cases were on their way, any of which may have ended the
    process."""
    alone: int = 0

    @property
    def times(self) -> int:
        return self.alone + self.in_company


class Ledger:
    """A folder's ledger, read when it is opened, and open for more lines.

    Several threads may use one object.

    Args:
        path: the file; made by the first line.

    Raises:
        DataError: it cannot be read, or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._was_there = path, path.exists()
        self.damaged: list[int] = []
        """Numbers of lines that are no JSON objects of a ledger, from 1."""
        self.ended: dict[str, dict[str, Any]] = {}
        """The last end of each case, by its name: all entries of the line. Among them are `key`,
        and `sha256` of the mask or `error`."""
        self._begun: dict[str, _Begun] = {}
        self._own: set[str] = set()
        self._lines = self._offset = 0
        self._synced = 0.0
        self._one_at_a_time = threading.RLock()
        self.refresh()
        if self.damaged:
            shown = ", ".join(map(str, self.damaged[:5]))
            more = f" and {len(self.damaged) - 5} more" if len(self.damaged) > 5 else ""
            _log.warning(
                "%s: passed over what is no line of a ledger, as a process that was ended leaves "
                "it: line %s%s; the cases concerned are done again",
                path,
                shown,
                more,
            )

    def refresh(self) -> None:
        """Read the lines that were added since, by other processes too."""
        with self._one_at_a_time:
            try:
                with self.path.open("rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    if size == self._offset:
                        return
                    file.seek(self._offset)
                    data = file.read(size - self._offset)
            except FileNotFoundError:
                return
            except OSError as error:
                reason = error.strerror or str(error)
                raise DataError(
                    self.path, f"it cannot be read ({reason})", "a ledger", "check it"
                ) from error
            whole = data.rfind(b"\n") + 1  # another process may be writing the last line just now
            self._offset += whole
            with _without_collection():
                for line in _parsed(data[:whole].split(b"\n")[:-1]):
                    self._lines += 1
                    self._take(line)

    def times_begun(self, name: str, key: str) -> int:
        """How often a case was begun without an end; of several that were on their way when a
        process ended, each counts once only, until it was begun alone."""
        begun = self._begun.get(name)
        return begun.times if begun and begun.key == key else 0

    def was_interrupted(self, name: str) -> bool:
        """Whether a case of this name was begun and has no end."""
        return name in self._begun

    def interrupted(self) -> list[str]:
        """The cases that were begun and have no end."""
        return list(self._begun)

    def begin(self, name: str, key: str, *, alone: bool) -> None:
        """Note that a case is begun.

        Args:
            name: the case's.
            key: its key.
            alone: whether no other case is on its way in this process.
        """
        self._own.add(name)
        self._append({"event": _BEGIN, "case": name, "key": key, "alone": alone})

    def end(self, name: str, key: str, fields: Mapping[str, Any]) -> None:
        """Note that a case is done or failed.

        Args:
            name: the case's.
            key: its key; empty where its files cannot be read.
            fields: `sha256` or `error`, and whatever else is known.
        """
        self._own.discard(name)
        self._append({"event": _END, "case": name, "key": key, **fields})

    def close(self) -> None:
        """Note that what this process has begun was left, not what ended it; sync."""
        for name in sorted(self._own):
            self._append({"event": _LEFT, "case": name})
        self._own.clear()
        if self._lines:
            with suppress(OSError), self._opened() as descriptor:
                os.fsync(descriptor)

    def remove_if_new(self) -> None:
        """Remove the file if it was not there when it was opened."""
        if not self._was_there:
            self._own.clear()
            self.path.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Within the block, no other process that uses this ledger is in such a block."""
        with self._one_at_a_time:
            if not self.path.exists():  # a model that does not say which weights it has
                yield
                return
            with self._opened():
                yield

    def _append(self, line: Mapping[str, Any]) -> None:
        stamped = {
            "format": FORMAT,
            **line,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        text = json.dumps(stamped, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        with self._one_at_a_time, self._opened() as descriptor:
            data = encode_text(text + "\n")
            if _ends_in_a_line(descriptor):
                data = b"\n" + data  # what a killed process left stays a line of its own
            written = os.write(descriptor, data)
            if written != len(data):
                raise OSError(28, "No space left on device", str(self.path))
            now = time.monotonic()
            if now - self._synced > _SYNC_SECONDS:
                os.fsync(descriptor)
                self._synced = now

    @contextmanager
    def _opened(self) -> Iterator[int]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            if fcntl is not None:
                with suppress(OSError):  # a file system without locks; appending is one write
                    fcntl.lockf(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)

    def _take(self, line: Any) -> None:
        if isinstance(line, dict):
            event, name, key = line.get("event"), line.get("case"), line.get("key", "")
            if line.get("format") != FORMAT and "format" in line:
                raise DataError(
                    self.path,
                    f"format {line.get('format')!r:.40} in line {self._lines}",
                    f"format {FORMAT}",
                    "upgrade lightm-unet, or choose another output folder",
                )
            if isinstance(name, str) and isinstance(key, str) and event in _EVENTS:
                if event == _END:
                    if line.get("set_aside") is not True:  # such a case stays so
                        self._begun.pop(name, None)
                    self.ended[name] = line
                elif event == _BEGIN:
                    self._take_begin(name, key, line.get("alone") is True)
                else:
                    self._begun.pop(name, None)
                return
        if line != b"":
            self.damaged.append(self._lines)

    def _take_begin(self, name: str, key: str, alone: bool) -> None:
        begun = self._begun.get(name)
        if begun is None or begun.key != key:
            begun = _Begun(key)
        self._begun[name] = _Begun(key, begun.in_company or not alone, begun.alone + alone)


@contextmanager
def _without_collection() -> Iterator[None]:
    """Let Python not look for garbage within the block, which many new objects set off in vain."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _parsed(lines: list[bytes]) -> Iterator[Any]:
    """Each line as JSON's own types; one that is none as its bytes."""
    for start in range(0, len(lines), _AT_ONCE):
        block = lines[start : start + _AT_ONCE]
        try:
            values = json.loads(b"[" + b",".join(block) + b"]")
            if len(values) == len(block):
                yield from values
                continue
        except (ValueError, RecursionError):
            pass
        for line in block:
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):
                yield line


_AT_ONCE = 1000
"""Lines that are parsed together, which is faster than one by one."""


def _ends_in_a_line(descriptor: int) -> bool:
    """Whether a file does not end with the end of a line."""
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
