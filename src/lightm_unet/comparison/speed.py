"""Latency and memory of the compared networks, measured in one bench in which all took turns."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from lightm_unet.benchmark.results import Result, read_results
from lightm_unet.comparison.plan import Plan
from lightm_unet.networks.spec import NetworkSpec

BENCH = "bench"
"""The folder of the bench, in the comparison's."""


def find_speeds(folder: Path, plan: Plan, may_measure: bool) -> dict[NetworkSpec, Result]:
    """The measurement of each network, of an earlier bench or a new one.

    Args:
        folder: the comparison's.
        plan: its plan; networks are measured on one image of its size.
        may_measure: whether to measure where no bench has all of these networks.

    Returns:
        All of them, or an empty dictionary: without the others of its bench a time says little.
    """
    stored = folder / BENCH / "bench.json"
    speeds = _by_network(read_results(stored)) if stored.exists() else {}
    if set(speeds) == set(plan.networks):
        return speeds
    return _measure(folder / BENCH, plan) if may_measure else {}


def _measure(folder: Path, plan: Plan) -> dict[NetworkSpec, Result]:
    from lightm_unet.benchmark.bench import bench

    shutil.rmtree(folder, ignore_errors=True)  # a bench of fewer networks
    report = bench(
        plan.networks,
        folder,
        sizes=[plan.size],
        devices=[plan.settings.device],
        allocators=["default"],
        in_channels=plan.channels,
        out_channels=len(plan.label_names),
    )
    return _by_network(report.results)


def _by_network(results: Sequence[Result]) -> dict[NetworkSpec, Result]:
    return {result.case.network: result for result in results}
