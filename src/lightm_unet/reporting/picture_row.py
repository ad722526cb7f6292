"""Several pictures and a legend as one PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from lightm_unet.reporting.palette import BLACK, Colour
from lightm_unet.reporting.pictures import Picture

GAP_PX, LINE_PX, TEXT_PX = 12, 24, 15
MOST_NAMED = 40
"""Labels in a legend."""
_PALE = (230, 230, 230)
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def join_pictures(pictures: Sequence[Picture], legend: Sequence[tuple[str, Colour]]) -> bytes:
    """Pictures side by side, with their captions below, and below them the labels' colours.

    Args:
        pictures: at least one.
        legend: names with their colours; of very many, the first ones are named.

    Returns:
        A PNG.
    """
    font = ImageFont.load_default(size=TEXT_PX)
    width = sum(each.width for each in pictures) + GAP_PX * (len(pictures) + 1)
    height = max(each.height for each in pictures)
    named = [(name, colour) for name, colour in legend[:MOST_NAMED]]
    if len(legend) > MOST_NAMED:
        named.append((f"and {len(legend) - MOST_NAMED} more", BLACK))
    rows = _rows(named, width - 2 * GAP_PX, font)
    captions = LINE_PX if any(each.caption for each in pictures) else 0
    canvas = PillowImage.new(
        "RGB", (width, height + captions + len(rows) * LINE_PX + 2 * GAP_PX), BLACK
    )
    draw = ImageDraw.Draw(canvas)
    left = GAP_PX
    for each in pictures:
        with PillowImage.open(io.BytesIO(each.png)) as picture:
            canvas.paste(picture, (left, GAP_PX + (height - each.height) // 2))
        middle = left + each.width // 2
        draw.text((middle, GAP_PX + height + captions // 2), each.caption, _PALE, font, anchor="mm")
        left += each.width + GAP_PX
    for number, row in enumerate(rows):
        top = GAP_PX + height + captions + number * LINE_PX
        left = GAP_PX
        for name, colour in row:
            draw.rectangle((left, top + 6, left + 12, top + 18), colour)
            draw.text((left + 18, top + LINE_PX // 2), name, _PALE, font, anchor="lm")
            left += _width(name, font)
    buffer = io.BytesIO()
    canvas.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _rows(
    named: Sequence[tuple[str, Colour]], width: int, font: _Font
) -> list[list[tuple[str, Colour]]]:
    """The legend in lines that fit."""
    rows: list[list[tuple[str, Colour]]] = []
    left = width + 1
    for name, colour in named:
        if left + _width(name, font) > width:
            rows.append([])
            left = 0
        rows[-1].append((name, colour))
        left += _width(name, font)
    return rows


def _width(name: str, font: _Font) -> int:
    return 18 + round(font.getlength(name)) + 20
