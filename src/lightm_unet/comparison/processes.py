"""Several runs at once on one machine, each in a process with its share of the cores."""

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


def finish_in_processes(
    folder: Path,
    runs: Sequence[Run],
    processes: int,
    command: Sequence[str] = WORKER,
) -> None:
    """Make runs, so many at a time; each leaves its result in its folder.

    What the processes log is logged here again.

    A process that is ended from outside, or because the machine's memory runs out, fails its own
    run alone.

    Args:
        folder: the comparison's.
        runs: which.
        processes: how many at a time.
        command: the program, for tests.
    """
    threads = max(1, (os.cpu_count() or 1) // processes)
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
        """Pass on what it says; returns how it ended."""
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
