"""The settings of a comparison beside those of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lightm_unet.benchmark.settings import DEFAULT_NETWORKS

OF_A_RUN = ("seed", "network", "teacher")
"""Settings of training that belong to a single run; all others are the same for all runs of a
comparison. Its networks learn from the labels alone, without a teacher."""


@dataclass(frozen=True)
class ComparisonSettings:
    """Settings of a comparison."""

    networks: Sequence[str] = DEFAULT_NETWORKS
    """Names of networks or of the groups paper and ablations, separated by commas. A name may have
    options, such as lightm-unet:width=16. All other networks are tested against the first."""
    seeds: tuple[int, ...] = (0,)
    """Seeds, separated by commas; each network is trained once with each seed."""
    cases: int | None = None
    """Number of training cases to use; by default all. All validation and test cases are always
    used."""
    part: str | None = None
    """Part of the runs to make, written i/N for the i-th of N, to share the work between
    machines; by default all."""
    processes: int = 1
    """Number of runs at the same time on this machine."""
    bench: bool = True
    """Measure latency and memory of the networks after all runs have ended; on unless --no-bench is
    given."""
    report_only: bool = False
    """Train nothing; write the report on the existing results."""
