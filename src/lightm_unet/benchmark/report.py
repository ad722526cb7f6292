"""The result of one benchmark: the numbers of all cases, and how they were measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lightm_unet.benchmark.ratios import Ratio
from lightm_unet.benchmark.results import Growth, Result

TURN_SECONDS = 0.5
"""Duration of a turn, in which passes are repeated; a turn has at least one pass."""
REST_SECONDS = 0.1


@dataclass(frozen=True)
class BenchReport:
    """The result of one run of `bench`."""

    machine: dict[str, Any]
    """Description of the machine, as in `doctor`."""
    rounds: int
    """Number of turns of each case."""
    results: tuple[Result, ...]
    """One result for each case, including failed ones, in the order of the request."""
    notes: tuple[str, ...] = ()
    """Remarks on the run that a reader of the numbers should know."""
    growths: tuple[Growth, ...] = field(default=())
    """For each series of several sizes, how time grows with the number of voxels."""
    ratios: tuple[Ratio, ...] = field(default=())
    """For each network that was measured so: a training step against an inference, one thread
    against several."""

    @property
    def failed(self) -> tuple[Result, ...]:
        """The cases without numbers."""
        return tuple(result for result in self.results if result.error)

    def to_json(self) -> dict[str, Any]:
        """The report as stored in bench.json."""
        return {
            "machine": self.machine,
            "rounds": self.rounds,
            "turn_seconds": TURN_SECONDS,
            "rest_seconds": REST_SECONDS,
            "notes": list(self.notes),
            "results": [result.to_json() for result in self.results],
            "growth": [growth.to_json() for growth in self.growths],
            "ratios": [ratio.to_json() for ratio in self.ratios],
        }
