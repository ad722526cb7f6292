"""One HTML file that a clinician can read, and the same scores as CSV and JSON beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightm_unet.errors import DataError
from lightm_unet.evaluation.exports import cases_csv, summary_json
from lightm_unet.evaluation.masks import read_pair
from lightm_unet.evaluation.pairing import Pair
from lightm_unet.evaluation.scores import METRICS, CaseScores, Evaluation
from lightm_unet.evaluation.tables import left_out, metric_titles, show, show_sizes, size_unit
from lightm_unet.imaging.image import has_spacing, read_image
from lightm_unet.reporting.charts import ChartRow, length_axis, share_axis, strip_chart
from lightm_unet.reporting.examples import pick_examples
from lightm_unet.reporting.formats import plural
from lightm_unet.reporting.page import render_page
from lightm_unet.reporting.palette import Colour, label_colour, on_grey
from lightm_unet.reporting.pictures import draw_case
from lightm_unet.reporting.provenance import Provenance, made_now
from lightm_unet.system.files import write_bytes, write_json

PACKAGES = ("numpy", "scipy", "nibabel", "pillow")
"""Packages that read the masks and compute the scores; the report lists their versions."""


def write_report(
    evaluation: Evaluation, pairs: Mapping[str, Pair], colours: Sequence[Colour], output: Path
) -> None:
    """Write `cases.csv`, `summary.json` and `report.html` into a folder.

    Args:
        evaluation: what `evaluate` found.
        pairs: the files of every case, by name, for the pictures.
        colours: colours of the labels, index = label value; further labels get default colours.
        output: the folder; made if missing. Existing files of these names are replaced.
    """
    made = made_now(PACKAGES)
    # All three are rendered before the first is written, so an error leaves none of them.
    csv_text = cases_csv(evaluation)
    summary = summary_json(evaluation, made)
    html = render_report(evaluation, pairs, colours, made)
    write_bytes(csv_text.encode(), output / "cases.csv")
    write_json(summary, output / "summary.json")
    write_bytes(html.encode(), output / "report.html")


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
    cases = {case.name: case for case in evaluation.cases}
    dice = {name: evaluation.case_mean(case, "dice") for name, case in cases.items()}
    return render_page(
        "evaluation/report.html.jinja",
        made=made,
        evaluation=evaluation,
        scored=plural(len(cases), "case"),
        titles=metric_titles(evaluation),
        tiles=[(metric, show(metric, evaluation.mean(metric))) for metric in METRICS],
        classes=[
            {
                "name": name,
                "colour": shown[label].css,
                "cells": [_mean_and_std(evaluation, label, metric) for metric in METRICS],
            }
            for label, name in evaluation.label_names.items()
        ],
        notes=left_out(evaluation),
        charts=[
            (title, Markup(chart))  # strip_chart escapes the names in it
            for title, chart in _charts(evaluation, shown)
        ],
        examples=[
            _example(evaluation, title, cases[name], pairs[name], shown)
            for title, name in pick_examples(dice)
        ],
        volumes=len(evaluation.cases[0].spacing) == 3,
        size_unit=size_unit(evaluation),
        rows=_case_rows(evaluation),
    )


def _mean_and_std(evaluation: Evaluation, label: int, metric: str) -> tuple[str, str]:
    """Mean and standard deviation of one metric of one class; "" for the latter with one case."""
    summary = evaluation.summary(label, metric)
    return show(metric, summary.mean), "" if math.isnan(summary.std) else show(metric, summary.std)


def _example(
    evaluation: Evaluation,
    title: str,
    case: CaseScores,
    pair: Pair,
    colours: Mapping[int, Colour],
) -> dict[str, Any]:
    pred, ref, geometry = read_pair(pair)
    image, note = None, ""
    if pair.image is not None:
        try:
            image = read_image(pair.image)
            if image.geometry.shape != ref.shape:
                image, note = None, f"The image's shape differs from the masks': {pair.image}"
        except DataError as error:  # the scores do not need the image
            note = f"The image is not shown: {error}"
    pictures = draw_case(
        None if image is None else image.array,
        pred,
        ref,
        geometry,
        colours,
        is_photo=not has_spacing(pair.reference),
    )
    return {
        "title": title,
        "name": case.name,
        "dice": show("dice", evaluation.case_mean(case, "dice")),
        "scores": [
            (name, show("dice", case.of(label).dice), show("hd95", case.of(label).hd95))
            for label, name in evaluation.label_names.items()
        ],
        "note": note,
        "pictures": pictures,
    }


def _charts(evaluation: Evaluation, colours: Mapping[int, Colour]) -> list[tuple[str, str]]:
    charts = []
    for metric, axis in (("dice", share_axis), ("hd95", length_axis)):
        rows = []
        for label, name in evaluation.label_names.items():
            values = [(case.name, getattr(case.of(label), metric)) for case in evaluation.cases]
            finite = [(case, value) for case, value in values if math.isfinite(value)]
            rows.append(ChartRow(name, finite, colours[label]))
        title = metric_titles(evaluation)[metric]
        low, high = axis([value for row in rows for _, value in row.values])
        charts.append((title, strip_chart(rows, title, low, high)))
    return charts


def _case_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    rows = []
    for case in evaluation.cases:
        for label, name in evaluation.label_names.items():
            scores = case.of(label)
            cells = []
            for metric in METRICS:
                value = getattr(scores, metric)
                cells.append((show(metric, value), _sort_key(value)))
            pred_size, ref_size = show_sizes(evaluation, case, scores)
            cells += [(pred_size, scores.pred_voxels), (ref_size, scores.ref_voxels)]
            rows.append({"case": case.name, "class": name, "cells": cells})
    return rows


def _sort_key(value: float) -> float:
    """Sort key for the page's script: infinite after all numbers, undefined last."""
    return 1e30 if math.isinf(value) else 2e30 if math.isnan(value) else value
