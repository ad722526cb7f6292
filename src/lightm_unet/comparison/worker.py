"""One run in its own process, so that several can run at the same time.

    python -m lightm_unet.comparison.worker FOLDER NETWORK SEED

Log messages go to stdout, the result goes into the run's folder.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from lightm_unet.comparison.plan import Run, read_plan
from lightm_unet.comparison.single_run import finish_run
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.system.subprocesses import join_parent


def main() -> None:
    """Make the run given by the arguments."""
    folder, network, seed = sys.argv[1:]
    _, out = join_parent()
    logger = logging.getLogger("lightm_unet")
    logger.addHandler(logging.StreamHandler(out))
    logger.setLevel(logging.INFO)
    path = Path(folder)
    finish_run(path, read_plan(path), Run(NetworkSpec.parse(network), int(seed)))


if __name__ == "__main__":
    main()
