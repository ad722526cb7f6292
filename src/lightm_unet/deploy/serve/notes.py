"""What the package logs about one image, kept for the client whose image it is."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from lightm_unet.system.logs import forget_remarks

_taken: ContextVar[list[str] | None] = ContextVar("notes", default=None)
_SAID_ONCE = " (said once for all files of this folder)"


class NoteTaker(logging.Handler):
    """Takes the lines that are logged while an image is worked on, in its thread."""

    def emit(self, record: logging.LogRecord) -> None:
        """Take one line."""
        notes = _taken.get()
        if notes is not None:
            notes.append(record.getMessage())


def is_about_an_image(record: logging.LogRecord) -> bool:
    """Whether a line that is being logged belongs to an image, and so to nobody but its owner."""
    return _taken.get() is not None


@contextmanager
def take_notes(folder: Path) -> Iterator[list[str]]:
    """Collect the lines that are logged within the block.

    Args:
        folder: of the image's files; the paths of these are left out of the lines.
    """
    notes: list[str] = []
    token = _taken.set(notes)
    try:
        yield notes
    finally:
        _taken.reset(token)
        forget_remarks()  # each names a folder that will not come again
        for number, line in enumerate(notes):
            notes[number] = _without_path(line, folder).removesuffix(_SAID_ONCE)


def _without_path(line: str, folder: Path) -> str:
    start, separator, rest = line.partition(": ")
    return rest if separator and start.startswith(str(folder)) else line
