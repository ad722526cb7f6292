"""Several runs at the same time on one machine; each process gets its share of the cores.

Or as many threads as OMP_NUM_THREADS says, if the user has set it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lightm_unet.comparison.plan import Run
from lightm_unet.comparison.results import FAILED, RunResult, read_result, write_result
from lightm_unet.comparison.single_run import describe
from lightm_unet.system.subprocesses import Child, MemoryNeededError, python_module

_log = logging.getLogger(__name__)

WORKER = python_module("lightm_unet.comparison.worker")


def threads_of_each(processes: int) -> int | None:
    """The threads of each of several processes; None if the environment settles them."""
    if os.environ.get("OMP_NUM_THREADS"):
        return None
    return max(1, (os.cpu_count() or 1) // processes)


def finish_in_processes(
    folder: Path,
    runs: Sequence[Run],
    processes: int,
    command: Sequence[str] = WORKER,
) -> None:
    """Make runs, several at a time; each writes its result into its folder.

    The log messages of the processes are passed on to this process's log.

    If a process is killed, for example because memory ran out, only its own run fails.

    Args:
        folder: the comparison's folder.
        runs: the runs to make.
        processes: number of runs at the same time.
        command: the program to start; tests replace it.
    """
    threads = threads_of_each(processes)
    running: set[Child] = set()
    lock = threading.Lock()
    stopped = threading.Event()

    def make(run: Run) -> None:
        with lock:
            if stopped.is_set():
                return
            words = [str(folder), str(run.network), str(run.seed)]
            child = Child([*command, *words], threads=threads)
            running.add(child)
        with child:
            reason = follow(child)
        with lock:
            running.discard(child)
            if not stopped.is_set() and read_result(folder, run) is None:
                result = RunResult(run, FAILED, reason)
                write_result(result, folder)
                _log.info(f"{run}: {describe(result)}")

    def follow(child: Child) -> str:
        """Pass on the process's messages; return how it ended."""
        try:
            for line in child.lines():
                with lock:
                    _log.info(line)
        except MemoryNeededError as error:
            return str(error)
        return "" if stopped.is_set() else child.how_it_ended()

    with ThreadPoolExecutor(processes) as pool:
        tasks = [pool.submit(make, run) for run in runs]
        try:
            for task in tasks:
                task.result()
        finally:
            with lock:
                stopped.set()
                for child in running:
                    child.end()
