"""`count`: what networks cost at a size, and what the paper's tables say that they cost."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from lightm_unet import __version__
from lightm_unet.costs.counting import NetworkCost, count_network
from lightm_unet.costs.paper_costs import PaperCosts
from lightm_unet.costs.paper_costs import count_paper as count_paper_networks
from lightm_unet.costs.settings import CountSettings
from lightm_unet.errors import UsageError
from lightm_unet.networks.image_sizes import CHANNELS
from lightm_unet.networks.registry import build_network, network_names, network_options
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.system.files import write_json
from lightm_unet.system.values import listed, path, show, whole_number


@dataclass(frozen=True)
class CountReport:
    """The costs of networks for one image, in inference."""

    size: tuple[int, ...]
    in_channels: int
    out_channels: int
    costs: dict[str, NetworkCost]
    """The cost of each network by its name with options, in the order of the request."""


def count_networks(
    networks: Sequence[str | NetworkSpec] = (),
    output: Path | str | None = None,
    *,
    size: Sequence[int] = CountSettings.size,
    in_channels: int | None = CountSettings.in_channels,
    out_channels: int | None = CountSettings.out_channels,
) -> CountReport:
    """Count parameters, multiply-adds and scans of networks; nothing is computed.

    Args:
        networks: names, with options if wanted, as in `lightm-unet:width=16`; by default all that
            take images of this kind.
        output: JSON file to write.
        size: of the image, 2 or 3 numbers.
        in_channels: of the image; by default 3 in 2D, 1 in 3D.
        out_channels: classes, background included; by default 2 in 2D, 3 in 3D.

    Raises:
        UsageError: an argument of another kind, an unknown name, or a network that cannot be built
            or refuses the size.

    Example:
        >>> count_networks(["nnu-net"], size=(512, 512)).costs["nnu-net"].parameters
        46325134
    """
    output = None if output is None else path("output", output)
    size = listed("size", size, "[512, 512]")
    size = tuple(whole_number("size", each, None, sys.maxsize) for each in size)
    if len(size) not in CHANNELS or min(size) < 1:
        raise UsageError(f"size needs 2 or 3 positive numbers, got {show(size)}")
    if in_channels is not None:
        in_channels = whole_number("in_channels", in_channels, 1)
    if out_channels is not None:
        out_channels = whole_number("out_channels", out_channels, 1)
    if networks is None or (isinstance(networks, (tuple, list)) and not networks):
        networks = network_names(len(size))
    specs = [NetworkSpec.parse(network) for network in listed("networks", networks, "['nnu-net']")]
    for spec in specs:
        network_options(spec.name)  # refuses an unknown name, before any work
    default_in, default_out = CHANNELS[len(size)]
    in_channels = default_in if in_channels is None else in_channels
    out_channels = default_out if out_channels is None else out_channels
    costs = {}
    for spec in specs:
        try:
            with torch.device("meta"):
                network = build_network(spec, len(size), in_channels, out_channels, size)
            costs[str(spec)] = count_network(network, size)
        except UsageError as error:
            raise UsageError(spec.in_front_of(error)) from error
        except RuntimeError as error:  # more numbers than a tensor can have
            reason = str(error).splitlines()[0]
            raise UsageError(f"{spec} cannot be counted at {size}: {reason}") from error
    report = CountReport(size, in_channels, out_channels, costs)
    if output is not None:
        write_json({"version": __version__, **asdict(report)}, output)
    return report


def count_paper(output: Path | str | None = None) -> PaperCosts:
    """Count every network of the paper's Tables 1 to 3, as the tables were counted and in truth.

    Args:
        output: JSON file to write.
    """
    output = None if output is None else path("output", output)
    costs = count_paper_networks()
    if output is not None:
        write_json({"version": __version__, **_paper_json(costs)}, output)
    return costs


def _paper_json(costs: PaperCosts) -> dict[str, Any]:
    rows = [
        {
            "table": row.printed.table,
            "model": row.printed.model,
            "network": row.printed.network,
            "spatial_dims": row.printed.spatial_dims,
            "printed": {
                "mega_parameters": float(row.printed.parameters),
                "giga_operations": float(row.printed.operations),
            },
            "recounted": asdict(row.recounted),
            "reproduced": {
                "parameters": row.parameters_reproduced,
                "operations": row.operations_reproduced,
            },
            "true": asdict(row.true),
            "note": row.printed.note,
        }
        for row in costs.rows
    ]
    return {"rows": rows, "ratios": [asdict(ratio) for ratio in costs.ratios]}
