"""Every colour of pictures, charts and figures, from one set of hues.

The hues are those of Okabe and Ito, which people with any kind of colour vision tell apart. They
are not all as bright as each other, so a role takes those that show on its background.
"""

from __future__ import annotations

from typing import NamedTuple


class Colour(NamedTuple):
    """Red, green and blue, each 0 to 255."""

    red: int
    green: int
    blue: int

    @property
    def css(self) -> str:
        """The colour in the notation of HTML and matplotlib.

        Example:
            >>> BLUE.css
            '#0072b2'
        """
        return f"#{self.red:02x}{self.green:02x}{self.blue:02x}"


ORANGE = Colour(230, 159, 0)
SKY_BLUE = Colour(86, 180, 233)
GREEN = Colour(0, 158, 115)
YELLOW = Colour(240, 228, 66)
BLUE = Colour(0, 114, 178)
VERMILION = Colour(213, 94, 0)
PURPLE = Colour(204, 121, 167)
BLACK = Colour(0, 0, 0)
GREY = Colour(153, 153, 153)

LABELS = (ORANGE, SKY_BLUE, GREEN, YELLOW, BLUE, VERMILION, PURPLE)
"""Labels 1, 2, ... of a model take these in turn; the background is black."""
SERIES = (BLUE, VERMILION, GREEN, PURPLE, SKY_BLUE, ORANGE, BLACK)
"""Lines, bars and marks on white, where yellow is too pale."""

INK = Colour(34, 34, 34)
"""Text and thin lines of a figure."""
GRID = Colour(229, 229, 229)
"""A figure's grid."""

LEAST_LUMINANCE_ON_GREY = 0.22
"""Relative luminance, 0 to 1. Against the dark grey (51, 51, 51) of a scan's soft parts it is a
contrast of more than 3 to 1, what the Web's guidelines ask of graphics. Much more would make blue
look like sky blue."""


def label_colour(value: int) -> Colour:
    """The colour of a label value where no model tells another.

    Example:
        >>> label_colour(0) == BLACK, label_colour(1) == ORANGE, label_colour(8) == ORANGE
        (True, True, True)
    """
    return LABELS[(value - 1) % len(LABELS)] if value else BLACK


def read_colour(channels: object) -> Colour:
    """A colour from its JSON form.

    Raises:
        ValueError: it is not three whole numbers from 0 to 255.

    Example:
        >>> read_colour([230, 159, 0]) == ORANGE
        True
    """
    if (
        not isinstance(channels, (list, tuple))
        or len(channels) != 3
        or not all(isinstance(c, int) and 0 <= c <= 255 for c in channels)
    ):
        raise ValueError(f"a colour is three whole numbers from 0 to 255, got {channels!r}")
    return Colour(*channels)


def on_grey(colour: Colour) -> Colour:
    """The same hue, light enough to be seen on the dark grey of an image.

    Colours that are light enough stay as they are. The others get more light, and, where a channel
    is at its limit already, some white.

    Example:
        >>> on_grey(ORANGE) == ORANGE, on_grey(BLUE)
        (True, Colour(red=0, green=135, blue=210))
    """
    linear = [_to_linear(channel) for channel in colour]
    luminance = _luminance(linear)
    if luminance >= LEAST_LUMINANCE_ON_GREY:
        return colour
    if luminance > 0:
        gain = min(LEAST_LUMINANCE_ON_GREY / luminance, 1 / max(linear))
        linear = [gain * channel for channel in linear]
        luminance *= gain
    white = (LEAST_LUMINANCE_ON_GREY - luminance) / (1 - luminance)
    return Colour(*(_from_linear(channel + white * (1 - channel)) for channel in linear))


def _luminance(linear: list[float]) -> float:
    red, green, blue = linear
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _to_linear(channel: int) -> float:
    """An sRGB channel as an amount of light from 0 to 1."""
    share = channel / 255
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4


def _from_linear(light: float) -> int:
    share = 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055
    return round(255 * share)
