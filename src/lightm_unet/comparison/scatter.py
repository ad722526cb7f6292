"""Figure 1 of the paper: score against operations; each mark's area shows the parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from lightm_unet.comparison.names import FAMILIES, OTHERS, OWN_FAMILY
from lightm_unet.comparison.table import Row
from lightm_unet.reporting import formats
from lightm_unet.reporting.figures import make_logarithmic, new_figure, save_figure, style_axes
from lightm_unet.reporting.palette import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY_BLUE,
    VERMILION,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg

COLOURS = dict(
    zip(
        (OWN_FAMILY, *FAMILIES, OTHERS),
        (BLUE, SKY_BLUE, GREY, VERMILION, GREEN, PURPLE, ORANGE),
        strict=True,
    )
)
"""Colour of each family of networks, in the figure and in the table."""
AREA_PER_MILLION = 26.0
"""Area of a mark in square points per million parameters."""


def draw_scatter(rows: Sequence[Row], size: Sequence[int], *, narrow: bool = False) -> bytes | None:
    """Draw the figure, as PNG.

    Args:
        rows: rows of the table; those without a score are left out.
        size: size of the image for which operations are counted.
        narrow: for a telephone: upright, with the legends below.

    Returns:
        The PNG file's bytes; None if no network has a score.
    """
    rows = [row for row in rows if math.isfinite(row.mean["dice"].mean)]
    if not rows:
        return None
    figure = new_figure(5, 6.6) if narrow else new_figure(11, 5.8)
    axes = figure.subplots()
    # The largest mark is drawn first, so that it hides no smaller one.
    for row in sorted(rows, key=lambda row: -row.cost.parameters):
        score, giga = row.mean["dice"], row.cost.macs / 1e9
        colour = COLOURS[row.family].css
        if math.isfinite(score.std):
            axes.errorbar(giga, score.mean, yerr=score.std, color=INK.css, linewidth=1, capsize=3)
        axes.scatter(
            giga,
            score.mean,
            s=area_of(row.cost.parameters),
            color=colour,
            alpha=0.75,
            edgecolor="white",
            linewidth=1,
            zorder=3,
        )
        axes.plot(giga, score.mean, marker=".", color=INK.css, markersize=3, zorder=4)
    _style(axes, rows, size)
    _add_legends(axes, rows, narrow)
    figure.canvas.draw()
    write_names(axes, rows)
    return save_figure(figure)


def area_of(parameters: int) -> float:
    """The area of a mark in square points: proportional, with a minimum that stays visible."""
    return max(45.0, AREA_PER_MILLION * parameters / 1e6)


def radius_of(parameters: int) -> float:
    """The radius of a mark in points."""
    return math.sqrt(area_of(parameters) / math.pi)


def _style(axes: Axes, rows: Sequence[Row], size: Sequence[int]) -> None:
    style_axes(axes)
    make_logarithmic(axes.xaxis)
    giga = [row.cost.macs / 1e9 for row in rows]
    axes.set_xlim(min(giga) / 1.9, max(giga) * 2.4)
    ends = [
        row.mean["dice"].mean + side * (0 if math.isnan(std := row.mean["dice"].std) else std)
        for row in rows
        for side in (-1, 1)
    ]
    margin = max(0.002, 0.12 * (max(ends) - min(ends)))
    # A standard deviation may reach beyond the scale of the score.
    axes.set_ylim(max(min(ends) - margin, -0.02), min(max(ends) + margin, 1.02))
    axes.set_xlabel(f"GMACs for one image of {formats.size(size)} (logarithmic)")
    axes.set_ylabel("mean DSC on the test cases")


def _add_legends(axes: Axes, rows: Sequence[Row], narrow: bool) -> None:
    from matplotlib.lines import Line2D

    families = [family for family in COLOURS if any(row.family == family for row in rows)]
    axes.figure.legend(
        handles=[
            Line2D([], [], marker="o", linestyle="", markersize=9, color=COLOURS[f].css, label=f)
            for f in families
        ],
        loc="outside lower left" if narrow else "outside right upper",
        frameon=False,
        fontsize=9,
        labelspacing=0.8,
    )
    axes.figure.legend(
        handles=[
            Line2D(
                [],
                [],
                marker="o",
                linestyle="",
                markersize=2 * radius_of(round(millions * 1e6)),
                markerfacecolor="none",
                markeredgecolor=INK.css,
                label=f"{millions} million",
            )
            for millions in (1, 5, 25)
        ],
        title="parameters",
        loc="outside lower right" if narrow else "outside right lower",
        frameon=False,
        fontsize=9,
        title_fontsize=9,
        labelspacing=1.6,
        handletextpad=1.6,
        borderpad=1.6,
    )


def write_names(axes: Axes, rows: Sequence[Row]) -> None:
    """Write each name beside its mark, where it covers no other mark or name."""
    from matplotlib.text import Text

    canvas = cast("FigureCanvasAgg", axes.figure.canvas)  # see `new_figure`
    pixels = axes.figure.dpi / 72
    taken = []
    for row in rows:
        x, y = axes.transData.transform((row.cost.macs / 1e9, row.mean["dice"].mean))
        reach = 0.8 * radius_of(row.cost.parameters) * pixels
        taken.append((x - reach, y - reach, x + reach, y + reach))
        if math.isfinite(std := row.mean["dice"].std):
            ends = (row.mean["dice"].mean - std, row.mean["dice"].mean + std)
            low, high = (axes.transData.transform((1, end))[1] for end in ends)
            taken.append((x - 5, low, x + 5, high))
    frame = axes.get_window_extent(canvas.get_renderer()).extents
    for row in sorted(rows, key=lambda row: -row.mean["dice"].mean):
        point = row.cost.macs / 1e9, row.mean["dice"].mean
        radius = radius_of(row.cost.parameters)
        best = None
        for dx, dy, anchor in _places(radius):
            text = axes.annotate(
                row.network.replace(":", "\n"),
                point,
                (dx, dy),
                textcoords="offset points",
                ha=anchor[0],
                va=anchor[1],
                fontsize=8.5,
                color=INK.css,
                zorder=5,
                arrowprops=None
                if math.hypot(dx, dy) < radius + 12
                else {"arrowstyle": "-", "color": GREY.css, "linewidth": 0.6, "shrinkB": 0},
            )
            # The text's extent only: the annotation's includes its line, and so the mark.
            text.update_positions(canvas.get_renderer())
            box = Text.get_window_extent(text).extents
            text.remove()
            cost = sum(_overlap(box, other) for other in taken) + 10 * _outside(box, frame)
            if best is None or cost < best[0]:
                best = cost, text, box
            if cost == 0:
                break
        assert best is not None  # there are places
        axes.add_artist(best[1])
        taken.append(best[2])


def _places(radius: float):
    """Offsets from a mark in points, near ones first, with the text's alignment."""
    for gap in (4, 18, 34, 52, 72):
        reach = radius + gap
        for angle in (0, 90, -90, 180, 35, -35, 145, -145, 60, -60, 120, -120):
            dx = reach * math.cos(math.radians(angle))
            dy = reach * math.sin(math.radians(angle))
            horizontal = "center" if abs(angle) == 90 else "left" if abs(angle) < 90 else "right"
            vertical = "center" if angle in (0, 180) else "bottom" if angle > 0 else "top"
            yield dx, dy, (horizontal, vertical)


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)


def _outside(box: Sequence[float], frame: Sequence[float]) -> float:
    whole = (box[2] - box[0]) * (box[3] - box[1])
    return whole - _overlap(box, frame)
