"""One run in a process of its own, so that several can be made at once.

    python -m lightm_unet.comparison.worker FOLDER NETWORK SEED

What it logs goes to stdout, its result into the run's folder. It ends when its stdin does, so that
no run outlives the command that started it.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path

from lightm_unet.comparison.plan import Run, read_plan
from lightm_unet.comparison.single_run import finish_run


def main() -> None:
    """Make the run that the arguments name."""
    folder, network, seed = sys.argv[1:]
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    logger = logging.getLogger("lightm_unet")
    logger.addHandler(logging.StreamHandler(sys.stdout))
    logger.setLevel(logging.INFO)
    path = Path(folder)
    finish_run(path, read_plan(path), Run(network, int(seed)))


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
