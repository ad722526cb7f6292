"""Lines of the log that say whose they are, and lines that are said once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_said: set[str] = set()


def log_once(logger: logging.Logger, remark: str, line: str) -> None:
    """Log a line at level info, unless the same remark has been made since `forget_remarks`.

    Args:
        logger: the logger of the module that has something to say.
        remark: what stays the same where the line would be repeated for each file.
        line: the line.
    """
    if remark not in _said:
        _said.add(remark)
        logger.info("%s", line)


def forget_remarks() -> None:
    """Begin a new run, in which every remark is made again."""
    _said.clear()


@contextmanager
def log_prefix(logger: logging.Logger, prefix: str) -> Iterator[None]:
    """Let every line that one logger takes within the block begin with `prefix`."""

    def add(record: logging.LogRecord) -> bool:
        record.msg, record.args = prefix + record.getMessage(), ()
        return True

    logger.addFilter(add)
    try:
        yield
    finally:
        logger.removeFilter(add)
