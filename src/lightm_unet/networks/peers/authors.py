"""The two networks that the paper's authors have published as LightM-UNet, and Table 3 of it.

Neither is what the paper's text describes (`lightm_unet.py` is). Both are MONAI's SegResNet with
Mamba in the encoder; the first upload is the one whose size and cost the paper prints.

    stem        "first-upload": 3x3(x3) convolution; "released": depthwise, then pointwise
    encoder     at each resolution but the first: a layer that doubles the channels, 2x max-pooling;
                then residual blocks of two layers each
    decoder     pointwise convolution, 2x interpolation, skip added; then residual blocks of
                convolutions: two full ones, or one depthwise and pointwise with a scaled residual
    head        GroupNorm, ReLU, pointwise convolution ("released": a second one before it)

A layer is, in tokens: Projection(LayerNorm(Mamba(LayerNorm(x)) + s x)), both LayerNorms being one
and s one number. Parameters go by the authors' names, so that their checkpoints fit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightm_unet.networks.base import SegmentationNetwork, check_blocks
from lightm_unet.networks.convolution import CONVOLUTIONS, INTERPOLATIONS, MAX_POOLINGS
from lightm_unet.networks.peers.mamba import Mamba
from lightm_unet.networks.scan_order import to_grid, to_tokens
from lightm_unet.system.choices import check_choice

FORMS = ("released", "first-upload")
GROUPS = 8
"""Number of groups of each GroupNorm."""
LAYERS = ("mamba", "unscaled", "without-residual", "self-attention", "conv3")


class AuthorsLightMUNet(SegmentationNetwork):
    """One of the authors' networks, or of the variants that Table 3 compares.

    Table 3 was measured on the first upload: its operations fit no other network. The text does not
    say how the variants were built; these have the printed sizes, except that self-attention's
    printed size fits several.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes, background included.
        form: "released" (their code as it is now) or "first-upload".
        layer: what each layer of the encoder is: "mamba"; "unscaled", without the adjustment factor
            s; "without-residual", without s x at all; "conv3", a 3x3(x3) convolution;
            "self-attention", in the lowest resolution only, since its cost grows with the square of
            the number of voxels.
        init_filters: channels at full resolution, a multiple of 8; doubled by each halving.
        blocks_down: residual blocks at each resolution on the way down.
        blocks_up: on the way up, one entry fewer.

    Shape: as `SegmentationNetwork`.

    Raises:
        UsageError: an option that no network can be built from.

    Source: https://github.com/MrBlankness/LightM-UNet; written anew from its structure.

    Example:
        >>> network = AuthorsLightMUNet(2, 1, 2, form="released")
        >>> sum(p.numel() for p in network.parameters())
        5011683
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        form: str = "released",
        layer: str = "mamba",
        init_filters: int = 32,
        blocks_down: Sequence[int] = (1, 2, 2, 4),
        blocks_up: Sequence[int] = (1, 1, 1),
    ) -> None:
        check_choice("form", form, FORMS)
        check_choice("layer", layer, LAYERS)
        blocks = check_blocks(init_filters, blocks_down, blocks_up)
        super().__init__(
            f"lightm-unet-{form}",
            spatial_dims,
            in_channels,
            out_channels,
            multiple=2 ** len(blocks_up),
            options={"form": form, "layer": layer, **blocks},
        )
        widths = [init_filters * 2**level for level in range(len(blocks_down))]
        stem = head = separable_convolution if form == "released" else convolution
        # The names of these parts are the authors', for their checkpoints' sake.
        self.convInit = stem(spatial_dims, in_channels, init_filters, 3)
        self.down_layers = nn.ModuleList(
            self._encoder_level(level, widths[max(level - 1, 0)], width, blocks_down[level])
            for level, width in enumerate(widths)
        )
        self.up_samples = nn.ModuleList(
            nn.Sequential(
                convolution(spatial_dims, 2 * width, width, 1),
                nn.Upsample(scale_factor=2, mode=INTERPOLATIONS[spatial_dims], align_corners=False),
            )
            for width in widths[-2::-1]
        )
        self.up_layers = nn.ModuleList(
            nn.Sequential(*(self._decoder_block(width) for _ in range(count)))
            for width, count in zip(widths[-2::-1], blocks_up, strict=True)
        )
        self.conv_final = nn.Sequential(
            nn.GroupNorm(GROUPS, init_filters),
            nn.ReLU(),
            head(spatial_dims, init_filters, out_channels, 1, bias=True),
        )

    def _encoder_level(self, level: int, before: int, width: int, blocks: int) -> nn.Sequential:
        entry: nn.Module = nn.Identity()
        if level > 0:
            # This layer works at the higher resolution, where attention would cost too much.
            widen = self._layer(before, width, lowest=False)
            entry = nn.Sequential(widen, MAX_POOLINGS[self.spatial_dims](2))
        lowest = level == len(self.options["blocks_up"])
        pairs = ([self._layer(width, width, lowest) for _ in range(2)] for _ in range(blocks))
        return nn.Sequential(entry, *(ResidualBlock(width, *pair) for pair in pairs))

    def _layer(self, in_channels: int, out_channels: int, lowest: bool) -> nn.Module:
        layer = self.options["layer"]
        if layer == "conv3":
            return convolution(self.spatial_dims, in_channels, out_channels, 3)
        if layer == "self-attention" and lowest:
            return MambaLayer(in_channels, out_channels, SelfAttention(in_channels))
        residual = {"unscaled": "plain", "without-residual": "none"}.get(layer, "scaled")
        return MambaLayer(in_channels, out_channels, Mamba(in_channels), residual)

    def _decoder_block(self, width: int) -> nn.Module:
        if self.options["form"] == "released":
            return ScaledBlock(self.spatial_dims, width)
        convolutions = (convolution(self.spatial_dims, width, width, 3) for _ in range(2))
        return ResidualBlock(width, *convolutions)

    def compute(self, image: Tensor) -> Tensor:  # noqa: D102
        x, skips = self.convInit(image), []
        for level in self.down_layers:
            x = level(x)
            skips.append(x)
        skips.pop()
        for upsample, blocks in zip(self.up_samples, self.up_layers, strict=True):
            x = blocks(upsample(x) + skips.pop())
        return self.conv_final(x)


class MambaLayer(nn.Module):
    """The authors' RVM layer: Projection(LayerNorm(Mamba(LayerNorm(x)) + s x)).

    Args:
        in_channels: channels in.
        out_channels: channels out.
        mixer: from tokens to tokens, between the LayerNorm and the residual.
        residual: "scaled", by one number s that starts at 1; "plain", without s; "none".

    Shape: `(batch, in_channels, *spatial)` to `(batch, out_channels, *spatial)`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, mixer: nn.Module, residual: str = "scaled"
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(in_channels)
        self.mamba = mixer
        self.proj = nn.Linear(in_channels, out_channels)
        self.residual = residual
        if residual == "scaled":
            self.skip_scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        tokens = to_tokens(x)
        mixed = self.mamba(self.norm(tokens))
        if self.residual == "scaled":
            mixed = mixed + self.skip_scale * tokens
        elif self.residual == "plain":
            mixed = mixed + tokens
        return to_grid(self.proj(self.norm(mixed)), x.shape[2:])


class SelfAttention(nn.Module):
    """Every token attends to every other; heads of up to 32 channels, no projection behind them.

    Shape: `(batch, length, channels)` to the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(1, channels // 32)
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:  # noqa: D102
        heads = self.qkv(tokens).unflatten(2, (3, self.heads, -1))  # (batch, length, 3, heads, c)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class ResidualBlock(nn.Module):
    """Twice GroupNorm, ReLU and a layer; the input is added to the result.

    Shape: `(batch, channels, *spatial)` to the same.
    """

    def __init__(self, channels: int, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, channels)
        self.norm2 = nn.GroupNorm(GROUPS, channels)
        self.conv1 = first
        self.conv2 = second

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        inner = self.conv1(F.relu(self.norm1(x)))
        return self.conv2(F.relu(self.norm2(inner))) + x


class ScaledBlock(nn.Module):
    """Norm, ReLU, one depthwise-pointwise convolution plus s times the input, norm, ReLU.

    Shape: `(batch, channels, *spatial)` to the same.
    """

    def __init__(self, spatial_dims: int, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, channels)
        self.norm2 = nn.GroupNorm(GROUPS, channels)
        self.conv = separable_convolution(spatial_dims, channels, channels, 3)
        self.skip_scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        inner = self.conv(F.relu(self.norm1(x))) + self.skip_scale * x
        return F.relu(self.norm2(inner))


def convolution(
    spatial_dims: int,
    in_channels: int,
    out_channels: int,
    width: int,
    *,
    groups: int = 1,
    bias: bool = False,
) -> nn.Sequential:
    """A convolution that keeps the size, under the name `conv` that MONAI gives it."""
    layer = CONVOLUTIONS[spatial_dims](
        in_channels, out_channels, width, padding=width // 2, groups=groups, bias=bias
    )
    return nn.Sequential(OrderedDict(conv=layer))


def separable_convolution(
    spatial_dims: int, in_channels: int, out_channels: int, width: int, *, bias: bool = False
) -> nn.Sequential:
    """A depthwise convolution of this width, then a pointwise one."""
    return nn.Sequential(
        convolution(spatial_dims, in_channels, in_channels, width, groups=in_channels, bias=bias),
        convolution(spatial_dims, in_channels, out_channels, 1, bias=bias),
    )
