"""Figure 3 of the paper: the same slices as segmented by each network, with errors marked.

Where a network agrees with the reference, the label is tinted, every second label more strongly.
Missed voxels, added voxels and voxels with another label have one colour each; the colours can be
distinguished with any kind of colour vision.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightm_unet.comparison.plan import Plan, Run
from lightm_unet.comparison.results import DATA, MASKS, RunResult, run_folder
from lightm_unet.comparison.table import case_scores
from lightm_unet.datasets.dataset import open_case_images, open_dataset
from lightm_unet.evaluation.scores import summarise
from lightm_unet.imaging.image import has_spacing, read_mask, split_ending
from lightm_unet.reporting.examples import pick_examples
from lightm_unet.reporting.figures import new_figure, save_figure
from lightm_unet.reporting.formats import share
from lightm_unet.reporting.palette import GREEN, SKY_BLUE, VERMILION, YELLOW, on_grey
from lightm_unet.reporting.pictures import SliceView, view_slice

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AGREED, MISSED, ADDED, CONFUSED = map(on_grey, (GREEN, SKY_BLUE, VERMILION, YELLOW))
"""Colours for: same label; label only in the reference; label only in the prediction; different
labels in both."""
TINT, STRONG_TINT, OPACITY = 0.3, 0.65, 0.85
COLUMNS = 5


@dataclass(frozen=True)
class Example:
    """One case with the masks of all networks that segmented it."""

    title: str
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


def draw_slices(folder: Path, plan: Plan, results: Mapping[Run, RunResult]) -> bytes | None:
    """Draw the figure, as PNG.

    Args:
        folder: the comparison's folder, from which masks and images are read.
        plan: the comparison's plan.
        results: results of its runs. Each network is shown with its first finished seed whose
                masks exist; results may have been copied without masks.

    Returns:
        The PNG file's bytes; None if no finished run has its masks.
    """
    first: dict[str, Run] = {}
    scores: dict[str, dict[str, float]] = {}
    for run in plan.runs:
        name, evaluation = str(run.network), results[run].evaluation if run in results else None
        if evaluation and name not in first and (run_folder(folder, run) / MASKS).is_dir():
            first[name], scores[name] = run, case_scores([evaluation])
    examples = [
        _read_example(folder, title, case, first, scores)
        for title, case in pick_examples(mean_scores(scores))
    ]
    return _draw(examples) if examples else None


def mark_differences(grey: np.ndarray, pred: np.ndarray, ref: np.ndarray) -> np.ndarray:
    """A grey slice with agreement tinted and errors marked.

    Args:
        grey: uint8, `(rows, columns)`.
        pred: the network's labels, same shape.
        ref: the reference's labels, same shape.

    Returns:
        uint8, `(rows, columns, 3)`.
    """
    picture = np.repeat(grey[..., None], 3, axis=2).astype(float)
    agreed = (pred == ref) & (ref > 0)
    for colour, opacity, where in (
        (AGREED, TINT, agreed & (ref % 2 == 1)),
        (AGREED, STRONG_TINT, agreed & (ref % 2 == 0)),
        (MISSED, OPACITY, (pred == 0) & (ref > 0)),
        (ADDED, OPACITY, (pred > 0) & (ref == 0)),
        (CONFUSED, OPACITY, (pred > 0) & (ref > 0) & (pred != ref)),
    ):
        picture[where] = (1 - opacity) * picture[where] + opacity * np.asarray(colour)
    return picture.round().astype(np.uint8)


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
    reference, geometry = read_mask(case.labels)
    shown = [name for name in runs if case_name in scores[name]]
    masks = [read_mask(_mask_file(folder, runs[name], case_name))[0] for name in shown]
    view = view_slice(
        open_case_images(data, case).array,
        [reference, *masks],
        geometry,
        is_photo=not has_spacing(case.labels),
    )
    title = f"{title}: {case_name}" + (f", {view.caption}" if view.caption else "")
    return Example(title, view, [(name, scores[name][case_name]) for name in shown])


def _mask_file(folder: Path, run: Run, case: str) -> Path:
    masks = run_folder(folder, run) / MASKS
    return next(file for file in sorted(masks.iterdir()) if split_ending(file)[0] == case)


def _draw(examples: Sequence[Example]) -> bytes:
    from matplotlib.patches import Patch

    most = max(1 + len(example.panels) for example in examples)
    columns = min(most, COLUMNS)
    lines = [math.ceil((1 + len(example.panels)) / columns) for example in examples]
    heights = [_aspect(example.view) for example in examples]
    panel = 2.7
    ratios = [n * (panel * h + 0.6) + 0.35 for n, h in zip(lines, heights, strict=True)]
    figure = new_figure(panel * columns, 0.5 + sum(ratios))
    parts = figure.subfigures(len(examples), 1, height_ratios=ratios, squeeze=False)[:, 0]
    for part, example, rows in zip(parts, examples, lines, strict=True):
        part.suptitle(example.title + "\n", x=0.01, ha="left", fontsize=11, linespacing=0.9)
        axes = part.subplots(rows, columns, squeeze=False).ravel()
        reference, *masks = example.view.masks
        _show(axes[0], example.view, reference, "reference")
        for place, mask, (name, score) in zip(axes[1:], masks, example.panels, strict=False):
            _show(place, example.view, mask, f"{_wrapped(name)}\nDSC {share(score)}")
        for place in axes:
            place.set_axis_off()
    names = {AGREED: "as the reference", MISSED: "missed", ADDED: "added"}
    if any(mask.max(initial=0) > 1 for example in examples for mask in example.view.masks):
        names[CONFUSED] = "another label"
    handles = [Patch(facecolor=colour.css, label=name) for colour, name in names.items()]
    figure.legend(
        handles=handles, loc="outside lower left", ncols=len(handles), frameon=False, fontsize=10
    )
    return save_figure(figure)


def _show(axes: Axes, view: SliceView, mask: np.ndarray, title: str) -> None:
    picture = mark_differences(view.grey, mask, view.masks[0])
    axes.imshow(picture, aspect=view.pixel_mm[0] / view.pixel_mm[1], interpolation="nearest")
    axes.set_title(title, fontsize=9)


def _aspect(view: SliceView) -> float:
    """Height over width, as displayed."""
    rows, columns = view.grey.shape
    return rows * view.pixel_mm[0] / (columns * view.pixel_mm[1])


def _wrapped(network: str) -> str:
    """A network's name, followed by each option on its own line."""
    name, *options = network.split(":")
    return "\n".join([name, *textwrap.wrap(", ".join(options), 34)])
