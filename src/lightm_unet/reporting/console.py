"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_OF_A_FILE = 1000
"""Columns of characters. A file or a pipe has no width of its own: let no number be cut there."""


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

    In a terminal that is too narrow, cells go on in a further line; nothing is cut.

    Args:
        title: above the table; "" for none.
        columns: their headings.
        rows: the cells, as many as columns.
        notes: below the table, each from a line of its own.
        texts: so many columns from the left hold text; the others are numbers, set to the right.
        total: a last row, apart from the others and bold.
        console: where to print; standard output by default.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    console = console or make_console()
    if title:
        console.print(Text(title, style="bold"), soft_wrap=True)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        justify = "left" if number < texts else "right"
        table.add_column(Text(column), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    if total is not None:
        table.add_section()
        table.add_row(*map(Text, total), style="bold")
    console.print(table)
    for note in notes:
        console.print(Text(note), soft_wrap=True)
    console.print()
