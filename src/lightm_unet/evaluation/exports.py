"""Scores for other programs: one CSV row per case and class, and a JSON summary."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict
from typing import Any

from lightm_unet.evaluation.scores import METRICS, Evaluation

CSV_COLUMNS = ("case", "label", "class", *METRICS, "pred_voxels", "ref_voxels", "error")


def cases_csv(evaluation: Evaluation) -> str:
    """Every score of every case; a failed case has one row with its error.

    HD95 is `inf` where exactly one mask is empty and `nan` where both are, which spreadsheets show
    and pandas reads as such.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for case in evaluation.cases:
        for label, name in evaluation.label_names.items():
            row = {key: _csv_number(value) for key, value in asdict(case.of(label)).items()}
            writer.writerow({"case": case.name, "label": label, "class": name, **row})
    for failed in evaluation.failed:
        writer.writerow({"case": failed.name, "error": failed.error})
    return text.getvalue()


def summary_json(evaluation: Evaluation, version: str, created: str) -> dict[str, Any]:
    """The means, what they are taken over, and what failed; every number finite or None.

    Args:
        evaluation: what `evaluate` found.
        version: of this package.
        created: date and time, ISO 8601.
    """
    labels = [
        {
            "value": label,
            "name": name,
            **{
                metric: {
                    key: _json_number(value)
                    for key, value in asdict(evaluation.summary(label, metric)).items()
                }
                for metric in METRICS
            },
        }
        for label, name in evaluation.label_names.items()
    ]
    return {
        "version": version,
        "created": created,
        "predictions": str(evaluation.predictions),
        "references": str(evaluation.references),
        "unit": evaluation.unit,
        "tolerance": evaluation.tolerance,
        "seconds": round(evaluation.seconds, 3),
        "cases": len(evaluation.cases),
        "failed": [asdict(failed) for failed in evaluation.failed],
        "mean": {metric: _json_number(evaluation.mean(metric)) for metric in METRICS},
        "labels": labels,
    }


def _csv_number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _json_number(value: float) -> float | None:
    return value if math.isfinite(value) else None
