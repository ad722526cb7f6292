"""Tables as text files: Markdown for documents, CSV for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence


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

    Args:
        columns: headings.
        rows: the cells, as many as columns; None is an empty one.

    Example:
        >>> csv_table(["case", "error"], [["a", None], ["b", 'no "mask", sorry']])
        'case,error\na,\nb,"no ""mask"", sorry"\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
