"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDTH_OF_A_FILE = 1000
"""Columns of characters. A file or a pipe has no width of its own: let no number be cut there."""
BETWEEN = 3
"""Columns of characters between two columns of a table."""


def make_console() -> Console:
    """Standard output; as wide as the terminal, or as the widest table where it is none."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_A_FILE
    return console


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    notes: Sequence[str] = (),
    *,
    texts: int = 1,
    total: Sequence[str] | None = None,
    console: Console | None = None,
) -> None:
    """Print a table and the sentences below it. All text is printed as it is, never as markup.

    In a terminal that is too narrow the columns of numbers follow in several blocks, each with the
    columns of text in front; no number is cut or broken.

    Args:
        title: above the table; "" for none.
        columns: their headings.
        rows: the cells, as many as columns.
        notes: below the table, each from a line of its own.
        texts: so many columns from the left hold text; the others are numbers, set to the right.
        total: a last row, apart from the others and bold.
        console: where to print; standard output by default.
    """
    from rich.text import Text

    console = console or make_console()
    if title:
        console.print(Text(title, style="bold"), soft_wrap=True)
    every_row = [columns, *rows, *([total] if total is not None else [])]
    widths = [max(map(_width, cells)) for cells in zip(*every_row, strict=True)]
    for block in _blocks(widths, texts, console.width):
        console.print(
            _make_table(
                [columns[i] for i in block],
                [[row[i] for i in block] for row in rows],
                texts,
                None if total is None else [total[i] for i in block],
            )
        )
    for note in notes:
        console.print(Text(note), soft_wrap=True)
    console.print()


def _make_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], texts: int, total: Sequence[str] | None
) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        if number < texts:
            table.add_column(Text(column), overflow="fold")  # long names go on in a further line
        else:
            table.add_column(Text(column), justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    if total is not None:
        table.add_section()
        table.add_row(*map(Text, total), style="bold")
    return table


def _blocks(widths: Sequence[int], texts: int, room: int) -> list[list[int]]:
    """Which columns stand beside each other.

    Args:
        widths: of each column's widest cell.
        texts: so many columns from the left are in every block; they get half the room at most.
        room: width of the terminal.

    Example:
        >>> _blocks([6, 5, 5, 5], texts=1, room=26)
        [[0, 1, 2], [0, 3]]
    """
    in_front = min(sum(width + BETWEEN for width in widths[:texts]), room // 2)
    blocks: list[list[int]] = []
    used = room
    for index in range(texts, len(widths)):
        needed = widths[index] + BETWEEN
        if not blocks or used + needed > room:
            blocks.append(list(range(texts)))
            used = in_front
        blocks[-1].append(index)
        used += needed
    return blocks or [list(range(texts))]


def _width(text: str) -> int:
    """Columns of characters of the longest line; some characters take two."""
    from rich.cells import cell_len

    return max(map(cell_len, text.split("\n")))
