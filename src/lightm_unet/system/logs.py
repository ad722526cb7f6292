"""Lines of the log that say whose they are."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


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
