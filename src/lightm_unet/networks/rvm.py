"""The Residual Vision Mamba layer and its Vision State-Space Module, on tokens.

Figure 2 (a) and (b) and equations 1 to 3 of Liao et al. 2024, "LightM-UNet". What the text leaves
open is an option here; the defaults give the parameter counts listed in docs/architecture.md.

Everything is `(batch, length, channels)` from the first layer to the last: no transposes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightm_unet.networks.convolution import CONVOLUTIONS
from lightm_unet.networks.native_form import Form, known_to_native
from lightm_unet.networks.scan_order import ORDERS, reorder, restore, to_grid, to_tokens
from lightm_unet.ops import causal_conv1d, gated_norm, selective_scan
from lightm_unet.ops.native_layers import runs_natively, rvm_layer, trains_natively
from lightm_unet.ops.native_training import rvm_layer_training

POOLINGS = {2: F.max_pool2d, 3: F.max_pool3d}


@known_to_native
class CausalConv(nn.Module):
    """Depthwise convolution along the sequence with SiLU; each step sees itself and those before.

    Weights are `(channels, width)`, the present step last.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(width)
        self.weight = nn.Parameter(torch.empty(channels, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(channels).uniform_(-bound, bound))

    def forward(self, tokens: Tensor, spatial: Sequence[int]) -> Tensor:  # noqa: D102
        return causal_conv1d(tokens, self.weight, self.bias)


class SpatialConv(nn.Module):
    """Depthwise 3x3(x3) convolution on the grid with SiLU: each step sees its neighbours."""

    def __init__(self, channels: int, spatial_dims: int) -> None:
        super().__init__()
        self.depthwise = CONVOLUTIONS[spatial_dims](
            channels, channels, 3, padding=1, groups=channels
        )

    def forward(self, tokens: Tensor, spatial: Sequence[int]) -> Tensor:  # noqa: D102
        return to_tokens(F.silu(self.depthwise(to_grid(tokens.contiguous(), spatial))))


@known_to_native
class SSM(nn.Module):
    """The selective state-space model: delta, B and C from the input itself, then the scan.

    Args:
        channels: inner channels, D in the formulas.
        d_state: states of each channel.
        dt_rank: width of the bottleneck that delta goes through.

    Source: section 3.2 of Gu and Dao 2023; initial values as in their released code.
    """

    def __init__(self, channels: int, d_state: int, dt_rank: int) -> None:
        super().__init__()
        self.split = (dt_rank, d_state, d_state)
        self.x_proj = nn.Linear(channels, sum(self.split), bias=False)
        self.dt_proj = nn.Linear(dt_rank, channels)
        self.A_log = nn.Parameter(torch.empty(channels, d_state))
        self.D = nn.Parameter(torch.empty(channels))
        # A network that waits for its weights is built on the meta device, where there are no
        # values; computing there all the same imports two seconds' worth of torch's compiler.
        if not self.D.is_meta:
            self._set_first_values(d_state, dt_rank)
        self._dt_form = Form(self.dt_proj)

    @torch.no_grad()
    def _set_first_values(self, d_state: int, dt_rank: int) -> None:
        self.A_log.copy_(torch.arange(1.0, d_state + 1).log())
        self.D.fill_(1.0)
        nn.init.uniform_(self.dt_proj.weight, -(dt_rank**-0.5), dt_rank**-0.5)
        # softplus(bias) is spread evenly, on a log scale, from 0.001 to 0.1.
        dt = torch.exp(torch.empty(len(self.D)).uniform_(math.log(1e-3), math.log(1e-1)))
        self.dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))

    def forward(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        """`(batch, length, channels)` to the same; multiplied by silu(gate) where there is one."""
        dt, B, C = self.x_proj(x).split(self.split, dim=-1)
        if self._dt_form.fits(self.dt_proj):
            # dt has 2 to 16 columns and millions of rows. With the weight stored the other way
            # round, its gradient is a product that BLAS is 4 times faster at.
            delta, bias = dt @ self.dt_proj.weight.t().contiguous(), self.dt_proj.bias
        else:
            delta, bias = self.dt_proj(dt), None
        return selective_scan(
            x,
            delta,
            -torch.exp(self.A_log.float()),
            B,
            C,
            self.D,
            z=gate,
            delta_bias=bias,
            delta_softplus=True,
        )


@known_to_native
class VSSModule(nn.Module):
    """Vision State-Space Module: a scanned branch and a gate, multiplied (equation 3).

    Args:
        spatial_dims: 2 or 3.
        channels: channels in and out.
        expand: inner channels are `expand * channels` (the paper's lambda).
        d_state: states of each inner channel.
        conv: "causal", width `d_conv` along the sequence, or "spatial", 3x3(x3) on the grid.
        d_conv: width of the causal convolution.
        directions: 1, 2 or 4 orders of the scan, each with parameters of its own; their outputs
            are summed.
    """

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        *,
        expand: float,
        d_state: int,
        conv: str,
        d_conv: int,
        directions: int,
    ) -> None:
        super().__init__()
        d_inner = round(expand * channels)
        self.in_proj = nn.Linear(channels, 2 * d_inner, bias=False)
        self.conv = (
            CausalConv(d_inner, d_conv) if conv == "causal" else SpatialConv(d_inner, spatial_dims)
        )
        self.orders = ORDERS[directions]
        self.ssm = nn.ModuleList(
            SSM(d_inner, d_state, math.ceil(channels / 16)) for _ in self.orders
        )
        self.norm = nn.LayerNorm(d_inner)
        self.out_proj = nn.Linear(d_inner, channels, bias=False)
        self._norm_form = Form(self.norm)

    def forward(self, tokens: Tensor, spatial: Sequence[int]) -> Tensor:
        """`(batch, length, channels)` to the same; `spatial` is the grid the tokens come from."""
        x, gate = self.in_proj(tokens).chunk(2, dim=-1)
        x = self.conv(x, spatial)
        # Not a Tensor to a type checker: the sum of no terms would be 0.
        scanned: Any = sum(
            restore(ssm(reorder(x, spatial, order)), spatial, order)
            for ssm, order in zip(self.ssm, self.orders, strict=True)
        )
        norm = self.norm
        if self._norm_form.fits(norm):
            gated = gated_norm(scanned, gate, norm.weight, norm.bias, norm.eps)
        else:
            gated = norm(scanned) * F.silu(gate)
        return self.out_proj(gated)


NATIVE_NAMES = {
    "norm_weight": "norm.weight",
    "norm_bias": "norm.bias",
    "in_proj": "vssm.in_proj.weight",
    "conv_weight": "vssm.conv.weight",
    "conv_bias": "vssm.conv.bias",
    "x_proj": "vssm.ssm.0.x_proj.weight",
    "dt_weight": "vssm.ssm.0.dt_proj.weight",
    "dt_bias": "vssm.ssm.0.dt_proj.bias",
    "A_log": "vssm.ssm.0.A_log",
    "D": "vssm.ssm.0.D",
    "scan_norm_weight": "vssm.norm.weight",
    "scan_norm_bias": "vssm.norm.bias",
    "out_proj": "vssm.out_proj.weight",
    "scale": "scale",
    "projection_norm_weight": "projection_norm.weight",
    "projection_norm_bias": "projection_norm.bias",
    "projection_weight": "projection.weight",
    "projection_bias": "projection.bias",
}
"""The weights of the native layer, and which parameters of an `RVMLayer` they are."""


class RVMLayer(nn.Module):
    """Residual Vision Mamba layer: equations 1 and 2.

        M' = VSSM(LayerNorm(M)) + s * M,    out = Projection(LayerNorm(M'))

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels in.
        out_channels: channels out; twice as many in the last layer of an encoder block.
        options: what `VSSModule` takes by keyword.
    """

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int, **options) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(in_channels)
        self.vssm = VSSModule(spatial_dims, in_channels, **options)
        self.scale = nn.Parameter(torch.ones(in_channels))  # s, the adjustment factor
        self.projection_norm = nn.LayerNorm(in_channels)
        self.projection = nn.Linear(in_channels, out_channels)
        self._form = Form(self)

    @property
    def is_streamable(self) -> bool:
        """Whether the native layer has the options of this one: causal, in one direction."""
        return isinstance(self.vssm.conv, CausalConv) and self.vssm.orders == ORDERS[1]

    def _native_weights(self) -> dict[str, Tensor] | None:
        """The parameters by the names that the native layer gives them, if it may be used."""
        tensors = self._form.tensors(self) if self.is_streamable else None
        if tensors is None:
            return None
        return {name: tensors[path] for name, path in NATIVE_NAMES.items()}

    def forward(self, tokens: Tensor, spatial: Sequence[int], pool: bool = False) -> Tensor:
        """Run the layer, and 2x max-pooling behind it if asked.

        Args:
            tokens: `(batch, length, in_channels)`.
            spatial: the grid the tokens come from.
            pool: halve the grid, whose sizes must then be even.

        Returns:
            `(batch, length, out_channels)`; pooled, 4 (2D) or 8 (3D) times shorter.
        """
        weights = self._native_weights()
        if weights is not None and runs_natively(tokens, *weights.values()):
            return rvm_layer(tokens, weights, self.norm.eps, list(spatial) if pool else [])
        if weights is not None and trains_natively(tokens, *weights.values()):
            pool_grid = list(spatial) if pool else []
            return rvm_layer_training(tokens, weights, self.norm.eps, pool_grid)
        mixed = torch.addcmul(self.vssm(self.norm(tokens), spatial), self.scale, tokens)
        tokens = self.projection(self.projection_norm(mixed))
        if pool:
            tokens = to_tokens(POOLINGS[len(spatial)](to_grid(tokens, spatial), 2))
        return tokens
