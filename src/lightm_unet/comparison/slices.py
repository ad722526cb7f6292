"""Figure 3 of the paper: the same slices as segmented by each network, with errors marked.

`reporting.overlay` explains the marks.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as PillowImage

from lightm_unet.comparison.plan import Plan, Run
from lightm_unet.comparison.results import DATA, MASKS, RunResult, run_folder
from lightm_unet.comparison.table import case_scores
from lightm_unet.datasets.dataset import open_case_images, open_dataset
from lightm_unet.evaluation.scores import summarise
from lightm_unet.imaging.image import has_spacing, is_image_name, read_mask, split_ending
from lightm_unet.reporting.examples import pick_examples
from lightm_unet.reporting.figures import new_figure, save_figure
from lightm_unet.reporting.formats import share
from lightm_unet.reporting.palette import Colour, label_colour, on_grey
from lightm_unet.reporting.pictures import Picture, SliceView, draw_slice, view_slice

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 5
LEGEND = "line: reference    tint: predicted    ///: missed    tint with \\\\\\: added"


@dataclass(frozen=True)
class Example:
    """One case with the masks of all networks that segmented it."""

    title: str
    """Such as "Best"."""
    case: str
    view: SliceView
    """The slice; the first mask is the reference, the others are in the order of `panels`."""
    panels: Sequence[tuple[str, float]]
    """Each network with its mean Dice in this case."""


def mean_scores(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Mean score of each case over the networks that have one; `nan` if none has.

    Args:
        scores: for each network, the score of each case.

    Example:
        >>> mean_scores({"a": {"x": 0.5}, "b": {"x": 0.25, "y": math.nan}})
        {'x': 0.375, 'y': nan}
    """
    cases = dict.fromkeys(case for own in scores.values() for case in own)
    return {
        case: summarise([own[case] for own in scores.values() if case in own]).mean
        for case in cases
    }


def read_examples(folder: Path, plan: Plan, results: Mapping[Run, RunResult]) -> list[Example]:
    """The best, the median and the worst test case by the mean over all networks.

    Args:
        folder: the comparison's folder, from which masks and images are read.
        plan: the comparison's plan.
        results: results of its runs. Each network is shown with its first finished seed whose
                masks exist; results may have been copied without masks.

    Returns:
        Up to three; none if no finished run has its masks.
    """
    first: dict[str, Run] = {}
    scores: dict[str, dict[str, float]] = {}
    for run in plan.runs:
        name, evaluation = str(run.network), results[run].evaluation if run in results else None
        if evaluation and name not in first and (run_folder(folder, run) / MASKS).is_dir():
            first[name], scores[name] = run, case_scores([evaluation])
    return [
        _read_example(folder, title, case, first, scores)
        for title, case in pick_examples(mean_scores(scores))
    ]


def draw_panels(example: Example, colours: Mapping[int, Colour]) -> list[tuple[list[str], Picture]]:
    """The reference and the mask of each network, drawn on the slice.

    Args:
        example: the case.
        colours: by label value, such as `label_colours` gives.

    Returns:
        The lines of the caption, and the picture.
    """
    reference, *masks = example.view.masks
    captions = [["reference"], *(_caption(name, score) for name, score in example.panels)]
    return [
        (caption, draw_slice(example.view, mask, reference, colours))
        for caption, mask in zip(captions, (reference, *masks), strict=True)
    ]


def _caption(network: str, score: float) -> list[str]:
    """The network, its options if it has some, and its score in the case."""
    name, *options = network.split(":")
    return [name, *([", ".join(options)] if options else []), f"DSC {share(score)}"]


def label_colours(plan: Plan) -> dict[int, Colour]:
    """The colour of each label, as it is drawn on grey."""
    return {value: on_grey(label_colour(value)) for value in range(1, len(plan.label_names))}


def _read_example(
    folder: Path,
    title: str,
    case_name: str,
    runs: Mapping[str, Run],
    scores: Mapping[str, Mapping[str, float]],
) -> Example:
    data = open_dataset(folder / DATA)
    case = data.case(case_name)
    assert case.labels is not None  # it has scores
    classes = len(data.label_names)
    reference, geometry = read_mask(case.labels, classes)
    shown = [name for name in runs if case_name in scores[name]]
    files = [_mask_file(folder, runs[name], case_name) for name in shown]
    masks = [read_mask(file, classes)[0] for file in files]
    view = view_slice(
        open_case_images(data, case).array,
        [reference, *masks],
        geometry,
        is_photo=not has_spacing(case.labels),
    )
    return Example(title, case_name, view, [(name, scores[name][case_name]) for name in shown])


def _mask_file(folder: Path, run: Run, case: str) -> Path:
    masks = run_folder(folder, run) / MASKS
    images = filter(is_image_name, sorted(masks.iterdir()))  # beside the masks lie records
    return next(file for file in images if split_ending(file)[0] == case)


def draw_figure(examples: Sequence[Example], plan: Plan) -> bytes | None:
    """All examples in one figure, for documents.

    Args:
        examples: as `read_examples` gives them.
        plan: the comparison's plan.

    Returns:
        The PNG file's bytes; None if there are no examples.
    """
    if not examples:
        return None
    from matplotlib.patches import Patch

    colours = label_colours(plan)
    most = max(1 + len(example.panels) for example in examples)
    columns = min(most, COLUMNS)
    lines = [math.ceil((1 + len(example.panels)) / columns) for example in examples]
    heights = [_aspect(example.view) for example in examples]
    panel = 2.7
    ratios = [n * (panel * h + 0.6) + 0.35 for n, h in zip(lines, heights, strict=True)]
    figure = new_figure(panel * columns, 0.5 + sum(ratios))
    parts = figure.subfigures(len(examples), 1, height_ratios=ratios, squeeze=False)[:, 0]
    for part, example, rows in zip(parts, examples, lines, strict=True):
        # A dollar in a case's name begins no formula.
        part.suptitle(
            _heading(example) + "\n",
            x=0.01,
            ha="left",
            fontsize=11,
            linespacing=0.9,
            parse_math=False,
        )
        axes = part.subplots(rows, columns, squeeze=False).ravel()
        for place, (caption, picture) in zip(axes, draw_panels(example, colours), strict=False):
            _show(place, picture, caption)
        for place in axes:
            place.set_axis_off()
    marks = [Patch(alpha=0, label=LEGEND)]
    if len(colours) > 1:
        marks += [Patch(color=c.css, label=plan.label_names[value]) for value, c in colours.items()]
    figure.legend(
        handles=marks, loc="outside lower left", ncols=COLUMNS, frameon=False, fontsize=10
    )
    return save_figure(figure)


def _heading(example: Example) -> str:
    caption = example.view.caption
    return f"{example.title}: {example.case}" + (f", {caption}" if caption else "")


def _show(axes: Axes, picture: Picture, caption: Sequence[str]) -> None:
    with PillowImage.open(io.BytesIO(picture.png)) as opened:
        axes.imshow(np.asarray(opened))
    lines = [short for line in caption for short in textwrap.wrap(line, 34)]
    axes.set_title("\n".join(lines), fontsize=9)


def _aspect(view: SliceView) -> float:
    """Height over width, as displayed."""
    rows, columns = view.grey.shape
    return rows * view.pixel_mm[0] / (columns * view.pixel_mm[1])
