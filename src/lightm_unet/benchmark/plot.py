"""Latency as a picture: against the number of voxels, or, at a single size, as bars."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightm_unet.benchmark.results import Result, series, series_name, three_digits
from lightm_unet.system.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette: told apart by the colour-blind. Its yellow is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
INK, FAINT = "#222222", "#999999"


def draw_latency(results: Sequence[Result], title: str, *paths: Path) -> None:
    """Draw measured results, one panel for 2D and one for 3D where there are both.

    A colour and marker for each network, dashes for ONNX Runtime, hollow marks (pale bars) for
    kept memory. Several sizes: log-log lines, beside a grey one that grows linearly. One size:
    a bar for each contestant, with its range over the rounds.

    Args:
        results: at least one, none failed.
        title: above the picture.
        paths: files to write; the ending says the format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [
        [r for r in results if len(r.contestant.size) == dims]
        for dims in (2, 3)
        if any(len(r.contestant.size) == dims for r in results)
    ]
    rows = max(len(series(panel)) for panel in panels)
    figure = Figure((8 * len(panels), 4.6 + 0.22 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    looks = {name: i for i, name in enumerate(dict.fromkeys(r.contestant.network for r in results))}
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        several = len({r.contestant.voxels for r in panel}) > 1
        (_draw_lines if several else _draw_bars)(axes, panel, looks)
        if len(panels) > 1:
            axes.set_title(f"{len(panel[0].contestant.size)}D", loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK)
    for path in paths:
        buffer = io.BytesIO()
        figure.savefig(buffer, format=path.suffix[1:], dpi=150)
        write_bytes(buffer.getvalue(), path)


def _draw_lines(axes: Axes, panel: Sequence[Result], looks: dict[str, int]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for members in series(panel).values():
        who = members[0].contestant
        look = looks[who.network]
        times = [r.latency for r in members]
        voxels = [r.contestant.voxels for r in members]
        colour = COLOURS[look % len(COLOURS)]
        middle = [t.median * 1e3 for t in times]
        axes.errorbar(
            voxels,
            middle,
            yerr=[
                [(t.median - t.min) * 1e3 for t in times],
                [(t.max - t.median) * 1e3 for t in times],
            ],
            color=colour,
            marker=MARKERS[look % len(MARKERS)],
            markerfacecolor="white" if who.allocator == "kept" else colour,
            linestyle="--" if who.engine == "onnxruntime" else "-",
            linewidth=1.6,
            markersize=6,
            capsize=2,
            label=series_name(who, panel),
        )
    fastest = min(panel, key=lambda r: (r.contestant.voxels, r.latency.median))
    largest = max(r.contestant.voxels for r in panel)
    start = fastest.contestant.voxels, fastest.latency.median * 1e3 * 0.6
    axes.plot(
        [start[0], largest],
        [start[1], start[1] * largest / start[0]],
        color=FAINT,
        linestyle=":",
        label="linear in the voxels",
        zorder=1,
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    sizes = {r.contestant.voxels: r.contestant.size_text for r in panel}
    axes.set_xticks(list(sizes), [s.replace("x", "×") for s in sizes.values()])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="minor", length=0)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("image size, voxels (logarithmic)")
    axes.set_ylabel("time of one pass, ms (logarithmic)")
    axes.grid(color="#e5e5e5", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False, fontsize=9)


def _draw_bars(axes: Axes, panel: Sequence[Result], looks: dict[str, int]) -> None:
    lines = [members[0] for members in series(panel).values()]
    longest = max(r.latency.max for r in lines) * 1e3
    for place, result in enumerate(lines):
        who, latency = result.contestant, result.latency
        axes.barh(
            place,
            latency.median * 1e3,
            height=0.62,
            color=COLOURS[looks[who.network] % len(COLOURS)],
            alpha=0.55 if who.allocator == "kept" else 1.0,
            hatch="//" if who.engine == "onnxruntime" else None,
            edgecolor="white",
        )
        axes.plot([latency.min * 1e3, latency.max * 1e3], [place] * 2, color=INK, linewidth=1.4)
        axes.text(
            latency.max * 1e3 + 0.01 * longest,
            place,
            three_digits(latency.median * 1e3),
            va="center",
            fontsize=9,
            color=INK,
        )
    axes.set_yticks(range(len(lines)), [series_name(r.contestant, panel) for r in lines])
    axes.invert_yaxis()
    axes.set_xlim(0, longest * 1.12)
    axes.margins(y=0.01)
    axes.tick_params(axis="y", length=0)
    size = lines[0].contestant.size_text.replace("x", "×")
    axes.set_xlabel(f"time of one pass at {size}, ms\nbar: median; line: range over the rounds")
