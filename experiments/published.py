"""A comparison's results as they are published: small text files, without images, masks and models.

plan.json       data, split, settings and runs, as compare writes it, on fewer lines
runs.csv        a row for each run: what became of it
cases.csv       a row for each run, test case and class: all its scores
networks.csv    a row for each network: means, costs, and the test against the first network
bench.csv       a row for each network: its time in each round of the bench, and its memory
machine.json    the machine of the bench; both files only where there was one

Numbers have six significant digits. `write_published` makes the files from the folder that
`compare` works in, `read_published` reads them, and `restore` makes such a folder from them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightm_unet.benchmark.bench_case import BenchCase
from lightm_unet.benchmark.results import Result
from lightm_unet.comparison.exports import cases_csv
from lightm_unet.comparison.plan import PLAN, Plan, Run, read_plan
from lightm_unet.comparison.results import RunResult, read_result, write_result
from lightm_unet.comparison.speed import BENCH, find_speeds
from lightm_unet.comparison.table import Row, make_rows
from lightm_unet.costs.counting import NetworkCost
from lightm_unet.evaluation.scores import METRICS, CaseScores, Evaluation, FailedCase, LabelScores
from lightm_unet.reporting.formats import six_digits, six_digits_or_none
from lightm_unet.reporting.text_tables import csv_table, read_csv
from lightm_unet.system.files import read_json, write_bytes, write_json

RUNS, CASES, NETWORKS = "runs.csv", "cases.csv", "networks.csv"
BENCH_CSV, MACHINE = "bench.csv", "machine.json"
BENCH_JSON = Path(BENCH, "bench.json")
"""The file of the bench in the folder that `compare` works in."""
RUN_COLUMNS = (
    "network",
    "seed",
    "status",
    "error",
    "best_validation_dice",
    "training_seconds",
    "evaluation_seconds",
    "unit",
    "tolerance",
    "failed_cases",
)
MEASURED = ("error", "parameters", "seconds", "first_seconds", "idle_bytes", "peak_bytes")
"""Columns of the bench, beside the case's own fields."""


@dataclass(frozen=True)
class Published:
    """What is read from the files."""

    plan: Plan
    """With all runs, those without a result too."""
    results: Mapping[Run, RunResult]
    """Of every run that has one."""
    costs: Mapping[str, NetworkCost]
    """Of every network."""
    speeds: Mapping[str, Result]
    """Of every network, or empty where there was no bench of all of them."""

    @property
    def rows(self) -> list[Row]:
        """One for each network, as in the tables, computed from the scores of the cases."""
        return make_rows(self.plan, self.results, self.costs, self.speeds)


def write_published(comparison: Path, target: Path) -> None:
    """Write the files into a folder.

    Args:
        comparison: the folder that `compare` works in, which may lack its tables.
        target: is made where missing.
    """
    plan = read_plan(comparison)
    results = {run: found for run in plan.runs if (found := read_result(comparison, run))}
    speeds = find_speeds(comparison, plan, may_measure=False)
    write_bytes(_compact_json(read_json(comparison / PLAN)).encode(), target / PLAN)
    runs = [_run_row(run, results.get(run)) for run in plan.runs]
    write_bytes(_csv_text(RUN_COLUMNS, runs).encode(), target / RUNS)
    write_bytes(cases_csv(results).encode(), target / CASES)
    if speeds:
        columns = (*BenchCase.__dataclass_fields__, *MEASURED)
        rows = [_speed_row(result) for result in speeds.values()]
        write_bytes(_csv_text(columns, rows).encode(), target / BENCH_CSV)
        bench = read_json(comparison / BENCH_JSON)
        about = {k: v for k, v in bench.items() if k not in ("results", "growth")}
        write_bytes(_compact_json(about).encode(), target / MACHINE)


def read_published(folder: Path) -> Published:
    """Read what `write_published` wrote, and the networks' costs from networks.csv."""
    plan = read_plan(folder)
    cases = _read_cases(folder / CASES, plan.label_names)
    runs = {Run(row["network"], int(row["seed"])): row for row in _csv_rows(folder / RUNS)}
    results = {
        run: _read_run(run, runs[run], plan.label_names, cases.get(run, ()))
        for run in plan.runs
        if runs[run]["status"]
    }
    networks = {row["network"]: row for row in _csv_rows(folder / NETWORKS)}
    costs = {network: _read_cost(networks[str(network)]) for network in plan.networks}
    path = folder / BENCH_CSV
    speeds = [_read_speed(row) for row in _csv_rows(path)] if path.exists() else []
    return Published(plan, results, costs, {speed.case.network: speed for speed in speeds})


def restore(published: Path, comparison: Path) -> None:
    """Make a folder in which `compare` goes on, such as with further seeds or networks.

    Args:
        published: the folder of a published comparison.
        comparison: the folder to make. Voxel sizes of the cases, which no table of a comparison
            needs, are not published and remain empty in it.
    """
    found = read_published(published)
    write_json(read_json(published / PLAN), comparison / PLAN)
    for result in found.results.values():
        write_result(result, comparison)
    if found.speeds:
        about = read_json(published / MACHINE)
        rows = [speed.to_json() for speed in found.speeds.values()]
        write_json({**about, "results": rows, "growth": []}, comparison / BENCH_JSON)


def _run_row(run: Run, result: RunResult | None) -> dict[str, Any]:
    if result is None:
        return {"network": run.network, "seed": run.seed}
    row = {
        "network": run.network,
        "seed": run.seed,
        "status": result.status,
        "error": result.error,
        "best_validation_dice": six_digits_or_none(result.best_dice),
        "training_seconds": six_digits_or_none(result.seconds),
    }
    if evaluation := result.evaluation:
        row["evaluation_seconds"] = six_digits(evaluation.seconds)
        row["unit"] = evaluation.unit
        row["tolerance"] = six_digits(evaluation.tolerance)
        if evaluation.failed:
            row["failed_cases"] = json.dumps([asdict(case) for case in evaluation.failed])
    return row


def _read_run(
    run: Run, row: Mapping[str, str], label_names: Sequence[str], cases: Sequence[CaseScores]
) -> RunResult:
    evaluation = None
    if row["unit"]:
        evaluation = Evaluation(
            label_names=dict(enumerate(label_names[1:], 1)),
            cases=tuple(cases),
            failed=tuple(FailedCase(**case) for case in json.loads(row["failed_cases"] or "[]")),
            unit=row["unit"],
            tolerance=float(row["tolerance"]),
            predictions=Path(),
            references=Path(),
            seconds=float(row["evaluation_seconds"]),
        )
    return RunResult(
        run,
        row["status"],
        row["error"] or None,
        float(row["best_validation_dice"] or math.nan),
        float(row["training_seconds"] or math.nan),
        evaluation,
    )


def _read_cases(path: Path, label_names: Sequence[str]) -> dict[Run, list[CaseScores]]:
    """The cases of each run, in the file's order."""
    scores: dict[Run, dict[str, dict[int, LabelScores]]] = {}
    for row in _csv_rows(path):
        run = Run(row["network"], int(row["seed"]))
        labels = scores.setdefault(run, {}).setdefault(row["case"], {})
        sizes = {mask: int(row[mask]) for mask in ("pred_voxels", "ref_voxels")}
        # An empty cell is a score that does not exist: see `evaluation.scores`.
        missing = math.inf if any(sizes.values()) else math.nan
        metrics = {metric: float(row[metric] or missing) for metric in METRICS}
        labels[label_names.index(row["class"])] = LabelScores(**metrics, **sizes)
    return {
        run: [CaseScores(name, labels, spacing=()) for name, labels in cases.items()]
        for run, cases in scores.items()
    }


def _speed_row(result: Result) -> dict[str, Any]:
    who = result.case
    row = {name: getattr(who, name) for name in BenchCase.__dataclass_fields__}
    row["size"] = "x".join(map(str, who.size))
    if result.error:
        return {**row, "error": result.error}
    return {
        **row,
        "parameters": result.parameters,
        "seconds": " ".join(map(six_digits, result.seconds)),
        "first_seconds": six_digits(result.first_seconds),
        "idle_bytes": result.idle_bytes,
        "peak_bytes": result.peak_bytes,
    }


def _read_speed(row: Mapping[str, str]) -> Result:
    texts = ("network", "engine", "allocator", "device", "job")
    fields = {
        name: row[name] if name in texts else int(row[name])
        for name in BenchCase.__dataclass_fields__
        if name != "size"
    }
    case = BenchCase(**fields, size=tuple(map(int, row["size"].split("x"))))
    if row["error"]:
        return Result(case, error=row["error"])
    return Result(
        case,
        parameters=int(row["parameters"]),
        seconds=tuple(map(float, row["seconds"].split())),
        first_seconds=float(row["first_seconds"]),
        idle_bytes=int(row["idle_bytes"]),
        peak_bytes=int(row["peak_bytes"]),
    )


def _read_cost(row: Mapping[str, str]) -> NetworkCost:
    return NetworkCost(int(row["parameters"]), int(row["macs"]), int(row["scan_flops"]))


def _csv_text(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    return csv_table(columns, [[row.get(column) for column in columns] for row in rows])


def _csv_rows(path: Path) -> list[dict[str, str]]:
    return read_csv(path.read_bytes().decode())


def _compact_json(content: Mapping[str, Any]) -> str:
    """JSON with one line for each entry, and for each entry of an entry that is an object."""

    def lines(value: Any, depth: int) -> str:
        if depth == 2 or not isinstance(value, Mapping) or not value:
            return json.dumps(value, ensure_ascii=False, allow_nan=False)
        inner = "  " * (depth + 1)
        entries = (f"{inner}{json.dumps(k)}: {lines(v, depth + 1)}" for k, v in value.items())
        return "{\n" + ",\n".join(entries) + "\n" + "  " * depth + "}"

    return lines(content, 0) + "\n"
