"""Tables as text files: Markdown for documents, CSV for programs."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

_FORMULA = re.compile(r"'*[=+\-@＝＋－＠\t\r]")
"""How a text begins that a spreadsheet would run as a formula, or that was guarded against it."""


def markdown_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int = 1
) -> list[str]:
    """The lines of a Markdown table; whatever stands in a cell, the table holds together.

    Args:
        columns: headings.
        rows: the cells, as many as columns.
        texts: so many columns from the left hold text; the others are numbers, set to the right.

    Example:
        >>> print(*markdown_table(["network", "DSC"], [["a|b", "0.9"]]), sep="\\n")
        | network | DSC |
        | --- | ---: |
        | a\\|b | 0.9 |
    """
    rule = ["---"] * texts + ["---:"] * (len(columns) - texts)
    return [_line(map(_cell, columns)), _line(rule), *(_line(map(_cell, row)) for row in rows)]


def csv_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    r"""A CSV file with a line of headings; lines end in a single line feed.

    A text that a spreadsheet would take for a formula gets an apostrophe in front, which makes it
    text there; numbers stay as they are. `read_csv` takes the apostrophe away.

    Args:
        columns: headings.
        rows: the cells, as many as columns; None is an empty one.

    Example:
        >>> csv_table(["case", "error"], [["a", None], ["b", 'no "mask", sorry']])
        'case,error\na,\nb,"no ""mask"", sorry"\n'
        >>> csv_table(["case", "difference"], [["=1+1", "-0.5"]])
        "case,difference\n'=1+1,-0.5\n"
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_guarded, columns))
    writer.writerows(map(_guarded, row) for row in rows)
    return text.getvalue()


def read_csv(text: str) -> list[dict[str, str]]:
    """The rows of a CSV file that `csv_table` made, by its headings; an empty cell is "".

    Example:
        >>> read_csv(csv_table(["case", "dice"], [["=1+1", "-0.5"]]))
        [{'case': '=1+1', 'dice': '-0.5'}]
    """
    head, *rows = csv.reader(io.StringIO(text, newline=""))
    columns = [_unguarded(cell) for cell in head]
    return [dict(zip(columns, map(_unguarded, row), strict=True)) for row in rows]


def _guarded(cell: object) -> object:
    text = str(cell)
    return f"'{text}" if _FORMULA.match(text) and not _is_number(text) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
