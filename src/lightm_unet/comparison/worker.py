"""One run in a process of its own, so that several can be made at once.

    python -m lightm_unet.comparison.worker FOLDER NETWORK SEED

What it logs goes to stdout, its result into the run's folder.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from lightm_unet.comparison.plan import Run, read_plan
from lightm_unet.comparison.single_run import finish_run
from lightm_unet.system.subprocesses import join_parent


def main() -> None:
    """Make the run that the arguments name."""
    folder, network, seed = sys.argv[1:]
    _, out = join_parent()
    logger = logging.getLogger("lightm_unet")
    logger.addHandler(logging.StreamHandler(out))
    logger.setLevel(logging.INFO)
    path = Path(folder)
    finish_run(path, read_plan(path), Run(network, int(seed)))


if __name__ == "__main__":
    main()
