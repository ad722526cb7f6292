"""Contestants and results made by hand, and processes that only play their part."""

from __future__ import annotations

import pytest

from lightm_unet.benchmark.bench import Race
from lightm_unet.benchmark.contestants import Contestant
from lightm_unet.benchmark.results import Result
from lightm_unet.system.subprocesses import ChildError


@pytest.fixture
def make_result():
    """A result of hand-made times."""

    def make(network="lightm-unet", size=(8, 8), seconds=(1.0, 2.0, 4.0), first=None, **who):
        return Result(
            Contestant(network, size, **who),
            parameters=10,
            seconds=tuple(seconds),
            first_seconds=9.0,
            idle_bytes=300,
            peak_bytes=1000,
            heat=1,
            first_of_heat=tuple(seconds if first is None else first),
        )

    return make


class Actor:
    """Plays a contestant's process: writes down its turns, and fails where the script says so."""

    def __init__(self, contestant, diary, script):
        self.contestant, self.diary, self.script = contestant, diary, script

    def __enter__(self):
        self.diary.append(f"start {self.contestant.network}")
        return self

    def __exit__(self, *_):
        self.diary.append(f"end {self.contestant.network}")

    def build(self):
        self._maybe_fail("build")
        return {"parameters": 1, "idle_bytes": 100}

    def turn(self, seconds):
        self._maybe_fail("turn" if seconds else "warm-up")
        self.diary.append(f"{'turn' if seconds else 'warm-up'} {self.contestant.network}")
        return {"seconds": [3.0, 1.0, 2.0], "peak_bytes": 150}

    def _maybe_fail(self, moment):
        error = self.script.get((str(self.contestant.network), moment))
        if callable(error):
            error = error(self.diary)
        if isinstance(error, BaseException):
            raise error
        if error:
            raise ChildError(error)


@pytest.fixture
def race():
    """Run named actors in one group; returns the race and the diary of what happened."""

    def run(names, script=None, rounds=1):
        diary: list[str] = []
        race = Race(
            rounds,
            start=lambda contestant: Actor(contestant, diary, script or {}),
            rest=lambda _: diary.append("rest"),
        )
        group = [Contestant(name, (8, 8)) for name in names]
        try:
            race.run_group(group)
        finally:
            race.diary = diary
            race.by_name = {str(c.network): race.results.get(c) for c in group}
        return race

    return run
