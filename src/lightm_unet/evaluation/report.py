"""One HTML file that a clinician can read, and the same scores as CSV and JSON beside it."""

from __future__ import annotations

import base64
import math
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lightm_unet import __version__
from lightm_unet.errors import DataError
from lightm_unet.evaluation.exports import cases_csv, summary_json
from lightm_unet.evaluation.masks import has_spacing, read_pair
from lightm_unet.evaluation.pairing import Pair
from lightm_unet.evaluation.scores import METRICS, CaseScores, Evaluation
from lightm_unet.evaluation.tables import (
    left_out,
    metric_titles,
    show,
    show_sizes,
    show_summary,
    size_unit,
)
from lightm_unet.imaging.image import read_image
from lightm_unet.reporting.charts import ChartRow, length_axis, share_axis, strip_chart
from lightm_unet.reporting.pictures import draw_case, label_colours
from lightm_unet.system.files import write_bytes, write_json


def write_report(evaluation: Evaluation, pairs: Mapping[str, Pair], output: Path) -> None:
    """Write `cases.csv`, `summary.json` and `report.html` into a folder.

    Args:
        evaluation: what `evaluate` found.
        pairs: the files of every case, by name, for the pictures.
        output: the folder; made where it is missing, files of these names are replaced.
    """
    created = datetime.now(timezone.utc).replace(microsecond=0)
    # All three are made before the first is written: an error leaves none of them.
    csv_text = cases_csv(evaluation)
    summary = summary_json(evaluation, __version__, created.isoformat())
    html = render_report(evaluation, pairs, created)
    write_bytes(csv_text.encode(), output / "cases.csv")
    write_json(summary, output / "summary.json")
    write_bytes(html.encode(), output / "report.html")


def render_report(evaluation: Evaluation, pairs: Mapping[str, Pair], created: datetime) -> str:
    """The report as HTML: pictures, styles and script inside, nothing loaded from anywhere."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("lightm_unet", "evaluation"),
        autoescape=True,  # file names and label names are other people's text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    colours = label_colours(list(evaluation.label_names))
    return environment.get_template("report.html.jinja").render(
        evaluation=evaluation,
        titles=metric_titles(evaluation),
        tiles=[(metric, show(metric, evaluation.mean(metric))) for metric in METRICS],
        classes=[
            {
                "name": name,
                "colour": "rgb({},{},{})".format(*colours[label]),
                "cells": [show_summary(evaluation, label, metric) for metric in METRICS],
            }
            for label, name in evaluation.label_names.items()
        ],
        notes=left_out(evaluation),
        charts=[
            (title, Markup(chart))  # strip_chart escapes the names in it
            for title, chart in _charts(evaluation, colours)
        ],
        examples=[
            _example(evaluation, title, case, pairs[case.name], colours)
            for title, case in pick_examples(evaluation)
        ],
        volumes=len(evaluation.cases[0].spacing) == 3,
        size_unit=size_unit(evaluation),
        rows=_case_rows(evaluation),
        created=f"{created:%Y-%m-%d %H:%M} UTC",
        versions={
            "lightm-unet": __version__,
            "Python": platform.python_version(),
            **{package: version(package) for package in ("numpy", "scipy", "nibabel", "pillow")},
        },
    )


def pick_examples(evaluation: Evaluation) -> list[tuple[str, CaseScores]]:
    """The best, the median and the worst case by mean Dice, each case once, with a title."""
    ranked = sorted(
        evaluation.cases,
        key=lambda case: (-evaluation.case_mean(case, "dice"), case.name),
    )
    if len(ranked) == 1:
        return [("The only case", ranked[0])]
    middle = [("Median", ranked[len(ranked) // 2])] if len(ranked) > 2 else []
    return [("Best", ranked[0]), *middle, ("Worst", ranked[-1])]


def _example(
    evaluation: Evaluation,
    title: str,
    case: CaseScores,
    pair: Pair,
    colours: Mapping[int, tuple[int, int, int]],
) -> dict[str, Any]:
    pred, ref, geometry = read_pair(pair)
    image, note = None, ""
    if pair.image is not None:
        try:
            image = read_image(pair.image)
            if image.geometry.shape != ref.shape:
                image, note = None, f"The image's shape differs from the masks': {pair.image}"
        except DataError as error:  # the scores stand without a picture's background
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
        "pictures": [
            {
                "data": base64.b64encode(picture.png).decode(),
                "width": picture.width,
                "height": picture.height,
                "caption": picture.caption,
            }
            for picture in pictures
        ],
    }


def _charts(
    evaluation: Evaluation, colours: Mapping[int, tuple[int, int, int]]
) -> list[tuple[str, str]]:
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
    """For the page's script: infinite after every number, undefined last."""
    return 1e30 if math.isinf(value) else 2e30 if math.isnan(value) else value
