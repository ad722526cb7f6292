"""What all figures made by matplotlib have in common: no window, quiet axes, one ink."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal

from lightm_unet.reporting.palette import GRID, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import XAxis, YAxis
    from matplotlib.figure import Figure

FONT_SIZE = 9.5
DPI = 130


def new_figure(width: float, height: float) -> Figure:
    """An empty figure that belongs to no window and to no global state.

    Args:
        width: in inches.
        height: in inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, kind: str = "png") -> bytes:
    """The figure as the bytes of a file; the same figure gives the same bytes.

    Args:
        figure: as drawn.
        kind: "png" or "svg".
    """
    from matplotlib import rc_context

    buffer = io.BytesIO()
    date = {"Date": None} if kind == "svg" else None
    with rc_context({"svg.hashsalt": "lightm-unet"}):
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=date)
    return buffer.getvalue()


def style_axes(axes: Axes, grid: Literal["both", "x", "y"] = "both") -> None:
    """Draw axes quietly: no frame above and to the right, and a pale grid behind the marks.

    Args:
        axes: to be styled.
        grid: which lines of the grid to draw, "x", "y" or "both".
    """
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK.css)
    axes.tick_params(colors=INK.css, labelsize=FONT_SIZE)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK.css, fontsize=FONT_SIZE + 1)
    axes.grid(axis=grid, color=GRID.css, linewidth=0.7)
    axes.set_axisbelow(True)


def make_logarithmic(axis: XAxis | YAxis) -> None:
    """Give one axis, `axes.xaxis` or `axes.yaxis`, a logarithmic scale with plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
