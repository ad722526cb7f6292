"""The complexity columns of the paper's Tables 1 to 3: printed, recounted, and true.

The printed numbers are what one tool counts on a whole training batch (`thop_convention.py`), on
the network that the authors uploaded first. `count_paper` counts every row again in both ways.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from lightm_unet.costs.counting import NetworkCost, count_network
from lightm_unet.costs.thop_convention import ThopCount, count_as_thop
from lightm_unet.networks.image_sizes import CHANNELS, PAPER_SIZE
from lightm_unet.networks.registry import build_network

AS_WRITTEN, UPLOADED, NNUNET = "lightm-unet", "lightm-unet-first-upload", "nnu-net"


class Setting(NamedTuple):
    """The input on which the paper's networks were counted."""

    in_channels: int
    classes: int
    image_size: tuple[int, ...]
    batch: int


SETTINGS = {
    dims: Setting(*CHANNELS[dims], PAPER_SIZE[dims], batch) for dims, batch in ((3, 2), (2, 12))
}


class PrintedRow(NamedTuple):
    """One row of a table; the numbers as text, since their digits are what is compared."""

    table: int
    model: str
    network: str
    """The network of `build_network` that it is."""
    parameters: str
    """The column "Params (M)"."""
    operations: str
    """The column "GFLOPs"."""
    note: str = ""
    """Assumptions, or what remains unexplained."""

    @property
    def spatial_dims(self) -> int:
        """Table 2 is about X-rays, the others about CT."""
        return 2 if self.table == 2 else 3


PRINTED = (
    PrintedRow(1, "nnU-Net", NNUNET, "88.62", "7240.26"),
    PrintedRow(1, "SegResNet", "segresnet", "18.79", "1158.30"),
    PrintedRow(
        1,
        "UNETR",
        "unetr",
        "92.62",
        "1891.35",
        "the recounted GFLOPs end in the same digits, but begin differently; perhaps a typing slip",
    ),
    PrintedRow(1, "SwinUNETR", "swin-unetr", "61.99", "1570.32"),
    PrintedRow(1, "U-Mamba", "u-mamba", "173.53", "18057.20"),
    PrintedRow(1, "LightM-UNet", UPLOADED, "1.87", "457.62"),
    PrintedRow(2, "nnU-Net", NNUNET, "126.56", "5594.98"),
    PrintedRow(2, "SegResNet", "segresnet", "6.29", "748.96"),
    PrintedRow(2, "UNETR", "unetr", "87.51", "1267.53"),
    PrintedRow(2, "SwinUNETR", "swin-unetr", "25.12", "909.26"),
    PrintedRow(2, "U-Mamba", "u-mamba", "244.10", "12521.27"),
    PrintedRow(2, "LightM-UNet", UPLOADED, "1.09", "267.19"),
    PrintedRow(
        3,
        "VSSM to Conv3",
        "vssm-to-conv3",
        "18.79",
        "1513.44",
        "the convolution stands for the whole RVM layer; one that widens works before the pooling",
    ),
    PrintedRow(
        3,
        "VSSM to Self-Attention",
        "vssm-to-self-attention",
        "3.44",
        "470.50",
        "the text does not fix this network; assumed is one Linear(256, 768) in each of the eight "
        "layers of the bottleneck, and another form may have the same digits",
    ),
    PrintedRow(3, "w/o Adjustment factors", "without-adjustment-factors", "1.87", "457.62"),
    PrintedRow(3, "w/o Residual connections", "without-residual-connections", "1.87", "457.62"),
    PrintedRow(3, "LightM-UNet", UPLOADED, "1.87", "457.62"),
)


@dataclass(frozen=True)
class PaperRow:
    """One row of the paper, counted again."""

    printed: PrintedRow
    recounted: ThopCount
    """Cost counted by the convention of the printed numbers."""
    true: NetworkCost
    """True cost for one image, including the logits of deep supervision."""

    @property
    def parameters_reproduced(self) -> bool:
        """Whether the recount has the printed digits."""
        return two_digits(self.recounted.parameters / 1e6) == self.printed.parameters

    @property
    def operations_reproduced(self) -> bool:
        """Whether the recount has the printed digits."""
        return two_digits(self.recounted.operations / 1e9) == self.printed.operations

    @property
    def reproduced(self) -> bool:
        """Whether both numbers are reproduced."""
        return self.parameters_reproduced and self.operations_reproduced


@dataclass(frozen=True)
class Ratio:
    """The cost of nnU-Net divided by that of LightM-UNet."""

    spatial_dims: int
    quantity: str
    """"parameters", "multiply-adds", or "operations": multiply-adds as 2, and the scans."""
    printed: float | None
    """The ratio in the paper's tables; None for operations, which they do not give."""
    uploaded: float
    """True ratio for the authors' first upload, the network that the tables count."""
    as_written: float
    """True ratio for the network that the paper's text describes."""


@dataclass(frozen=True)
class PaperCosts:
    """All rows and ratios."""

    rows: tuple[PaperRow, ...]
    ratios: tuple[Ratio, ...]

    @property
    def cells(self) -> int:
        """Number of printed numbers."""
        return 2 * len(self.rows)

    @property
    def reproduced(self) -> int:
        """Number of printed numbers that the recount reproduces to every digit."""
        return sum(row.parameters_reproduced + row.operations_reproduced for row in self.rows)

    def row(self, table: int, model: str) -> PaperRow:
        """The row of a model in a table."""
        return next(r for r in self.rows if (r.printed.table, r.printed.model) == (table, model))


def count_paper() -> PaperCosts:
    """Count every network of the paper's Tables 1 to 3 in the paper's setting."""
    rows = tuple(_count(printed) for printed in PRINTED)
    return PaperCosts(rows, tuple(ratio for dims in SETTINGS for ratio in _ratios(rows, dims)))


def two_digits(number: float) -> str:
    """As the paper prints its numbers, but for the commas; these digits are what is compared.

    Example:
        >>> two_digits(1158.299)
        '1158.30'
    """
    return f"{number:.2f}"


def _count(printed: PrintedRow) -> PaperRow:
    setting = SETTINGS[printed.spatial_dims]
    network = _build(printed.network, printed.spatial_dims)
    return PaperRow(
        printed,
        count_as_thop(network, setting.image_size, setting.batch),
        count_network(network, setting.image_size, training=True),
    )


def _build(name: str, spatial_dims: int) -> nn.Module:
    setting = SETTINGS[spatial_dims]
    with torch.device("meta"):
        return build_network(
            name, spatial_dims, setting.in_channels, setting.classes, setting.image_size
        )


def _ratios(rows: tuple[PaperRow, ...], spatial_dims: int) -> list[Ratio]:
    def find(network: str) -> PaperRow:
        return next(
            row
            for row in rows
            if (row.printed.network, row.printed.spatial_dims) == (network, spatial_dims)
        )

    nnunet, uploaded = find(NNUNET), find(UPLOADED)
    as_written = count_network(
        _build(AS_WRITTEN, spatial_dims), SETTINGS[spatial_dims].image_size, training=True
    )

    def ratio(
        quantity: str,
        read: Callable[[NetworkCost], int],
        read_printed: Callable[[PrintedRow], str] | None = None,
    ) -> Ratio:
        printed = None
        if read_printed is not None:
            printed = float(read_printed(nnunet.printed)) / float(read_printed(uploaded.printed))
        return Ratio(
            spatial_dims,
            quantity,
            printed,
            read(nnunet.true) / read(uploaded.true),
            read(nnunet.true) / read(as_written),
        )

    return [
        ratio("parameters", lambda cost: cost.parameters, lambda row: row.parameters),
        ratio("multiply-adds", lambda cost: cost.macs, lambda row: row.operations),
        ratio("operations", lambda cost: cost.flops),
    ]
