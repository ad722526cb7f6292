"""What one bench has found: the numbers of all its cases, and how they were taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lightm_unet.benchmark.results import Growth, Result

TURN_SECONDS = 0.5
"""A turn is passes for this long, one at least: short passes are repeated until they are steady."""
REST_SECONDS = 0.1


@dataclass(frozen=True)
class BenchReport:
    """Everything that one run of `bench` has found."""

    machine: dict[str, Any]
    """What `doctor` says."""
    rounds: int
    """Turns of each case."""
    results: tuple[Result, ...]
    """One for each case, the failed ones too, in the order of the request."""
    notes: tuple[str, ...] = ()
    """What a reader of the numbers should know of how the run went."""
    growths: tuple[Growth, ...] = field(default=())
    """For each series of several sizes, how time grows with the number of voxels."""

    @property
    def failed(self) -> tuple[Result, ...]:
        """The cases without numbers."""
        return tuple(result for result in self.results if result.error)

    def to_json(self) -> dict[str, Any]:
        """The report as bench.json holds it."""
        return {
            "machine": self.machine,
            "rounds": self.rounds,
            "turn_seconds": TURN_SECONDS,
            "rest_seconds": REST_SECONDS,
            "notes": list(self.notes),
            "results": [result.to_json() for result in self.results],
            "growth": [growth.to_json() for growth in self.growths],
        }
