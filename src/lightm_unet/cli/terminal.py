"""Standard error: errors, log messages and progress bars, through one console.

Lines printed through the same console as the bars appear complete, above the bars.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from lightm_unet.system.logs import forget_remarks

if TYPE_CHECKING:
    from lightm_unet.system.progress import Progress

STANDARD_ERROR = Console(stderr=True)


def complain(message: str) -> None:
    """Print a message on one line of standard error."""
    _print(" ".join(message.split()))


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
    STANDARD_ERROR.out(line, highlight=False)  # flushes
