"""Hours, cores, memory and disk that an archive takes, from a measured run.

    python experiments/archive_arithmetic.py MODEL IMAGES [--count 50] [--studies 100000]

Predicts the first COUNT images of a folder in a process of its own with one thread, and multiplies.
One thread for each process and one process for each core is what an archive is done with: no core
waits for another.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from lightm_unet.inference.ledger import LEDGER_NAME
from lightm_unet.reporting.text_tables import markdown_table

CORES = (2, 4, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("images", type=Path)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--studies", type=int, default=100_000)
    given = parser.parse_args()
    images = sorted(path for path in given.images.iterdir() if path.is_file())[: given.count]
    with tempfile.TemporaryDirectory() as folder:
        output, report = Path(folder) / "masks", Path(folder) / "report.json"
        subprocess.run(
            [
                *(sys.executable, "-m", "lightm_unet", "predict", given.model, *images),
                *("--output", output, "--report", report, "--device", "cpu"),
            ],
            env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        run = json.loads(report.read_text())
        done = [case for case in run["cases"] if case["outcome"] == "done"]
        masks = sum(path.stat().st_size for path in output.iterdir() if path.suffix != ".jsonl")
        ledger = (output / LEDGER_NAME).stat().st_size
    read = sum(path.stat().st_size for path in images)
    seconds, times = run["seconds"] / len(done), given.studies / len(done)
    print(
        f"{len(done)} studies: {seconds:.3f} s each by one process of one thread, "
        f"{run['peak_memory_bytes'] / 1e9:.2f} GB\n"
    )
    hours = given.studies * seconds / 3600
    rows = [["hours of one core", f"{hours:,.1f}"]]
    rows += [[f"hours with {cores} cores", f"{hours / cores:,.2f}"] for cores in CORES]
    rows += [
        [f"GB of memory with {cores} cores", f"{cores * run['peak_memory_bytes'] / 1e9:,.1f}"]
        for cores in CORES
    ]
    rows += [
        ["GB read", f"{times * read / 1e9:,.1f}"],
        ["GB of masks and records", f"{times * masks / 1e9:,.2f}"],
        ["GB of ledgers", f"{times * ledger / 1e9:,.2f}"],
    ]
    print("\n".join(markdown_table([f"{given.studies:,} studies take", ""], rows)))


if __name__ == "__main__":
    main()
