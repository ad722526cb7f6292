"""The results of a comparison as files: tables, figures and one offline page.

report.html              everything, for readers
table.md                 the table, for documents
networks.csv             a row for each network
cases.csv                a row for each run, test case and class
comparison.json          the same for programs
score-against-size.png   Figure 1
slices.png               Figure 3
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightm_unet.comparison.exports import cases_csv, comparison_json, markdown, networks_csv
from lightm_unet.comparison.plan import Plan, Run
from lightm_unet.comparison.remarks import Remarks, make_remarks
from lightm_unet.comparison.results import RunResult
from lightm_unet.comparison.scatter import COLOURS, draw_scatter
from lightm_unet.comparison.slices import (
    Example,
    draw_figure,
    draw_panels,
    label_colours,
    read_examples,
)
from lightm_unet.comparison.table import Row, cells, columns
from lightm_unet.reporting.formats import NO_VALUE, minutes, share
from lightm_unet.reporting.page import render_page
from lightm_unet.reporting.palette import Colour
from lightm_unet.reporting.provenance import Provenance, made_now
from lightm_unet.system.files import encode_json, encode_text, write_together

REPORT, FIGURE_1, FIGURE_3 = "report.html", "score-against-size.png", "slices.png"


def write_report(
    folder: Path,
    plan: Plan,
    rows: Sequence[Row],
    results: Mapping[Run, RunResult],
) -> None:
    """Write all files into the comparison's folder; earlier ones are replaced.

    Args:
        folder: the comparison's folder.
        plan: its plan.
        rows: one row for each network.
        results: the result of each run that has ended.
    """
    remarks = make_remarks(plan, rows)
    made = made_now(["torch"])
    examples = read_examples(folder, plan, results)
    narrow = draw_scatter(rows, plan.size, narrow=True)
    pictures = {
        FIGURE_1: draw_scatter(rows, plan.size),
        FIGURE_3: draw_figure(examples, plan),
    }
    content = comparison_json(plan, rows, results, remarks, made.to_json_dict())
    page = render_report(plan, rows, results, remarks, made, pictures[FIGURE_1], examples, narrow)
    files = {
        "networks.csv": encode_text(networks_csv(plan, rows)),
        "cases.csv": encode_text(cases_csv(results)),
        "comparison.json": encode_json(content),
        "table.md": encode_text(markdown(plan, rows, remarks)),
        **{name: png for name, png in pictures.items() if png is not None},
        REPORT: encode_text(page),
    }
    write_together(files, folder)


def render_report(
    plan: Plan,
    rows: Sequence[Row],
    results: Mapping[Run, RunResult],
    remarks: Remarks,
    made: Provenance,
    scatter: bytes | None,
    examples: Sequence[Example],
    narrow_scatter: bytes | None = None,
) -> str:
    """The page as HTML; figures and styles are inside, nothing is loaded from elsewhere.

    A narrow screen shows `narrow_scatter` in the place of `scatter`.
    """
    colours = label_colours(plan)
    return render_page(
        "comparison/comparison.html.jinja",
        made=made,
        remarks=remarks,
        columns=columns(plan, rows),
        rows=[(COLOURS[row.family].css, cells(plan, row, rows)) for row in rows],
        missing=[f"{row.network}, {line}" for row in rows for line in row.missing],
        slow=[f"{row.network}: {row.speed.error}" for row in rows if row.speed and row.speed.error],
        lost=[
            f"{run}, {case.name}: {case.error}"
            for run, result in results.items()
            if result.evaluation
            for case in result.evaluation.failed
        ],
        runs=[_run_cells(run, results.get(run)) for run in plan.runs],
        scatter=scatter,
        narrow_scatter=narrow_scatter,
        labels=[(colours[value].css, name) for value, name in _labels(plan)],
        examples=[_example(example, colours) for example in examples],
    )


def _labels(plan: Plan) -> list[tuple[int, str]]:
    return list(enumerate(plan.label_names))[1:]


def _example(example: Example, colours: Mapping[int, Colour]) -> dict[str, Any]:
    """What the page's macro for examples shows."""
    return {
        "title": example.title,
        "name": example.case,
        "detail": example.view.caption,
        "pictures": [
            (picture, caption, f"{example.case}: {', '.join(caption)}")
            for caption, picture in draw_panels(example, colours)
        ],
        "note": "",
    }


def _run_cells(run: Run, result: RunResult | None) -> list[str]:
    if result is None:
        return [str(run.network), str(run.seed), "not made yet", NO_VALUE, NO_VALUE, NO_VALUE]
    return [
        str(run.network),
        str(run.seed),
        result.status,
        share(result.best_dice),
        share(result.evaluation.mean("dice")) if result.evaluation else NO_VALUE,
        minutes(result.seconds),
    ]
