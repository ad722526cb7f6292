"""Make a folder from published results in which `compare` goes on, without training again.

    python experiments/restore_results.py docs/results/lungs runs/lungs

The command that made the comparison (docs/results.md) then adds seeds or networks to it, given the
same data set; its tables compare them with the published runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lightm_unet.system.files import new_folder
from published import restore


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("published", type=Path, help="such as docs/results/lungs")
    parser.add_argument("comparison", type=Path, help="a new folder")
    arguments = parser.parse_args()
    with new_folder(arguments.comparison) as folder:
        restore(arguments.published, folder)


if __name__ == "__main__":
    main()
