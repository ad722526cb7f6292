"""What `nnunet plans` can be told, for the command line and Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lightm_unet.networks.spec import NetworkSpec

_SMALL = NetworkSpec("lightm-unet-small")


@dataclass(frozen=True)
class PlansSettings:
    """Settings of the configurations that are added to a plans file."""

    configurations: Sequence[str] = ()
    """Configuration of nnU-Net to inherit from; by default 2d and 3d_fullres."""
    network: NetworkSpec = _SMALL
    """Network with its options, such as lightm-unet:width=16."""
    plans: str = "nnUNetPlans"
    """Name of the plans."""
