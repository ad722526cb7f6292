"""Small charts as inline SVG, drawn with the page's own colours and fonts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from lightm_unet.reporting.palette import Colour

WIDTH = 400
ROW_HEIGHT = 58
MARGIN = 14
AXIS_HEIGHT = 26
LONGEST_NAME = 42
"""Letters of a name that fit above its row."""
DOT_OFFSETS = (0, 6, -6, 3, -3, 9, -9)
"""Dots of neighbouring cases are moved up and down in turn, so that they do not hide each other."""


@dataclass(frozen=True)
class ChartRow:
    """The values of one class."""

    name: str
    values: Sequence[tuple[str, float]]
    """Case name and finite value."""
    colour: Colour


def strip_chart(rows: Sequence[ChartRow], title: str, low: float, high: float) -> str:
    """One dot per case on a common scale, with the quartiles as a box and the median as a line.

    Args:
        rows: the classes, from top to bottom.
        title: what the values are, read out by screen readers.
        low: value at the left end of the scale.
        high: value at the right end.

    Returns:
        An `<svg>` element; all text in it is escaped.
    """
    ticks = nice_ticks(low, high)

    def place(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return round(MARGIN + share * (WIDTH - 2 * MARGIN), 2)

    height = len(rows) * ROW_HEIGHT + AXIS_HEIGHT
    bottom = height - AXIS_HEIGHT
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img"'
        f' aria-label="{escape(title)}">'
    ]
    for tick in ticks:
        parts.append(
            f'<line class="grid" x1="{place(tick)}" x2="{place(tick)}" y1="0" y2="{bottom}"/>'
        )
        parts.append(f'<text class="tick" x="{place(tick)}" y="{bottom + 17}">{tick:g}</text>')
    for index, row in enumerate(rows):
        top, middle = index * ROW_HEIGHT, index * ROW_HEIGHT + 37
        name = escape(_shortened(row.name))
        parts.append(f'<text class="name" x="{MARGIN}" y="{top + 15}">{name}</text>')
        if not row.values:
            parts.append(f'<text class="none" x="{MARGIN}" y="{middle + 4}">no values</text>')
            continue
        fill = row.colour.css
        quarter, median, three_quarters = np.percentile([v for _, v in row.values], (25, 50, 75))
        left, right = place(quarter), place(three_quarters)
        parts.append(
            f'<rect x="{left}" y="{middle - 13}" width="{max(right - left, 1):.2f}" height="26"'
            f' rx="3" fill="{fill}" fill-opacity="0.3"/>'
        )
        for number, (case, value) in enumerate(row.values):
            parts.append(
                f'<circle cx="{place(value)}" cy="{middle + DOT_OFFSETS[number % 7]}" r="3.2"'
                f' fill="{fill}"><title>{escape(case)}: {value:.4g}</title></circle>'
            )
        parts.append(
            f'<line class="median" x1="{place(median)}" x2="{place(median)}"'
            f' y1="{middle - 14}" y2="{middle + 14}"/>'
        )
    parts.append("</svg>")
    return "".join(parts)


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def nice_ticks(low: float, high: float) -> list[float]:
    """Round numbers from `low` to `high`, up to six.

    Example:
        >>> nice_ticks(0, 1)
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
        >>> nice_ticks(0, 37)
        [0.0, 10.0, 20.0, 30.0]
    """
    if not high > low:
        return [low]
    rough = (high - low) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power > 0.999 * rough)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(round(index * step, 10)) for index in range(first, last + 1)]


def share_axis(values: Sequence[float]) -> tuple[float, float]:
    """A scale for values between 0 and 1 that ends at 1 and shows the lowest.

    Example:
        >>> share_axis([0.97, 0.91]), share_axis([0.3, 0.9])
        ((0.8, 1.0), (0.3, 1.0))
    """
    lowest = min(values, default=0.0)
    return min(0.8, math.floor(lowest * 10 + 1e-9) / 10), 1.0


def length_axis(values: Sequence[float]) -> tuple[float, float]:
    """A scale for lengths, from 0 to a little beyond the largest."""
    return 0.0, max(values, default=0.0) * 1.04 or 1.0
