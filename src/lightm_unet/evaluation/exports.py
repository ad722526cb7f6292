"""Scores for other programs: one CSV row per case and class, and a JSON summary."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lightm_unet.evaluation.scores import METRICS, Evaluation
from lightm_unet.reporting.formats import finite_or_none, six_digits_or_none
from lightm_unet.reporting.provenance import Provenance
from lightm_unet.reporting.text_tables import csv_table

CSV_COLUMNS = ("case", "label", "class", *METRICS, "pred_voxels", "ref_voxels", "error")


def cases_csv(evaluation: Evaluation) -> str:
    """Every score of every case; a failed case has one row with its error.

    A score that does not exist is an empty cell: all of a class that neither mask has, and the
    distances of a class that only one has.
    """
    rows: list[list[object]] = []
    for case in evaluation.cases:
        if not evaluation.label_names:
            rows.append([case.name, *[None] * (len(CSV_COLUMNS) - 1)])
        for label, name in evaluation.label_names.items():
            scores = case.of(label)
            numbers = [six_digits_or_none(getattr(scores, metric)) for metric in METRICS]
            sizes = [scores.pred_voxels, scores.ref_voxels]
            rows.append([case.name, label, name, *numbers, *sizes, None])
    blank = [None] * (len(CSV_COLUMNS) - 2)
    rows += [[failed.name, *blank, failed.error] for failed in evaluation.failed]
    return csv_table(CSV_COLUMNS, rows)


def summary_json(evaluation: Evaluation, made: Provenance) -> dict[str, Any]:
    """The means, the numbers of cases, and the failed cases; every number is finite or None.

    Args:
        evaluation: what `evaluate` found.
        made: date and version.
    """
    labels = [
        {
            "value": label,
            "name": name,
            "occurs": evaluation.occurs(label),
            **{
                metric: {
                    key: finite_or_none(value)
                    for key, value in asdict(evaluation.summary(label, metric)).items()
                }
                for metric in METRICS
            },
        }
        for label, name in evaluation.label_names.items()
    ]
    return {
        "version": made.version,
        "created": made.created.isoformat(),
        "predictions": str(evaluation.predictions),
        "references": str(evaluation.references),
        "unit": evaluation.unit,
        "tolerance": evaluation.tolerance,
        "seconds": round(evaluation.seconds, 3),
        "cases": len(evaluation.cases),
        "failed": [asdict(failed) for failed in evaluation.failed],
        "mean": {metric: finite_or_none(evaluation.mean(metric)) for metric in METRICS},
        "labels": labels,
    }
