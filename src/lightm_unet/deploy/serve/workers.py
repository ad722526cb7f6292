"""A few threads that segment images, and a bounded queue before them.

Threads, not processes: the kernels and torch leave Python free while they run, and the models are
in memory once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch

from lightm_unet.deploy.serve.problems import busy

_USUAL_S = 1.0
"""What one image is taken to need before the first is done."""


class CancelledError(Exception):
    """Nobody waits for the result any more."""


@dataclass(eq=False)
class Job:
    """One image's work, from its place in the queue to its result."""

    _cancelled: threading.Event = field(default_factory=threading.Event)
    future: Future = field(default_factory=Future)
    submitted: float = field(default_factory=time.perf_counter)
    started: float | None = None

    def check(self) -> None:
        """Called by the work between its steps.

        Raises:
            CancelledError: to stop the work.
        """
        if self._cancelled.is_set():
            raise CancelledError

    def cancel(self) -> None:
        """Give the job up: it leaves the queue at once, or stops at its next step."""
        self._cancelled.set()
        self.future.cancel()

    @property
    def waited_s(self) -> float:
        """Seconds in the queue."""
        return (self.started or time.perf_counter()) - self.submitted

    @property
    def worked_s(self) -> float:
        """Seconds since the work began."""
        return time.perf_counter() - self.started if self.started else 0.0


class Workers:
    """The threads.

    Args:
        count: of threads, which is how many jobs run at the same time.
        threads: of torch and the kernels, for each of them.
        queue: how many jobs may wait.
    """

    def __init__(self, count: int, threads: int, queue: int) -> None:
        self.count, self.places = count, count + queue
        self._taken = self._running = 0
        self._job_s = _USUAL_S
        self._guard = threading.Lock()
        self._pool = ThreadPoolExecutor(
            count, "segment", initializer=torch.set_num_threads, initargs=(threads,)
        )

    @property
    def running(self) -> int:
        """Jobs that are being worked on."""
        return self._running

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return max(0, self._taken - self._running)

    def expect_place(self) -> None:
        """Refuse a request early, before its image is uploaded.

        Raises:
            Problem: all places are taken.
        """
        if self._taken >= self.places:
            raise busy(self._seconds_to_wait())

    def submit(self, work: Callable[[Job], Any]) -> Job:
        """Put a job into the queue.

        Args:
            work: gets the job, whose `check` it calls between its steps; what it returns becomes
                the result of `Job.future`.

        Raises:
            Problem: all places are taken.
        """
        with self._guard:
            if self._taken >= self.places:
                raise busy(self._seconds_to_wait())
            self._taken += 1
        job = Job()
        job.future = self._pool.submit(self._run, work, job)
        job.future.add_done_callback(self._leave)
        return job

    def close(self) -> None:
        """Drop what waits, and return when what runs has ended."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, work: Callable[[Job], Any], job: Job) -> Any:
        with self._guard:
            self._running += 1
        job.started = time.perf_counter()
        try:
            job.check()
            result = work(job)
        finally:
            with self._guard:
                self._running -= 1
        with self._guard:
            self._job_s += 0.2 * (time.perf_counter() - job.started - self._job_s)
        return result

    def _leave(self, _: Future) -> None:
        with self._guard:
            self._taken -= 1

    def _seconds_to_wait(self) -> float:
        """Until a place is free, by what the last jobs took."""
        return self._job_s * self._taken / self.count / 2
