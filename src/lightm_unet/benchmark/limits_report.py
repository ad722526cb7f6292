"""The result of measuring the machine's limits: the numbers, and how they were measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

PROBE_SECONDS = 0.005
"""A measurement takes at least so long: a thread needs some 0.05 ms to wake up. Longer ones would
less often find both cores free of other programs."""
REPEATS = 8
"""Measurements in each round."""
STREAM_FLOATS = 2**26
"""Numbers in each of the two buffers of the memory's limit: 268 MB, beyond all caches."""


@dataclass(frozen=True)
class Limit:
    """What one part of the machine can do."""

    name: str
    """The work."""
    unit: str
    """Of `rates`."""
    rates: dict[int, float]
    """For each number of threads the best rate over the rounds; none where the work needs the
    native kernels, which are not built."""


@dataclass(frozen=True)
class LimitsReport:
    """The result of one run of `bench_limits`."""

    machine: dict[str, Any]
    """Description of the machine, as in `doctor`."""
    rounds: int
    """Number of turns; the best of all measurements counts."""
    threads: tuple[int, ...]
    """Numbers of threads, the smallest first."""
    limits: tuple[Limit, ...]
    """Every limit."""

    def to_json(self) -> dict[str, Any]:
        """The report as stored in bench.json."""
        return {
            "machine": self.machine,
            "rounds": self.rounds,
            "threads": list(self.threads),
            "limits": [asdict(limit) for limit in self.limits],
        }
