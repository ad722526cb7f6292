"""What a comparison is told beside the settings of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lightm_unet.benchmark.settings import DEFAULT_NETWORKS

OF_A_RUN = ("seed", "network")
"""Settings of training that differ from run to run; all others are the comparison's."""


@dataclass(frozen=True)
class ComparisonSettings:
    """Settings of a comparison."""

    networks: Sequence[str] = DEFAULT_NETWORKS
    """Names of networks with commas between them, with options where wanted, such as
    lightm-unet:width=16, and the groups paper and ablations. All others are tested against the
    first."""
    seeds: tuple[int, ...] = (0,)
    """Seeds with commas between them; each network is trained once with each."""
    cases: int | None = None
    """Number of training cases to use; by default all. Validation and test cases are always all
    used."""
    part: str | None = None
    """Part of the runs to make, written i/N for the i-th of N, to share the work between
    machines; by default all."""
    processes: int = 1
    """Number of runs at the same time on this machine."""
    bench: bool = True
    """Measure latency and memory of the networks once all runs are over."""
    report_only: bool = False
    """Train nothing; write the report on the runs that are there."""
