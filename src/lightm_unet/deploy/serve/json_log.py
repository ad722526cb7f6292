"""The server's log: one JSON object a line, for programs that collect logs.

It holds no names, paths or pixels of patients: of a request the log says when, which address and
model, how long and how large, and the request's number, which the client got too.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import PurePath
from typing import IO, Any

from lightm_unet.deploy.serve.notes import is_about_an_image

_FACTS = "facts"
_LOGGERS = ("lightm_unet", "uvicorn")


def log_event(logger: logging.Logger, level: int, event: str, **facts: Any) -> None:
    """Log an event with its facts.

    Args:
        logger: of the module.
        level: as `logging` has them.
        event: in one or two words.
        facts: JSON's own types.
    """
    logger.log(level, event, extra={_FACTS: facts})


def where_it_failed(error: BaseException) -> str:
    """The type of an error and the line that raised it; its text may hold what nobody may read."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


@contextmanager
def json_lines(stream: IO[str] | None = None) -> Iterator[None]:
    """Within the block, the package and its web server log as JSON lines and nowhere else.

    Args:
        stream: by default standard error.
    """
    handler = _JsonLines(stream or sys.stderr)
    before = {}
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        before[name] = logger.handlers[:], logger.level, logger.propagate
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO if name == "lightm_unet" else logging.WARNING)
    try:
        yield
    finally:
        for name, (handlers, level, propagate) in before.items():
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)


class _JsonLines(logging.StreamHandler):
    def filter(self, record: logging.LogRecord) -> bool:
        return not is_about_an_image(record)

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, timezone.utc)
        line: dict[str, Any] = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage().strip(),
            **getattr(record, _FACTS, {}),
        }
        if record.exc_info and record.exc_info[1]:
            line["error"] = where_it_failed(record.exc_info[1])
        return json.dumps(line, ensure_ascii=True, default=str)
