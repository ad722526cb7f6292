"""What `count` prints: tables of costs, and sentences on what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightm_unet.costs.paper_costs import SETTINGS, PaperCosts, PaperRow, Ratio, two_digits
from lightm_unet.reporting import formats
from lightm_unet.reporting.console import print_table
from lightm_unet.reporting.formats import NO_VALUE

if TYPE_CHECKING:
    from lightm_unet.costs.count import CountReport

CONVENTION = (
    "printed: the paper's columns. thop: recounted here as the tool thop 0.1.1 counts, which was "
    "used for the printed columns: a whole training batch, nothing inside a Mamba layer, a layer "
    "once for each place that holds it, a multiply-add as 1. true: every parameter once, and the "
    "multiply-adds of one image; the scans are listed separately. Params are in millions."
)
"""Meaning of the three kinds of columns."""
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
    print_table(
        f"One image of {formats.size(report.size)}, "
        f"{formats.plural(report.in_channels, 'channel')} in, "
        f"{report.out_channels} classes",
        ("network", "parameters", "GMACs", "scan GFLOP", "GFLOP in all"),
        [
            (
                name,
                f"{cost.parameters:,}",
                formats.billions(cost.macs),
                formats.billions(cost.scan_flops),
                formats.billions(cost.flops),
            )
            for name, cost in report.costs.items()
        ],
        ["in all: each multiply-add as 2 operations, plus those of the scans"],
    )


def print_paper(costs: PaperCosts) -> None:
    """Print the paper's tables beside the recount and the truth, and the ratios."""
    for number in sorted({row.printed.table for row in costs.rows}):
        rows = [row for row in costs.rows if row.printed.table == number]
        setting = SETTINGS[rows[0].printed.spatial_dims]
        notes = ["* not reproduced"] if any(not row.reproduced for row in rows) else []
        notes += [f"{row.printed.model}: {row.printed.note}" for row in rows if row.printed.note]
        print_table(
            f"Table {number}: {formats.size(setting.image_size)}, "
            f"{formats.plural(setting.in_channels, 'channel')} in, "
            f"{setting.classes} classes; a batch is {setting.batch}",
            ("model", *_PAPER_COLUMNS),
            [_paper_cells(row) for row in rows],
            notes,
        )
    print_table(
        "Cost of nnU-Net divided by that of LightM-UNet",
        ("", "printed", "true, of the\nnetwork counted", "true, of the\nnetwork described"),
        [
            (
                f"{ratio.spatial_dims}D {ratio.quantity}",
                NO_VALUE if ratio.printed is None else formats.times(ratio.printed),
                formats.times(ratio.uploaded),
                formats.times(ratio.as_written),
            )
            for ratio in costs.ratios
        ],
        remarks(costs),
    )


def remarks(costs: PaperCosts) -> list[str]:
    """The conclusions from the tables; every number in them is computed."""
    lines = [
        f"{costs.reproduced} of {costs.cells} printed numbers are reproduced to every digit.",
        CONVENTION,
        "operations: each multiply-add as 2, plus those of the scans.",
    ]
    for ratio in costs.ratios:
        if ratio.quantity == "parameters":
            lines.append(_why(costs, ratio))
    return lines


def _why(costs: PaperCosts, ratio: Ratio) -> str:
    """The printed ratio of parameters as a product of the true one and two errors of counting."""
    table = 2 if ratio.spatial_dims == 2 else 1
    nnunet, light = costs.row(table, "nnU-Net"), costs.row(table, "LightM-UNet")
    assert ratio.printed is not None  # the tables print every network's parameters
    too_many = nnunet.recounted.parameters / nnunet.true.parameters
    too_few = light.true.parameters / light.recounted.parameters
    return (
        f"{formats.times(ratio.printed)} in {ratio.spatial_dims}D is about the true "
        f"{ratio.uploaded:.2f}, times {too_many:.2f} for layers of nnU-Net counted several times, "
        f"times {too_few:.2f} for LightM-UNet's Mamba layers not being counted. The network that "
        "the text describes is smaller than the one they counted: for it the true ratio is "
        f"{formats.times(ratio.as_written)}."
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
