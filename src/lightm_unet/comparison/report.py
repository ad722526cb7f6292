"""Everything that a comparison has found, as files: tables, figures and one offline page.

report.html              all of it, for people
table.md                 the table, for documents
networks.csv             a row for each network
cases.csv                a row for each run, test case and class
comparison.json          the same for programs
score-against-size.png   Figure 1
slices.png               Figure 3
"""

from __future__ import annotations

import base64
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lightm_unet import __version__
from lightm_unet.comparison.exports import cases_csv, comparison_json, markdown, networks_csv
from lightm_unet.comparison.plan import Plan, Run
from lightm_unet.comparison.remarks import Remarks, make_remarks
from lightm_unet.comparison.results import RunResult
from lightm_unet.comparison.scatter import COLOURS, draw_scatter
from lightm_unet.comparison.slices import draw_slices
from lightm_unet.comparison.table import Row, cells, columns
from lightm_unet.evaluation.tables import NO_VALUE, show
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
        folder: the comparison's.
        plan: its plan.
        rows: one for each network.
        results: of every run that has one.
    """
    remarks = make_remarks(plan, rows)
    about = _about()
    pictures = {
        FIGURE_1: draw_scatter(rows, plan.size),
        FIGURE_3: draw_slices(folder, plan, results),
    }
    page = render_report(plan, rows, results, remarks, about, pictures)
    write_bytes(networks_csv(plan, rows).encode(), folder / "networks.csv")
    write_bytes(cases_csv(results).encode(), folder / "cases.csv")
    write_json(comparison_json(plan, rows, results, remarks, about), folder / "comparison.json")
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
    about: Mapping[str, Any],
    pictures: Mapping[str, bytes | None],
) -> str:
    """The page: figures and styles inside, nothing loaded from anywhere, all text escaped."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader(
            [
                PackageLoader("lightm_unet", "comparison"),
                PackageLoader("lightm_unet", "evaluation"),  # the reports share one style
            ]
        ),
        autoescape=True,  # names of data sets, labels and cases are other people's text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("comparison.html.jinja").render(
        remarks=remarks,
        columns=columns(plan, rows),
        rows=[(COLOURS[row.family], cells(plan, row, rows)) for row in rows],
        missing=[f"{row.network}, {line}" for row in rows for line in row.missing],
        slow=[f"{row.network}: {row.speed.error}" for row in rows if row.speed and row.speed.error],
        lost=[
            f"{run}, {case.name}: {case.error}"
            for run, result in results.items()
            if result.evaluation
            for case in result.evaluation.failed
        ],
        runs=[_run_cells(run, results.get(run)) for run in plan.runs],
        figure_1=_inline(pictures[FIGURE_1]),
        figure_3=_inline(pictures[FIGURE_3]),
        about=about,
    )


def _run_cells(run: Run, result: RunResult | None) -> list[str]:
    if result is None:
        return [str(run.network), str(run.seed), "not made yet", NO_VALUE, NO_VALUE, NO_VALUE]
    test = show("dice", result.evaluation.mean("dice")) if result.evaluation else NO_VALUE
    minutes = NO_VALUE if result.seconds != result.seconds else f"{result.seconds / 60:.1f}"
    return [
        str(run.network),
        str(run.seed),
        result.status,
        show("dice", result.best_dice),
        test,
        minutes,
    ]


def _inline(png: bytes | None) -> str | None:
    return None if png is None else base64.b64encode(png).decode()


def _about() -> dict[str, Any]:
    import torch

    now = datetime.now(timezone.utc).replace(microsecond=0)
    return {
        "created": now.isoformat(),
        "version": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }
