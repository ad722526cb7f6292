"""Plot the latency: against the number of voxels or, for a single size, as bars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightm_unet.benchmark.results import Result, series, series_name
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.reporting import formats
from lightm_unet.reporting.figures import make_logarithmic, new_figure, save_figure, style_axes
from lightm_unet.reporting.palette import GREY, INK, SERIES
from lightm_unet.system.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = {"torch": "-", "onnxruntime": "--", "onnxruntime-basic": ":"}
HATCHES = {"torch": None, "onnxruntime": "//", "onnxruntime-basic": "xx"}
"""How the engines are told apart."""


def draw_latency(results: Sequence[Result], title: str, *paths: Path) -> None:
    """Draw measured results, one panel for 2D and one for 3D where there are both.

    A colour and marker for each network, dashes for ONNX Runtime, hollow marks (pale bars) for
    kept memory. Several sizes: log-log lines, beside a grey one that grows linearly. One size:
    a bar for each network, with its range over the rounds.

    Args:
        results: at least one, none failed.
        title: above the picture.
        paths: files to write; the ending says the format.
    """
    panels = [
        [r for r in results if len(r.case.size) == dims]
        for dims in (2, 3)
        if any(len(r.case.size) == dims for r in results)
    ]
    rows = max(len(series(panel)) for panel in panels)
    figure = new_figure(8 * len(panels), 4.6 + 0.22 * rows)
    looks = {name: i for i, name in enumerate(dict.fromkeys(r.case.network for r in results))}
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        several = len({r.case.voxels for r in panel}) > 1
        (_draw_lines if several else _draw_bars)(axes, panel, looks)
        if len(panels) > 1:
            axes.set_title(f"{len(panel[0].case.size)}D", loc="left", fontsize=10)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK.css)
    for path in paths:
        write_bytes(save_figure(figure, path.suffix[1:]), path)


def _draw_lines(axes: Axes, panel: Sequence[Result], looks: dict[NetworkSpec, int]) -> None:
    style_axes(axes)
    make_logarithmic(axes.xaxis)
    make_logarithmic(axes.yaxis)
    for members in series(panel).values():
        who = members[0].case
        look = looks[who.network]
        times = [r.latency for r in members]
        voxels = [r.case.voxels for r in members]
        colour = SERIES[look % len(SERIES)].css
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
            linestyle=LINES[who.engine],
            linewidth=1.6,
            markersize=6,
            capsize=2,
            label=series_name(who, panel),
        )
    fastest = min(panel, key=lambda r: (r.case.voxels, r.latency.median))
    largest = max(r.case.voxels for r in panel)
    start = fastest.case.voxels, fastest.latency.median * 1e3 * 0.6
    axes.plot(
        [start[0], largest],
        [start[1], start[1] * largest / start[0]],
        color=GREY.css,
        linestyle=":",
        label="linear in the voxels",
        zorder=1,
    )
    sizes = {r.case.voxels: formats.size(r.case.size) for r in panel}
    axes.set_xticks(list(sizes), list(sizes.values()))
    axes.tick_params(axis="x", which="minor", length=0)
    axes.set_xlabel("image size, voxels (logarithmic)")
    axes.set_ylabel("time of one pass, ms (logarithmic)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False, fontsize=9)


def _draw_bars(axes: Axes, panel: Sequence[Result], looks: dict[NetworkSpec, int]) -> None:
    style_axes(axes, grid="x")
    lines = [members[0] for members in series(panel).values()]
    longest = max(r.latency.max for r in lines) * 1e3
    for place, result in enumerate(lines):
        who, latency = result.case, result.latency
        axes.barh(
            place,
            latency.median * 1e3,
            height=0.62,
            color=SERIES[looks[who.network] % len(SERIES)].css,
            alpha=0.55 if who.allocator == "kept" else 1.0,
            hatch=HATCHES[who.engine],
            edgecolor="white",
        )
        axes.plot([latency.min * 1e3, latency.max * 1e3], [place] * 2, color=INK.css, linewidth=1.4)
        axes.text(
            latency.max * 1e3 + 0.01 * longest,
            place,
            formats.milliseconds(latency.median),
            va="center",
            fontsize=9,
            color=INK.css,
        )
    axes.set_yticks(range(len(lines)), [series_name(r.case, panel) for r in lines])
    axes.invert_yaxis()
    axes.set_xlim(0, longest * 1.12)
    axes.margins(y=0.01)
    axes.tick_params(axis="y", length=0)
    size = formats.size(lines[0].case.size)
    axes.set_xlabel(f"time of one pass at {size}, ms\nbar: median; line: range over the rounds")
