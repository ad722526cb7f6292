"""The tables for other programs and for documents: CSV, JSON and Markdown."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lightm_unet.comparison.plan import Plan, Run
from lightm_unet.comparison.remarks import Remarks
from lightm_unet.comparison.results import RunResult
from lightm_unet.comparison.table import SCORES, Row, cells, columns
from lightm_unet.evaluation.scores import METRICS, MetricSummary


def networks_csv(plan: Plan, rows: Sequence[Row]) -> str:
    """One row for each network; every number in full, "" where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    per_class = [(score, name) for score in SCORES for name in plan.label_names[1:]]
    writer.writerow(
        [
            "network",
            "family",
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
    )
    for row in rows:
        speed = row.speed if row.speed and not row.speed.error else None
        test = row.test
        writer.writerow(
            [
                row.network,
                row.family,
                " ".join(map(str, row.seeds)),
                *(n for score, part in per_class for n in _both(row.by_class[score][part])),
                *(n for score in SCORES for n in _both(row.mean[score])),
                row.cost.parameters,
                row.cost.macs,
                row.cost.scan_flops,
                f"{speed.latency.median:.6g}" if speed else "",
                speed.peak_above_idle if speed else "",
                _plain(row.training_seconds),
                _plain(test.difference) if test else "",
                _plain(test.p) if test else "",
                _plain(test.p_holm) if test else "",
                "; ".join(row.missing),
            ]
        )
    return text.getvalue()


def cases_csv(results: Mapping[Run, RunResult]) -> str:
    """One row for each test case and class of every finished run."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["network", "seed", "case", "class", *METRICS])
    for run, result in results.items():
        if result.evaluation is None:
            continue
        for case in result.evaluation.cases:
            for label, name in result.evaluation.label_names.items():
                scores = case.of(label)
                numbers = [f"{getattr(scores, metric):.6g}" for metric in METRICS]
                writer.writerow([run.network, run.seed, case.name, name, *numbers])
    return text.getvalue()


def comparison_json(
    plan: Plan,
    rows: Sequence[Row],
    results: Mapping[Run, RunResult],
    remarks: Remarks,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything that the tables say; every number finite or None.

    Args:
        plan: of the comparison.
        rows: one for each network.
        results: of every run that has one.
        remarks: what was cut, and what is not shown.
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
                "best_validation_dice": _finite(result.best_dice),
                "training_seconds": _finite(result.seconds),
                "test_dice": result.evaluation and _finite(result.evaluation.mean("dice")),
                "failed_cases": [asdict(case) for case in result.evaluation.failed]
                if result.evaluation
                else [],
            }
            for run, result in results.items()
        ],
    }


def markdown(plan: Plan, rows: Sequence[Row], remarks: Remarks) -> str:
    """The table as a Markdown page, with what it rests on above and what it lacks below."""
    head = columns(plan, rows)
    lines = [
        f"# {remarks.title}",
        "",
        *(f"- {line}" for line in (*remarks.made, *remarks.cut)),
        "",
        "| " + " | ".join(map(_cell, head)) + " |",
        "| --- |" + " ---: |" * (len(head) - 1),
        *("| " + " | ".join(map(_cell, cells(plan, row, rows))) + " |" for row in rows),
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
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    # A file or a pipe has no width of its own: let no number be cut there.
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200
    table = Table(*map(escape, columns(plan, rows, by_class=False)), box=SIMPLE_HEAD)
    table.columns[0].overflow = "fold"
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*map(escape, cells(plan, row, rows, by_class=False)))
    console.print(table)


def _row_json(row: Row) -> dict[str, Any]:
    speed = row.speed
    return {
        "network": row.network,
        "family": row.family,
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
        "training_seconds": _finite(row.training_seconds),
        "test": asdict(row.test) if row.test else None,
    }


def _summary(summary: MetricSummary) -> dict[str, float | None]:
    return {"mean": _finite(summary.mean), "std": _finite(summary.std)}


def _both(summary: MetricSummary) -> tuple[str, str]:
    return _plain(summary.mean), _plain(summary.std)


def _plain(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
