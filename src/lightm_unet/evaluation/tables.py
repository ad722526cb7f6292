"""Scores as text: the table on the terminal, and how a number is written anywhere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lightm_unet.evaluation.scores import CaseScores, Evaluation, LabelScores

if TYPE_CHECKING:
    from rich.console import Console

NO_VALUE = "–"


def show(metric: str, value: float) -> str:
    """A score for people: three decimals for shares, a length for HD95.

    Example:
        >>> show("dice", 0.95123), show("hd95", 3.14159), show("hd95", 123.4)
        ('0.951', '3.14', '123')
        >>> show("hd95", math.inf), show("hd95", math.nan)
        ('∞', '–')
    """
    if math.isnan(value):
        return NO_VALUE
    if math.isinf(value):
        return "∞"
    if metric == "hd95":
        return f"{value:.0f}" if value >= 100 else f"{value:.2f}"
    return f"{value:.3f}"


def show_summary(evaluation: Evaluation, label: int, metric: str) -> tuple[str, str]:
    """Mean and standard deviation of one metric of one class; "" for the latter of one case."""
    summary = evaluation.summary(label, metric)
    return show(metric, summary.mean), "" if math.isnan(summary.std) else show(metric, summary.std)


def metric_titles(evaluation: Evaluation) -> dict[str, str]:
    """Column headings, with the unit and the tolerance."""
    return {
        "dice": "DSC",
        "iou": "IoU",
        "hd95": f"HD95 ({evaluation.unit})",
        "nsd": f"NSD ({evaluation.tolerance:g} {evaluation.unit})",
    }


def size_unit(evaluation: Evaluation) -> str:
    """What mask sizes are given in: ml in 3D, cm² in 2D, px where no spacing is known."""
    if evaluation.unit == "px":
        return "px"
    return "ml" if len(evaluation.cases[0].spacing) == 3 else "cm²"


def show_sizes(evaluation: Evaluation, case: CaseScores, scores: LabelScores) -> tuple[str, str]:
    """Size of the predicted and of the reference mask, in `size_unit`."""
    if evaluation.unit == "px":
        return f"{scores.pred_voxels}", f"{scores.ref_voxels}"
    per_unit = math.prod(case.spacing) / 10 ** len(case.spacing)
    sizes = (scores.pred_voxels * per_unit, scores.ref_voxels * per_unit)
    return tuple(f"{size:.{2 if size < 10 else 1 if size < 100 else 0}f}" for size in sizes)


def left_out(evaluation: Evaluation) -> list[str]:
    """Sentences on classes with empty masks: what the means count, and what they leave out."""
    notes = []
    for label, name in evaluation.label_names.items():
        summary = evaluation.summary(label, "hd95")
        if summary.undefined:
            notes.append(
                f"{name}: in neither mask of {_cases(summary.undefined)}; "
                "DSC, IoU and NSD count as 1, HD95 is left out."
            )
        if summary.infinite:
            notes.append(
                f"{name}: in only one of the masks of {_cases(summary.infinite)}; "
                "DSC, IoU and NSD count as 0, HD95 is left out."
            )
    return notes


def print_evaluation(evaluation: Evaluation, console: Console | None = None) -> None:
    """Print the means by class and what they leave out; failed cases are the caller's to name.

    Args:
        evaluation: what `evaluate` returned.
        console: where to print; standard output by default.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = console or Console()
    titles = metric_titles(evaluation)
    spread = ", mean ± standard deviation" if len(evaluation.cases) > 1 else ""
    table = Table(title=_cases(len(evaluation.cases)) + spread)
    table.add_column("class")
    for title in titles.values():
        table.add_column(title, justify="right", no_wrap=True)
    for label, name in evaluation.label_names.items():
        cells = [show_summary(evaluation, label, metric) for metric in titles]
        table.add_row(escape(name), *(f"{mean} ± {std}" if std else mean for mean, std in cells))
    if len(evaluation.label_names) > 1:
        table.add_section()
        means = [show(metric, evaluation.mean(metric)) for metric in titles]
        table.add_row("mean", *means, style="bold")
    console.print(table)
    for note in left_out(evaluation):
        console.print(escape(note), style="dim", soft_wrap=True)


def _cases(count: int) -> str:
    return f"{count} case" if count == 1 else f"{count} cases"
