"""Latency and memory of the compared networks, from one race in which all of them took turns."""

from __future__ import annotations

import shutil
from pathlib import Path

from lightm_unet.benchmark.contestants import Contestant, read_contestant
from lightm_unet.benchmark.results import Result
from lightm_unet.comparison.plan import Plan
from lightm_unet.comparison.single_run import Say
from lightm_unet.system.files import read_json

BENCH = "bench"
"""The race's folder in the comparison's."""
_STORED = ("error", "parameters", "seconds", "first_seconds", "idle_bytes", "peak_bytes")


def find_speeds(folder: Path, plan: Plan, say: Say, may_measure: bool) -> dict[str, Result]:
    """The measurement of each network, of an earlier race or a new one.

    Args:
        folder: the comparison's.
        plan: its plan; networks are measured on one image of its size.
        say: is called with lines of text.
        may_measure: whether to hold a race where there was none of all these networks.

    Returns:
        All of them, or an empty dictionary: without the others of its race a time says little.
    """
    speeds = _read(folder / BENCH / "bench.json")
    if set(speeds) == set(plan.networks):
        return speeds
    return _measure(folder / BENCH, plan, say) if may_measure else {}


def _measure(folder: Path, plan: Plan, say: Say) -> dict[str, Result]:
    from lightm_unet.benchmark.bench import bench
    from lightm_unet.training.preflight import find_device

    shutil.rmtree(folder, ignore_errors=True)  # a race of fewer networks
    report = bench(
        plan.networks,
        folder,
        sizes=[plan.size],
        devices=[find_device(plan.settings)],
        allocators=["default"],
        in_channels=plan.channels,
        out_channels=len(plan.label_names),
        say=say,
    )
    return {result.contestant.network: result for result in report.results}


def _read(path: Path) -> dict[str, Result]:
    if not path.exists():
        return {}
    speeds = {}
    for entry in read_json(path)["results"]:
        contestant = read_contestant({k: entry[k] for k in Contestant.__dataclass_fields__})
        values = {name: entry[name] for name in _STORED if name in entry}
        values["seconds"] = tuple(values.get("seconds", ()))
        speeds[contestant.network] = Result(contestant, **values)
    return speeds
