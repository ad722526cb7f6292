"""Standard error: errors, log messages and progress bars, through one console.

Lines printed through the same console as the bars appear complete, above the bars.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING

from rich.console import Console

from lightm_unet.errors import printable
from lightm_unet.system.logs import forget_remarks

if TYPE_CHECKING:
    from lightm_unet.system.progress import Progress


class _StandardError(Console):
    def on_broken_pipe(self) -> None:
        """A reader that is gone changes neither the work nor the exit code."""
        self.quiet = True


STANDARD_ERROR = _StandardError(stderr=True)


def complain(message: str) -> None:
    """Print a message on one line of standard error.

    Control characters, which a file name may hold, are shown as Python writes them.
    """
    _print(printable(" ".join(message.split())))


def progress_bars() -> AbstractContextManager[Progress | None]:
    """Show progress bars for the code in the block, if standard error is a terminal."""
    from lightm_unet.reporting.progress_bar import progress_bar

    return progress_bar(STANDARD_ERROR)


@contextmanager
def print_log() -> Iterator[None]:
    """Print the package's log messages within the block on standard error."""
    forget_remarks()
    logger, handler = logging.getLogger("lightm_unet"), _Lines()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _print(record.getMessage())


def _print(line: str) -> None:
    with suppress(OSError):  # standard error itself cannot be written, as on a full disk
        STANDARD_ERROR.out(line, highlight=False)  # flushes
