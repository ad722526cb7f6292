"""Configure Lightning: fewer messages, and the usual behaviour of Python on signals."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_MESSAGES = (
    ".*isinstance.treespec, LeafSpec.*",
    ".*exists and is not empty.*",
    ".*GPU available but not used.*",
    ".*barrier.*",
    "Grad strides do not match bucket view strides",
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hide Lightning's messages about devices and workers, which require no action."""
    # The import sets the log levels that are changed here.
    from pytorch_lightning.utilities.warnings import PossibleUserWarning

    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PossibleUserWarning)
            for message in _MESSAGES:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def stops_like_python() -> Iterator[None]:
    """Make Ctrl-C raise KeyboardInterrupt, and SIGTERM end with a failure.

    Lightning alone would exit with code 1 after Ctrl-C, and with code 0 after SIGTERM, which a
    cluster's scheduler sends.
    """
    from pytorch_lightning.utilities.exceptions import SIGTERMException

    try:
        yield
    except SIGTERMException as error:
        raise SystemExit(128 + signal.SIGTERM) from error
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        raise KeyboardInterrupt from error
