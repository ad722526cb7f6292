"""One HTML file that a clinician can read, and the same scores as CSV and JSON beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightm_unet.evaluation.examples import draw_examples
from lightm_unet.evaluation.exports import cases_csv, summary_json
from lightm_unet.evaluation.pairing import Pair
from lightm_unet.evaluation.scores import METRICS, Evaluation
from lightm_unet.evaluation.tables import (
    DOES_NOT_OCCUR,
    left_out,
    metric_titles,
    share_of_cases,
    show,
    show_sizes,
    size_unit,
)
from lightm_unet.reporting.charts import ChartRow, length_axis, share_axis, strip_chart
from lightm_unet.reporting.formats import NO_VALUE, plural
from lightm_unet.reporting.page import render_page
from lightm_unet.reporting.palette import Colour, label_colour, on_grey
from lightm_unet.reporting.provenance import Provenance, made_now
from lightm_unet.system.files import encode_json, encode_text, write_together

FILES = ("cases.csv", "summary.json", "report.html")
"""What is written: see `exports` for the first two."""
MOST_ROWS, MOST_CHARTED, MOST_FAILED = 2000, 30, 50
"""Limits that keep the page small enough for a phone; all of it is in `cases.csv`."""
MEANINGS = {
    "dice": "overlap; 1 is perfect",
    "iou": "overlap, stricter; 1 is perfect",
    "hd95": "distance of the borders; 0 is perfect",
    "nsd": "agreement of the borders; 1 is perfect",
}
"""What the scores measure, in a few words."""
PACKAGES = ("numpy", "scipy", "nibabel", "pillow")
"""Packages that read the masks and compute the scores; the report lists their versions."""


def write_report(
    evaluation: Evaluation, pairs: Mapping[str, Pair], colours: Sequence[Colour], output: Path
) -> None:
    """Write `FILES` into a folder, all or none.

    Args:
        evaluation: what `evaluate` found.
        pairs: the files of every case, by name, for the pictures.
        colours: colours of the labels, index = label value; further labels get default colours.
        output: the folder; made if missing. Existing files of these names are replaced.

    Raises:
        UsageError: the files cannot be written; earlier ones are as they were.
    """
    made = made_now(PACKAGES)
    contents = (
        encode_text(cases_csv(evaluation)),
        encode_json(summary_json(evaluation, made)),
        encode_text(render_report(evaluation, pairs, colours, made)),
    )
    write_together(dict(zip(FILES, contents, strict=True)), output)


def render_report(
    evaluation: Evaluation,
    pairs: Mapping[str, Pair],
    colours: Sequence[Colour],
    made: Provenance,
) -> str:
    """The report as HTML with pictures, styles and script; nothing is loaded from elsewhere."""
    from markupsafe import Markup

    # Each label has the same colour in pictures, charts and legends.
    shown = {
        label: on_grey(colours[label] if label < len(colours) else label_colour(label))
        for label in evaluation.label_names
    }
    titles = metric_titles(evaluation)
    charted = _lowest_classes(evaluation, MOST_CHARTED) if len(evaluation.cases) > 1 else []
    rows = _case_rows(evaluation)
    volumes = any(len(case.spacing) == 3 for case in evaluation.cases)
    return render_page(
        "evaluation/report.html.jinja",
        made=made,
        evaluation=evaluation,
        scored=plural(len(evaluation.cases), "case"),
        failed=evaluation.failed[:MOST_FAILED],
        titles=titles,
        tiles=[
            (titles[metric], show(metric, evaluation.mean(metric)), MEANINGS[metric])
            for metric in METRICS
        ],
        classes=[
            {
                "name": name,
                "colour": shown[label].css,
                "occurs": evaluation.occurs(label),
                "cells": [_cell(evaluation, label, metric) for metric in METRICS],
            }
            for label, name in evaluation.label_names.items()
        ],
        does_not_occur=DOES_NOT_OCCUR,
        notes=left_out(evaluation),
        charts=[
            (title, Markup(chart))  # strip_chart escapes the names in it
            for title, chart in _charts(evaluation, charted, shown)
        ],
        charted=len(charted),
        labels=[
            (shown[label].css, name)
            for label, name in evaluation.label_names.items()
            if evaluation.occurs(label)
        ],
        shown=draw_examples(evaluation, pairs, shown),
        volumes=volumes,
        voxel="voxel" if volumes else "pixel",
        unit_in_words="pixels" if evaluation.unit == "px" else evaluation.unit,
        size_unit=size_unit(evaluation),
        rows=rows[:MOST_ROWS] if len(rows) <= MOST_ROWS else _lowest_rows(rows),
        number_of_rows=len(rows),
    )


def _cell(evaluation: Evaluation, label: int, metric: str) -> tuple[str, str, str]:
    """Mean, standard deviation and number of cases; "" for the second with one case."""
    summary = evaluation.summary(label, metric)
    spread = "" if math.isnan(summary.std) else show(metric, summary.std)
    return show(metric, summary.mean), spread, f"{share_of_cases(summary)} cases"


def _lowest_classes(evaluation: Evaluation, count: int) -> list[int]:
    """The label values that occur, in their order; of too many, those with the lowest Dice."""
    occurring = [label for label in evaluation.label_names if evaluation.occurs(label)]
    by_dice = sorted(occurring, key=lambda label: evaluation.summary(label, "dice").mean)
    return sorted(by_dice[:count])


def _charts(
    evaluation: Evaluation, labels: Sequence[int], colours: Mapping[int, Colour]
) -> list[tuple[str, str]]:
    charts = []
    for metric, axis in (("dice", share_axis), ("hd95", length_axis)) if labels else ():
        rows = []
        for label in labels:
            values = [(case.name, getattr(case.of(label), metric)) for case in evaluation.cases]
            finite = [(case, value) for case, value in values if math.isfinite(value)]
            rows.append(ChartRow(evaluation.label_names[label], finite, colours[label]))
        title = metric_titles(evaluation)[metric]
        low, high = axis([value for row in rows for _, value in row.values])
        charts.append((title, strip_chart(rows, title, low, high)))
    return charts


def _case_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """A row for each case and class that it has; a case without any has one too."""
    rows = []
    for case in evaluation.cases:
        names = {
            label: name for label, name in evaluation.label_names.items() if case.occurs(label)
        }
        for label, name in names.items() or [(0, NO_VALUE)]:
            scores = case.of(label)
            cells: list[tuple[str, object]] = []
            for metric in METRICS:
                value = getattr(scores, metric)
                cells.append((show(metric, value), _sort_key(value)))
            cells += [(size, None) for size in show_sizes(evaluation, case, scores)]
            rows.append({"case": case.name, "class": name, "dice": scores.dice, "cells": cells})
    return rows


def _lowest_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """As many rows as a page holds: those with the lowest Dice, in the order they had."""
    ranked = sorted(range(len(rows)), key=lambda i: (math.isnan(rows[i]["dice"]), rows[i]["dice"]))
    return [rows[i] for i in sorted(ranked[:MOST_ROWS])]


def _sort_key(value: float) -> str:
    """Sort key for the page's script: infinite after all numbers, undefined last."""
    return "1e30" if math.isinf(value) else "2e30" if math.isnan(value) else f"{value:.6g}"
