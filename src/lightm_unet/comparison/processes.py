"""Several runs at once on one machine, each in a process with its share of the cores."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lightm_unet.comparison.plan import Run
from lightm_unet.comparison.results import FAILED, RunResult, read_result, write_result
from lightm_unet.comparison.single_run import describe

_log = logging.getLogger(__name__)

WORKER = (sys.executable, "-m", "lightm_unet.comparison.worker")


def finish_in_processes(
    folder: Path,
    runs: Sequence[Run],
    processes: int,
    command: Sequence[str] = WORKER,
) -> None:
    """Make runs, so many at a time; each leaves its result in its folder.

    What the processes log is logged here again.

    A process that is ended from outside, such as by the system when memory runs out, fails its
    own run alone.

    Args:
        folder: the comparison's.
        runs: which.
        processes: how many at a time.
        command: the program, for tests.
    """
    threads = max(1, (os.cpu_count() or 1) // processes)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    running: set[subprocess.Popen] = set()
    lock = threading.Lock()
    stopped = threading.Event()

    def make(run: Run) -> None:
        with lock:
            if stopped.is_set():
                return
            process = subprocess.Popen(
                [*command, str(folder), str(run.network), str(run.seed)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches this command alone, which ends the others
            )
            running.add(process)
        with process:
            for line in process.stdout:
                with lock:
                    _log.info(line.rstrip("\n"))
        with lock:
            running.discard(process)
            if not stopped.is_set() and read_result(folder, run) is None:
                code = process.returncode
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                hint = " (the system's way when memory runs out)" if code == -9 else ""
                result = RunResult(run, FAILED, f"its process ended by {how}{hint}")
                write_result(result, folder)
                _log.info(f"{run}: {describe(result)}")

    with ThreadPoolExecutor(processes) as pool:
        tasks = [pool.submit(make, run) for run in runs]
        try:
            for task in tasks:
                task.result()
        finally:
            with lock:
                stopped.set()
                for process in running:
                    process.kill()
