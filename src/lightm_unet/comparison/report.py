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

from lightm_unet.comparison.exports import cases_csv, comparison_json, markdown, networks_csv
from lightm_unet.comparison.plan import Plan, Run
from lightm_unet.comparison.remarks import Remarks, make_remarks
from lightm_unet.comparison.results import RunResult
from lightm_unet.comparison.scatter import COLOURS, draw_scatter
from lightm_unet.comparison.slices import draw_slices
from lightm_unet.comparison.table import Row, cells, columns
from lightm_unet.reporting.formats import NO_VALUE, minutes, share
from lightm_unet.reporting.page import render_page
from lightm_unet.reporting.provenance import Provenance, made_now
from lightm_unet.system.files import write_bytes, write_json

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
    pictures = {
        FIGURE_1: draw_scatter(rows, plan.size),
        FIGURE_3: draw_slices(folder, plan, results),
    }
    page = render_report(plan, rows, results, remarks, made, pictures)
    write_bytes(networks_csv(plan, rows).encode(), folder / "networks.csv")
    write_bytes(cases_csv(results).encode(), folder / "cases.csv")
    content = comparison_json(plan, rows, results, remarks, made.to_json_dict())
    write_json(content, folder / "comparison.json")
    write_bytes(markdown(plan, rows, remarks).encode(), folder / "table.md")
    for name, png in pictures.items():
        if png is not None:
            write_bytes(png, folder / name)
    write_bytes(page.encode(), folder / REPORT)


def render_report(
    plan: Plan,
    rows: Sequence[Row],
    results: Mapping[Run, RunResult],
    remarks: Remarks,
    made: Provenance,
    pictures: Mapping[str, bytes | None],
) -> str:
    """The page as HTML; figures and styles are inside, nothing is loaded from elsewhere."""
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
        figure_1=pictures[FIGURE_1],
        figure_3=pictures[FIGURE_3],
    )


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
