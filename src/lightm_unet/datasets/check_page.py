"""The page and the JSON file that `check-dataset` writes: all problems, and what the data are.

The page is one file that loads nothing. Names of cases are in both, as problems are about cases.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightm_unet.datasets.dataset_report import DatasetReport
from lightm_unet.datasets.fingerprint import CaseFingerprint
from lightm_unet.reporting.formats import finite_or_none
from lightm_unet.reporting.page import render_page
from lightm_unet.reporting.palette import label_colour, on_grey
from lightm_unet.reporting.pictures import Picture
from lightm_unet.reporting.provenance import made_now
from lightm_unet.system.extras import require_extra
from lightm_unet.system.files import check_output_folder, encode_json, encode_text, write_together

FILES = ("check.json", "check.html")
MOST_ROWS, MOST_PICTURES = 2000, 60
"""Of a page; the JSON file has all cases."""


def check_page_folder(folder: Path) -> None:
    """Find out before the work whether the files can be written.

    Raises:
        UsageError: they cannot.
        MissingPartError: what draws pages is not installed.
    """
    require_extra("report", "the page of check-dataset")
    check_output_folder(folder, FILES)


def write_check_page(
    report: DatasetReport, name: str, pictures: Mapping[str, Picture], folder: Path
) -> None:
    """Write `FILES`, both or none.

    Args:
        report: what `check_dataset` found.
        name: of the data set.
        pictures: thumbnails, by case.
        folder: made where missing.

    Raises:
        UsageError: they cannot be written.
    """
    made = made_now(("numpy", "nibabel", "pillow"))
    content = {**made.to_json_dict(), **_as_json(report)}
    page = render_page(
        "datasets/check.html.jinja",
        made=made,
        name=name,
        report=report,
        labels=[
            (on_grey(label_colour(value)).css, label, voxels, report.label_cases[label])
            for value, (label, voxels) in enumerate(report.label_voxels.items())
            if value
        ],
        summary=_summary(report.fingerprints),
        rows=[_row(each, report) for each in _first_the_unusual(report)[:MOST_ROWS]],
        number_of_rows=len(report.fingerprints),
        label_titles=list(report.label_voxels)[1:],
        amount="ml" if _is_volume(report) else "cm²" if report.spacings_mm else "voxels",
        pictures=[
            (pictures[each.case], each.case, "; ".join(report.outliers.get(each.case, ())))
            for each in _first_the_unusual(report)
            if each.case in pictures
        ][:MOST_PICTURES],
    )
    contents = (encode_json(content), encode_text(page))
    write_together(dict(zip(FILES, contents, strict=True)), folder)


def _as_json(report: DatasetReport) -> dict[str, Any]:
    value = asdict(report)
    for each in value["fingerprints"]:
        each["intensities"] = [finite_or_none(number) for number in each["intensities"]]
    return {"ok": report.ok, **value}


def _is_volume(report: DatasetReport) -> bool:
    return any(len(each.shape) == 3 and each.spacing_mm for each in report.fingerprints)


def _first_the_unusual(report: DatasetReport) -> list[CaseFingerprint]:
    return sorted(
        report.fingerprints, key=lambda each: (each.case not in report.outliers, each.case)
    )


def _summary(cases: Sequence[CaseFingerprint]) -> list[tuple[str, str, str, str]]:
    """Name, smallest, median and largest of each number that is compared."""
    numbers: dict[str, list[float]] = {}
    for case in cases:
        for name, value in case.numbers.items():
            numbers.setdefault(name, []).append(value)
    return [
        (name, f"{min(v):.4g}", f"{statistics.median(v):.4g}", f"{max(v):.4g}")
        for name, v in numbers.items()
    ]


def _row(each: CaseFingerprint, report: DatasetReport) -> dict[str, Any]:
    low, _, median, _, high, mean, std = each.intensities
    amounts = each.label_ml or each.label_voxels or ()
    return {
        "case": each.case,
        "cells": [
            " x ".join(map(str, each.shape)),
            " x ".join(f"{mm:.4g}" for mm in each.spacing_mm) if each.spacing_mm else "",
            f"{low:.4g} to {high:.4g}",
            f"{median:.4g}",
            f"{mean:.4g} ± {std:.4g}",
            *(f"{amount:.4g}" for amount in amounts[1:]),
            *("",) * (len(report.label_voxels) - max(1, len(amounts))),
        ],
        "unusual": "; ".join(report.outliers.get(each.case, ())),
    }
