"""Bench cases and results made by hand, and processes that only play their part."""

from __future__ import annotations

import pytest

from lightm_unet.benchmark.bench import RoundRobin
from lightm_unet.benchmark.bench_case import BenchCase
from lightm_unet.benchmark.results import Result
from lightm_unet.system.subprocesses import ChildError


@pytest.fixture
def make_result():
    """A result of hand-made times."""

    def make(network="lightm-unet", size=(8, 8), seconds=(1.0, 2.0, 4.0), first=None, **who):
        return Result(
            BenchCase(network, size, **who),
            parameters=10,
            seconds=tuple(seconds),
            first_seconds=9.0,
            idle_bytes=300,
            peak_bytes=1000,
            session=1,
            first_of_session=tuple(seconds if first is None else first),
        )

    return make


class Actor:
    """Plays a case's process: writes down its turns, and fails where the script says so."""

    def __init__(self, case, diary, script):
        self.case, self.diary, self.script = case, diary, script

    def __enter__(self):
        self.diary.append(f"start {self.case.network}")
        return self

    def __exit__(self, *_):
        self.diary.append(f"end {self.case.network}")

    def build(self):
        self._maybe_fail("build")
        return {"parameters": 1, "idle_bytes": 100}

    def turn(self, seconds):
        self._maybe_fail("turn" if seconds else "warm-up")
        self.diary.append(f"{'turn' if seconds else 'warm-up'} {self.case.network}")
        return {"seconds": [3.0, 1.0, 2.0], "peak_bytes": 150}

    def _maybe_fail(self, moment):
        error = self.script.get((str(self.case.network), moment))
        if callable(error):
            error = error(self.diary)
        if isinstance(error, BaseException):
            raise error
        if error:
            raise ChildError(error)


@pytest.fixture
def bench():
    """Run named actors in one group; returns the bench and the diary of what happened."""

    def run(names, script=None, rounds=1, probe=None, device="cpu"):
        diary: list[str] = []
        round_robin = RoundRobin(
            rounds,
            start=lambda case: Actor(case, diary, script or {}),
            rest=lambda _: diary.append("rest"),
            probe=probe,
        )
        group = [BenchCase(name, (8, 8), device=device) for name in names]
        try:
            round_robin.run_group(group)
        finally:
            round_robin.diary = diary
            round_robin.by_name = {str(c.network): round_robin.results.get(c) for c in group}
        return round_robin

    return run
