"""The tables for other programs and for documents: CSV, JSON and Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lightm_unet.comparison.plan import Plan, Run
from lightm_unet.comparison.remarks import Remarks
from lightm_unet.comparison.results import RunResult
from lightm_unet.comparison.table import SCORES, Row, cells, columns
from lightm_unet.evaluation.scores import METRICS, MetricSummary
from lightm_unet.reporting import console
from lightm_unet.reporting.formats import finite_or_none, six_digits, six_digits_or_none
from lightm_unet.reporting.text_tables import csv_table, markdown_table


def networks_csv(plan: Plan, rows: Sequence[Row]) -> str:
    """One row for each network; numbers are not rounded, and a missing number is ""."""
    per_class = [(score, name) for score in SCORES for name in plan.label_names[1:]]
    head = [
        "network",
        "family",
        "recipe",
        "seeds",
        *(f"{score}_{part}{spread}" for score, part in per_class for spread in ("", "_std")),
        *(f"{score}_mean{spread}" for score in SCORES for spread in ("", "_std")),
        "parameters",
        "macs",
        "scan_flops",
        "latency_seconds",
        "peak_memory_bytes",
        "training_seconds",
        "difference",
        "p",
        "p_holm",
        "missing",
    ]
    return csv_table(head, [_network_cells(row, per_class) for row in rows])


def _network_cells(row: Row, per_class: Sequence[tuple[str, str]]) -> list[object]:
    speed = row.speed if row.speed and not row.speed.error else None
    test = row.test
    return [
        row.network,
        row.family,
        row.recipe,
        " ".join(map(str, row.seeds)),
        *(n for score, part in per_class for n in _both(row.by_class[score][part])),
        *(n for score in SCORES for n in _both(row.mean[score])),
        row.cost.parameters,
        row.cost.macs,
        row.cost.scan_flops,
        six_digits(speed.latency.median) if speed else None,
        speed.peak_above_idle if speed else None,
        six_digits_or_none(row.training_seconds),
        six_digits_or_none(test.difference) if test else None,
        six_digits_or_none(test.p) if test else None,
        six_digits_or_none(test.p_holm) if test else None,
        "; ".join(row.missing),
    ]


def cases_csv(results: Mapping[Run, RunResult]) -> str:
    """One row for each test case and class of every finished run."""
    rows: list[list[object]] = []
    for run, result in results.items():
        if result.evaluation is None:
            continue
        for case in result.evaluation.cases:
            for label, name in result.evaluation.label_names.items():
                scores = case.of(label)
                numbers = [six_digits_or_none(getattr(scores, metric)) for metric in METRICS]
                sizes = [scores.pred_voxels, scores.ref_voxels]
                rows.append([run.network, run.seed, case.name, name, *numbers, *sizes])
    head = ["network", "seed", "case", "class", *METRICS, "pred_voxels", "ref_voxels"]
    return csv_table(head, rows)


def comparison_json(
    plan: Plan,
    rows: Sequence[Row],
    results: Mapping[Run, RunResult],
    remarks: Remarks,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of the tables; every number is finite or None.

    Args:
        plan: the comparison's plan.
        rows: one row for each network.
        results: the result of each run that has ended.
        remarks: the reductions and the limits of the comparison.
        about: versions, machine and date.
    """
    content = plan.to_json_dict()
    del content["runs"]
    return {
        **about,
        "plan": content,
        "cut": list(remarks.cut),
        "not_shown": list(remarks.not_shown),
        "networks": [_row_json(row) for row in rows],
        "runs": [
            {
                "network": str(run.network),
                "seed": run.seed,
                "status": result.status,
                "error": result.error,
                "best_validation_dice": finite_or_none(result.best_dice),
                "training_seconds": finite_or_none(result.seconds),
                "test_dice": result.evaluation and finite_or_none(result.evaluation.mean("dice")),
                "failed_cases": [asdict(case) for case in result.evaluation.failed]
                if result.evaluation
                else [],
            }
            for run, result in results.items()
        ],
    }


def markdown(plan: Plan, rows: Sequence[Row], remarks: Remarks) -> str:
    """The table as a Markdown page, with the settings above it and the limits below it."""
    lines = [
        f"# {remarks.title}",
        "",
        *(f"- {line}" for line in (*remarks.made, *remarks.cut)),
        "",
        *markdown_table(columns(plan, rows), [cells(plan, row, rows) for row in rows]),
        "",
        *(f"{line}\n" for line in remarks.legend),
    ]
    missing = [f"- {row.network}, {line}" for row in rows for line in row.missing]
    if missing:
        lines += ["Not in the table:", "", *missing, ""]
    lines += ["What this does not show:", "", *(f"- {line}" for line in remarks.not_shown)]
    return "\n".join(lines).rstrip() + "\n"


def print_table(plan: Plan, rows: Sequence[Row]) -> None:
    """Print the table on standard output, without a column for each class."""
    head = columns(plan, rows, by_class=False)
    console.print_table("", head, [cells(plan, row, rows, by_class=False) for row in rows])


def _row_json(row: Row) -> dict[str, Any]:
    speed = row.speed
    return {
        "network": row.network,
        "family": row.family,
        "recipe": row.recipe,
        "seeds": list(row.seeds),
        "missing": list(row.missing),
        **{
            score: {
                "mean": _summary(row.mean[score]),
                "classes": {name: _summary(s) for name, s in row.by_class[score].items()},
            }
            for score in SCORES
        },
        **asdict(row.cost),
        "latency_seconds": asdict(speed.latency) if speed and not speed.error else None,
        "peak_memory_bytes": speed.peak_above_idle if speed and not speed.error else None,
        "speed_error": speed.error if speed else None,
        "training_seconds": finite_or_none(row.training_seconds),
        "test": asdict(row.test) if row.test else None,
    }


def _summary(summary: MetricSummary) -> dict[str, float | None]:
    return {"mean": finite_or_none(summary.mean), "std": finite_or_none(summary.std)}


def _both(summary: MetricSummary) -> tuple[str | None, str | None]:
    return six_digits_or_none(summary.mean), six_digits_or_none(summary.std)
