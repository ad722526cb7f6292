"""How the validation Dice grows with the minutes of training on this CPU: a figure and its numbers.

    python experiments/learning_curves.py docs/results/lungs runs/lungs/runs/*

Trainings that share a machine with other work take longer, so the minutes are not those of the
runs: they are the steps done times the time of one step, measured here with one thread, all
networks in turns. Reading, augmentation and validation are not in it; they cost every network the
same. Writes learning-curves.csv, with every epoch of every run, and learning-curves.png.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lightm_unet.benchmark.bench import bench
from lightm_unet.models.model_folder import CARD
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.reporting.figures import make_logarithmic, new_figure, save_figure, style_axes
from lightm_unet.reporting.formats import six_digits
from lightm_unet.reporting.palette import INK, SERIES
from lightm_unet.reporting.text_tables import csv_table, read_csv
from lightm_unet.system.files import write_bytes
from lightm_unet.system.records import read_record
from lightm_unet.training.run_folder import read_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CSV, FIGURE = "learning-curves.csv", "learning-curves.png"
COLUMNS = ("network", "seed", "epoch", "step", "minutes", "val_dice")


@dataclass(frozen=True)
class Curve:
    """One run."""

    network: NetworkSpec
    seed: int
    size: tuple[int, ...]
    """Of the network's input."""
    batch: int
    channels: int
    labels: int
    epochs: tuple[tuple[int, int, float], ...]
    """Number, steps done so far, validation Dice."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("runs", type=Path, nargs="+", help="folders that `train` or `compare` made")
    given = parser.parse_args()
    curves = [read_curve(run) for run in given.runs]
    write_curves(curves, measure_steps(curves), given.output)


def read_curve(run: Path) -> Curve:
    """A finished run."""
    record, card = read_run(run), read_record(run / "model" / CARD)
    preprocessing = record.preprocessing
    with (run / "log.csv").open(newline="") as file:
        epochs = tuple(
            (int(row["epoch"]), int(row["step"]), float(row["val_dice"]))
            for row in csv.DictReader(file)
        )
    return Curve(
        NetworkSpec.parse(record.settings.network),
        record.settings.seed,
        preprocessing.size or preprocessing.roi_size or (),
        card["training"]["batch_size"],
        preprocessing.channels,
        len(card["labels"]),
        epochs,
    )


def measure_steps(curves: Sequence[Curve]) -> dict[NetworkSpec, float]:
    """Seconds of one training step of each network, on one thread."""
    settings = {(c.size, c.batch, c.channels, c.labels) for c in curves}
    if len(settings) != 1:
        raise SystemExit(f"expected runs of one size, batch and data set, found {settings}")
    ((size, batch, channels, labels),) = settings
    report = bench(
        list(dict.fromkeys(c.network for c in curves)),
        what="train",
        sizes=[size],
        threads=[1],
        allocators=["default"],
        batch=batch,
        in_channels=channels,
        out_channels=labels,
    )
    return {result.case.network: result.latency.median for result in report.results}


def write_curves(
    curves: Sequence[Curve], seconds: Mapping[NetworkSpec, float], output: Path
) -> None:
    """Write the numbers and the figure.

    Args:
        curves: the runs, in the order of the legend.
        seconds: of one training step of each network.
        output: folder, made where missing.
    """
    rows = [
        (c.network, c.seed, epoch, step, six_digits(step * seconds[c.network] / 60), six_digits(d))
        for c in curves
        for epoch, step, d in c.epochs
    ]
    write_bytes(csv_table(COLUMNS, rows).encode(), output / CSV)
    write_bytes(draw(output / CSV), output / FIGURE)


def draw(table: Path) -> bytes:
    """The figure of learning-curves.csv, as PNG: a line for each run, a colour for each network."""
    lines: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in read_csv(table.read_text()):
        points = lines.setdefault(row["network"], {}).setdefault(row["seed"], [])
        points.append((float(row["minutes"]), float(row["val_dice"])))
    figure = new_figure(9, 5.2)
    axes = figure.subplots()
    for number, (network, seeds) in enumerate(lines.items()):
        colour, dashes = SERIES[number % len(SERIES)].css, "--" if number >= len(SERIES) else "-"
        for index, points in enumerate(seeds.values()):
            axes.plot(
                *zip(*best_so_far(points), strict=True),
                dashes,
                color=colour,
                linewidth=1.8 if index == 0 else 1.0,
                drawstyle="steps-post",
                label=network if index == 0 else None,
            )
    finish(axes, [dice for seeds in lines.values() for run in seeds.values() for _, dice in run])
    return save_figure(figure)


def best_so_far(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """What a user would have had in hand when the training was stopped there.

    Example:
        >>> best_so_far([(1, 0.5), (2, 0.4), (3, 0.6)])
        [(1, 0.5), (2, 0.5), (3, 0.6)]
    """
    best = -math.inf
    return [(minute, best := max(best, dice)) for minute, dice in points]


def finish(axes: Axes, scores: Sequence[float]) -> None:
    style_axes(axes)
    make_logarithmic(axes.xaxis)
    top = max(scores)
    axes.set_ylim(top - 0.15, top + 0.01)
    axes.set_xlabel("minutes of training steps on one thread (logarithmic)")
    axes.set_ylabel("best validation Dice so far")
    axes.legend(loc="lower right", frameon=False, labelcolor=INK.css)


if __name__ == "__main__":
    main()
