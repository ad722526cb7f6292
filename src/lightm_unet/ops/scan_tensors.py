"""The tensors of a selective scan, which travel together through every backend."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class ScanTensors(NamedTuple):
    """What a scan takes, or one gradient for each; symbols and shapes as in `reference.py`."""

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    z: Tensor | None
    delta_bias: Tensor | None
