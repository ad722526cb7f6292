"""A legend: the file that says which colour of a mask is which label.

CSV    colour,label        JSON   {"#ff0000": "liver", "0,255,0": "tumour", "255": "vessel"}
       #ff0000,liver              {"liver": [255, 0, 0], "tumour": "#00ff00"}
       0,255,0,tumour
       255,vessel
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lightm_unet.errors import DataError
from lightm_unet.system.files import read_bytes, read_json

Code = int
"""A colour as one number, 65536 red + 256 green + blue; a grey value counts as that grey."""

_EXPECTED = "a line for each colour, such as #ff0000,liver or 255,0,0,liver"


def read_legend(path: Path) -> dict[Code, str]:
    """Read a legend; black is the background unless it is named otherwise.

    Returns:
        The label's name for each colour, in the order of the file.

    Raises:
        DataError: a line cannot be read, a colour is named twice, or no label but the background.
    """
    rows = _json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path)
    legend: dict[Code, str] = {}
    for colour, name in rows:
        if legend.setdefault(colour, name) != name:
            found = f"{show(colour)} for {legend[colour]} and for {name}"
            raise DataError(path, found, "one label for a colour", "correct it")
    backgrounds = [code for code, name in legend.items() if name.casefold() == "background"]
    if not backgrounds:
        legend.setdefault(0, "background")
    if len(set(legend.values())) < 2:
        raise DataError(path, "no label but the background", _EXPECTED, "add the labels")
    return legend


def show(code: Code) -> str:
    """A colour as people write it.

    Example:
        >>> show(0xFF8000), show(0x010101)
        ('#ff8000', 'grey 1')
    """
    red, green, blue = code >> 16, code >> 8 & 255, code & 255
    return f"grey {red}" if red == green == blue else f"#{code:06x}"


def codes_of(picture: np.ndarray) -> np.ndarray:
    """The colours of a picture `(channels, *shape)`, 1 or 3 channels of 0 to 255, as numbers."""
    red, green, blue = np.broadcast_to(picture, (3, *picture.shape[1:])).astype(np.int64)
    return red << 16 | green << 8 | blue


def _csv_rows(path: Path) -> list[tuple[Code, str]]:
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(path, "no UTF-8 text", _EXPECTED, "save it as UTF-8") from error
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    rows = []
    for number, cells in enumerate(csv.reader(io.StringIO(text), delimiter=delimiter)):
        cells = [cell.strip() for cell in cells if cell.strip()]
        row = _row(cells)
        if row is not None:
            rows.append(row)
        elif cells and number > 0:  # the first line may be a heading
            raise DataError(path, f"line {number + 1}: {', '.join(cells)}", _EXPECTED, "correct it")
    return rows


def _row(cells: Sequence[str]) -> tuple[Code, str] | None:
    """Colour and name of one line: the name stands before or after the colour."""
    if len(cells) < 2:
        return None
    for name, colour in ((cells[-1], cells[:-1]), (cells[0], cells[1:])):
        code = _code(",".join(colour))
        if code is not None:
            return code, name
    return None


def _json_rows(path: Path) -> list[tuple[Code, str]]:
    rows = []
    for key, value in read_json(path).items():
        code, name = _code(key), value
        if code is None or not isinstance(value, str):
            colour = value if isinstance(value, list) else [value]
            code, name = _code(",".join(map(str, colour))), key
        if code is None:
            raise DataError(path, f"{key!r}: {value!r}", '"#ff0000": "liver"', "correct it")
        rows.append((code, name))
    return rows


def _code(text: str) -> Code | None:
    """#ff0000, 255,0,0 or 255 (a grey value); None for anything else."""
    text = re.sub(r"[\s()\[\]]", "", text)
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return int(text[1:], 16)
    numbers = [int(part) for part in text.split(",") if re.fullmatch(r"\d{1,3}", part)]
    if len(numbers) != text.count(",") + 1 or len(numbers) not in (1, 3) or max(numbers) > 255:
        return None
    red, green, blue = numbers * (3 if len(numbers) == 1 else 1)
    return red << 16 | green << 8 | blue
