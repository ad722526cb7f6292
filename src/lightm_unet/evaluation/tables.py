"""Scores as text: the table on the terminal, and the format of numbers."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from lightm_unet.evaluation.scores import (
    DISTANCES,
    METRICS,
    CaseScores,
    Evaluation,
    LabelScores,
    MetricSummary,
)
from lightm_unet.reporting import formats
from lightm_unet.reporting.console import print_table

if TYPE_CHECKING:
    from rich.console import Console


DOES_NOT_OCCUR = "does not occur"
"""Shown for a class that is in no mask of the evaluation."""
MOST_NOTES = 12
"""Sentences on single classes, and names in one sentence."""


def show(metric: str, value: float) -> str:
    """A score as text: distances are lengths, the others are fractions.

    A distance is infinite where only one mask has the class; it is shown as missing, as it is
    left out of every mean.

    Example:
        >>> show("dice", 0.95123), show("hd95", 3.14159), show("hd95", math.inf)
        ('0.951', '3.14', '–')
    """
    if not math.isfinite(value):
        return formats.NO_VALUE
    return formats.length(value) if metric in DISTANCES else formats.share(value)


def share_of_cases(summary: MetricSummary) -> str:
    """How many of the cases a mean is taken over.

    Example:
        >>> from lightm_unet.evaluation.scores import summarise
        >>> share_of_cases(summarise([1.0, 3.0, math.inf]))
        '2 of 3'
    """
    return f"{summary.n} of {summary.n + summary.infinite + summary.undefined}"


def metric_titles(evaluation: Evaluation) -> dict[str, str]:
    """Column headings, with the unit and the tolerance."""
    return {
        "dice": "DSC",
        "iou": "IoU",
        "hd95": f"HD95 ({evaluation.unit})",
        "nsd": f"NSD ({evaluation.tolerance:g} {evaluation.unit})",
    }


def size_unit(evaluation: Evaluation) -> str:
    """Unit of mask sizes: ml in 3D, cm² in 2D, px if no spacing is known.

    Voxels where slices and volumes are evaluated together: an area and a volume have no common
    unit.
    """
    if evaluation.unit == "px":
        return "px"
    dims = {len(case.spacing) for case in evaluation.cases}
    return "voxels" if len(dims) > 1 else "ml" if dims == {3} else "cm²"


def show_sizes(evaluation: Evaluation, case: CaseScores, scores: LabelScores) -> tuple[str, str]:
    """Size of the predicted and of the reference mask, in `size_unit`."""
    if size_unit(evaluation) in ("px", "voxels"):
        return f"{scores.pred_voxels}", f"{scores.ref_voxels}"
    per_unit = case.voxel_size / 10 ** len(case.spacing)
    return (
        formats.amount(scores.pred_voxels * per_unit),
        formats.amount(scores.ref_voxels * per_unit),
    )


def left_out(evaluation: Evaluation) -> list[str]:
    """Sentences on classes with empty masks: what the means count, and what they leave out.

    Of many classes only the first are named; the table counts the cases of all of them.
    """
    if not evaluation.label_names:
        return ["No mask has any label: there is nothing to compare."]
    notes = []
    absent = [n for label, n in evaluation.label_names.items() if not evaluation.occurs(label)]
    for label, name in evaluation.label_names.items():
        summary = evaluation.summary(label, "hd95")
        if evaluation.occurs(label):
            notes += _notes_on_class(name, summary)
    if len(notes) > MOST_NOTES:
        notes[MOST_NOTES:] = [
            f"{len(notes) - MOST_NOTES} more notes of this kind on other classes."
        ]
    if absent:
        more = f" and {len(absent) - MOST_NOTES} more" if len(absent) > MOST_NOTES else ""
        notes.append(
            f"{', '.join(absent[:MOST_NOTES])}{more}: {DOES_NOT_OCCUR} in any mask, so there is no "
            "score; left out of the mean over the classes."
        )
    return notes


def _notes_on_class(name: str, summary: MetricSummary) -> list[str]:
    """What is left out of the means of one class.

    Args:
        name: of the class.
        summary: of a distance.
    """
    notes = []
    if summary.undefined:
        notes.append(
            f"{name}: in neither mask of {formats.plural(summary.undefined, 'case')}, left "
            f"out of its means, which are over the other {summary.n + summary.infinite}."
        )
    if summary.infinite:
        mean = f"is the mean of {share_of_cases(summary)} cases" if summary.n else "has no value"
        notes.append(
            f"{name}: in only one of the two masks of "
            f"{formats.plural(summary.infinite, 'case')}; DSC, IoU and NSD count as 0. There is "
            f"no distance between the two: HD95 {mean}."
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
        counts = [share_of_cases(summaries[metric]) for metric in ("dice", *DISTANCES)]
        if not evaluation.occurs(label):
            counts[0] = DOES_NOT_OCCUR
        rows.append([name, *cells, *counts])
    means = [show(metric, evaluation.mean(metric)) for metric in METRICS]
    total = ["mean", *means, *("" for _ in ("cases", *DISTANCES))]
    of_distances = (f"{titles[metric].split()[0]} cases" for metric in DISTANCES)
    print_table(
        formats.plural(len(evaluation.cases), "case") + spread,
        ["class", *titles.values(), "cases", *of_distances],
        rows,
        left_out(evaluation),
        total=total if len(rows) > 1 else None,
        console=console,
    )
