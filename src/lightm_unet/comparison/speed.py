"""Latency and memory of the compared networks, measured in turns in one benchmark."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from lightm_unet.benchmark.results import Result, read_results
from lightm_unet.comparison.plan import Plan
from lightm_unet.networks.spec import NetworkSpec

BENCH = "bench"
"""Name of the benchmark's folder within the comparison's folder."""


def find_speeds(folder: Path, plan: Plan, may_measure: bool) -> dict[NetworkSpec, Result]:
    """The measurement of each network, from an earlier benchmark or a new one.

    Args:
        folder: the comparison's folder.
        plan: its plan; networks are measured on one image of its size.
        may_measure: whether to measure if no earlier benchmark contains all of these networks.

    Returns:
        The measurements of all networks, or an empty dictionary: times from different
            benchmarks cannot be compared.
    """
    stored = folder / BENCH / "bench.json"
    speeds = _by_network(read_results(stored)) if stored.exists() else {}
    if set(speeds) == set(plan.networks):
        return speeds
    return _measure(folder / BENCH, plan) if may_measure else {}


def _measure(folder: Path, plan: Plan) -> dict[NetworkSpec, Result]:
    from lightm_unet.benchmark.bench import bench

    shutil.rmtree(folder, ignore_errors=True)  # a benchmark of fewer networks
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
