"""Scores as text: the table on the terminal, and the format of numbers."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from lightm_unet.evaluation.scores import METRICS, CaseScores, Evaluation, LabelScores
from lightm_unet.reporting import formats
from lightm_unet.reporting.console import print_table

if TYPE_CHECKING:
    from rich.console import Console


def show(metric: str, value: float) -> str:
    """A score as text: HD95 is a length, the others are fractions.

    Example:
        >>> show("dice", 0.95123), show("hd95", 3.14159)
        ('0.951', '3.14')
    """
    return formats.length(value) if metric == "hd95" else formats.share(value)


def metric_titles(evaluation: Evaluation) -> dict[str, str]:
    """Column headings, with the unit and the tolerance."""
    return {
        "dice": "DSC",
        "iou": "IoU",
        "hd95": f"HD95 ({evaluation.unit})",
        "nsd": f"NSD ({evaluation.tolerance:g} {evaluation.unit})",
    }


def size_unit(evaluation: Evaluation) -> str:
    """Unit of mask sizes: ml in 3D, cm² in 2D, px if no spacing is known."""
    if evaluation.unit == "px":
        return "px"
    return "ml" if len(evaluation.cases[0].spacing) == 3 else "cm²"


def show_sizes(evaluation: Evaluation, case: CaseScores, scores: LabelScores) -> tuple[str, str]:
    """Size of the predicted and of the reference mask, in `size_unit`."""
    if evaluation.unit == "px":
        return f"{scores.pred_voxels}", f"{scores.ref_voxels}"
    per_unit = math.prod(case.spacing) / 10 ** len(case.spacing)
    return (
        formats.amount(scores.pred_voxels * per_unit),
        formats.amount(scores.ref_voxels * per_unit),
    )


def left_out(evaluation: Evaluation) -> list[str]:
    """Sentences on classes with empty masks: what the means count, and what they leave out."""
    notes = []
    for label, name in evaluation.label_names.items():
        summary = evaluation.summary(label, "hd95")
        if summary.undefined:
            notes.append(
                f"{name}: in neither mask of {formats.plural(summary.undefined, 'case')}; "
                "DSC, IoU and NSD count as 1, HD95 is left out."
            )
        if summary.infinite:
            notes.append(
                f"{name}: in only one of the masks of {formats.plural(summary.infinite, 'case')}; "
                "DSC, IoU and NSD count as 0, HD95 is left out."
            )
    return notes


def print_evaluation(evaluation: Evaluation, console: Console | None = None) -> None:
    """Print the means by class and what they leave out; the caller reports failed cases.

    Args:
        evaluation: what `evaluate` returned.
        console: where to print; standard output by default.
    """
    titles = metric_titles(evaluation)
    spread = ", mean ± standard deviation" if len(evaluation.cases) > 1 else ""
    rows = []
    for label, name in evaluation.label_names.items():
        summaries = {metric: evaluation.summary(label, metric) for metric in METRICS}
        cells = [
            formats.mean_and_std(summary.mean, summary.std, partial(show, metric))
            for metric, summary in summaries.items()
        ]
        rows.append([name, *cells])
    means = ["mean", *(show(metric, evaluation.mean(metric)) for metric in METRICS)]
    print_table(
        formats.plural(len(evaluation.cases), "case") + spread,
        ["class", *titles.values()],
        rows,
        left_out(evaluation),
        total=means if len(rows) > 1 else None,
        console=console,
    )
