"""The Mamba block as Gu and Dao published it, with the parameter names of their code.

The published weights of U-Mamba and of the authors' LightM-UNet go by these names.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from lightm_unet.networks.rvm import SSM
from lightm_unet.ops import causal_conv1d


class Mamba(SSM):
    """A scanned branch and a gate, multiplied; no norm in between.

    Args:
        channels: channels in and out.
        d_state: states of each inner channel.
        d_conv: width of the causal convolution.
        expand: inner channels are `expand * channels`.

    Shape: `(batch, length, channels)` to the same.

    Source: section 3.4 of Gu and Dao 2023, "Mamba".
    """

    def __init__(
        self, channels: int, *, d_state: int = 16, d_conv: int = 4, expand: int = 2
    ) -> None:
        d_inner = expand * channels
        super().__init__(d_inner, d_state, dt_rank=math.ceil(channels / 16))
        self.in_proj = nn.Linear(channels, 2 * d_inner, bias=False)
        # Never called: it holds the weights of `causal_conv1d` under their published names.
        self.conv1d = nn.Conv1d(d_inner, d_inner, d_conv, groups=d_inner)
        self.out_proj = nn.Linear(d_inner, channels, bias=False)

    # An SSM for its parameters' names; it is never called as one.
    def forward(self, tokens: Tensor) -> Tensor:  # type: ignore[override]  # noqa: D102
        x, gate = self.in_proj(tokens).chunk(2, dim=-1)
        weight, bias = self.conv1d.weight[:, 0], self.conv1d.bias
        assert bias is not None  # as built above
        x = causal_conv1d(x, weight, bias)
        return self.out_proj(super().forward(x, gate))
