"""What `count` prints: tables of costs, and sentences on what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightm_unet.costs.paper_costs import SETTINGS, PaperCosts, PaperRow, Ratio, two_digits

if TYPE_CHECKING:
    from rich.table import Table

    from lightm_unet.costs.count import CountReport

CONVENTION = (
    "printed: the paper's columns. thop: what version 0.1.1 of that tool counts on a whole "
    "training batch, recounted here; it is how they were made: nothing inside a Mamba layer, a "
    "layer once for each place that holds it, a multiply-add as 1. true: every parameter once, and "
    "the multiply-adds of one image; the scans' operations are apart. Params are in millions."
)
"""What the three kinds of columns are."""
_PAPER_COLUMNS = (
    "Params\nprinted",
    "thop",
    "true",
    "GFLOPs\nprinted",
    "thop",
    "true\nGMACs",
    "scan\nGFLOP",
)


def print_counts(report: CountReport) -> None:
    """Print one row for each network."""
    size = "x".join(map(str, report.size))
    table = _table(
        f"One image of {size}, {_channels(report.in_channels)} in, {report.classes} classes",
        ("network", "parameters", "GMACs", "scan GFLOP", "GFLOP in all"),
    )
    for name, cost in report.costs.items():
        numbers = (cost.macs, cost.scan_flops, cost.flops)
        table.add_row(name, f"{cost.parameters:,}", *(_billions(number) for number in numbers))
    _print(table, ["in all: a multiply-add as 2 operations, and the scans"])


def print_paper(costs: PaperCosts) -> None:
    """Print the paper's tables beside the recount and the truth, and the ratios."""
    for number in sorted({row.printed.table for row in costs.rows}):
        rows = [row for row in costs.rows if row.printed.table == number]
        setting = SETTINGS[rows[0].printed.spatial_dims]
        size = "x".join(map(str, setting.image_size))
        table = _table(
            f"Table {number}: {size}, {_channels(setting.in_channels)} in, "
            f"{setting.classes} classes; a batch is {setting.batch}",
            ("model", *_PAPER_COLUMNS),
        )
        for row in rows:
            table.add_row(*_paper_cells(row))
        notes = ["* not reproduced"] if any(not row.reproduced for row in rows) else []
        notes += [f"{row.printed.model}: {row.printed.note}" for row in rows if row.printed.note]
        _print(table, notes)
    table = _table(
        "How many times LightM-UNet's the cost of nnU-Net is",
        ("", "printed", "true, of the\nnetwork counted", "true, of the\nnetwork described"),
    )
    for ratio in costs.ratios:
        table.add_row(
            f"{ratio.spatial_dims}D {ratio.quantity}",
            "–" if ratio.printed is None else _times(ratio.printed),
            _times(ratio.uploaded),
            _times(ratio.as_written),
        )
    _print(table, remarks(costs))


def remarks(costs: PaperCosts) -> list[str]:
    """What the reader should take from the tables, every number in it computed."""
    lines = [
        f"{costs.reproduced} of {costs.cells} printed numbers are reproduced to every digit.",
        CONVENTION,
        "operations: a multiply-add as 2, and the scans.",
    ]
    for ratio in costs.ratios:
        if ratio.quantity == "parameters":
            lines.append(_why(costs, ratio))
    return lines


def _why(costs: PaperCosts, ratio: Ratio) -> str:
    """The printed ratio of parameters as a product of the true one and two errors of counting."""
    table = 2 if ratio.spatial_dims == 2 else 1
    nnunet, light = costs.row(table, "nnU-Net"), costs.row(table, "LightM-UNet")
    too_many = nnunet.recounted.parameters / nnunet.true.parameters
    too_few = light.true.parameters / light.recounted.parameters
    return (
        f"{_times(ratio.printed)} in {ratio.spatial_dims}D is about {ratio.uploaded:.2f} in truth, "
        f"times {too_many:.2f} for layers of nnU-Net counted several times, "
        f"times {too_few:.2f} for LightM-UNet's Mamba layers not being counted. The network that "
        "the text describes is smaller than the one they counted: against it the truth is "
        f"{_times(ratio.as_written)}."
    )


def _paper_cells(row: PaperRow) -> tuple[str, ...]:
    printed, recounted, true = row.printed, row.recounted, row.true
    return (
        printed.model,
        printed.parameters,
        _recounted(recounted.parameters / 1e6, row.parameters_reproduced),
        two_digits(true.parameters / 1e6),
        printed.operations,
        _recounted(recounted.operations / 1e9, row.operations_reproduced),
        two_digits(true.macs / 1e9),
        two_digits(true.scan_flops / 1e9),
    )


def _recounted(number: float, reproduced: bool) -> str:
    return two_digits(number) + ("" if reproduced else "*")


def _times(ratio: float) -> str:
    """A ratio with three digits.

    Example:
        >>> _times(116.11), _times(18.285), _times(0.9717)
        ('116x', '18.3x', '0.97x')
    """
    digits = 0 if ratio >= 100 else 1 if ratio >= 10 else 2
    return f"{ratio:.{digits}f}x"


def _billions(number: int) -> str:
    """Two decimals, or three digits where there would be fewer.

    Example:
        >>> _billions(352_959_070_208), _billions(5_980_160), _billions(0)
        ('352.96', '0.00598', '–')
    """
    if number == 0:
        return "–"
    return two_digits(number / 1e9) if number >= 1e9 else f"{number / 1e9:.3g}"


def _channels(count: int) -> str:
    return f"{count} channel" if count == 1 else f"{count} channels"


def _table(title: str, columns: tuple[str, ...]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column(columns[0], overflow="fold")  # the only one to wrap in a narrow terminal
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _print(table: Table, lines: list[str]) -> None:
    from rich.console import Console

    # A file or a pipe has no width of its own: let no number be cut there.
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200
    console.print(table)
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    console.print()
