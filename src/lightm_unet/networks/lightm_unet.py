"""LightM-UNet as sections 2.1 to 2.4 of Liao et al. 2024 describe it (arXiv 2403.05246).

    stem          DWConv to `width` channels
    encoder       three blocks: RVM layers, the last of which doubles the channels; 2x max-pooling
    bottleneck    RVM layers
    decoder       three blocks: add the skip, DWConv beside a scaled residual, ReLU, halve the
                  channels, 2x interpolation
    head          add the stem's output, DWConv to the classes

Skips come from the stem and from each encoder block.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lightm_unet.errors import UsageError
from lightm_unet.networks.convolution import CONVOLUTIONS, DWConv
from lightm_unet.networks.rvm import RVMLayer
from lightm_unet.networks.scan_order import ORDERS, to_grid, to_tokens

POOLINGS = {2: F.max_pool2d, 3: F.max_pool3d}
INTERPOLATIONS = {2: "bilinear", 3: "trilinear"}


@dataclass(frozen=True)
class LightMUNetOptions:
    """The choices that the paper leaves open, and the sizes it fixes.

    The defaults are the network of the paper's text with 2,542,078 parameters (3D, 1 channel in,
    3 classes).
    """

    width: int = 32
    """Channels after the stem; doubled by each encoder block."""
    encoder_layers: tuple[int, ...] = (1, 2, 2)
    """RVM layers in each encoder block."""
    bottleneck_layers: int = 4
    """RVM layers in the bottleneck."""
    expand: float = 2
    """Inner channels of the VSS module, as a multiple of its channels (the paper's lambda)."""
    d_state: int = 16
    """States of each inner channel."""
    conv: str = "causal"
    """Before the scan: "causal", along the sequence, or "spatial", 3x3(x3) on the grid."""
    d_conv: int = 4
    """Width of the causal convolution."""
    directions: int = 1
    """Orders of the scan: 1 raster; 2 and reversed; 4 and both with the axes transposed."""
    checkpoint_layers: bool = False
    """In training, keep only the inputs of RVM layers and compute the rest again: less memory,
    about a third more time."""

    def __post_init__(self) -> None:
        """Refuse what no network can be built from."""
        for name in ("width", "bottleneck_layers", "d_state", "d_conv"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise UsageError(f"{name} needs a positive whole number, got {value!r}")
        layers = self.encoder_layers
        if not layers or any(not isinstance(n, int) or n < 1 for n in layers):
            raise UsageError(
                f"encoder_layers needs one positive number for each encoder block, got {layers!r}"
            )
        if round(self.expand * self.width) < 1:
            raise UsageError(f"expand leaves no inner channels: {self.expand!r}")
        if self.conv not in ("causal", "spatial"):
            raise UsageError(f'conv is "causal" or "spatial", got {self.conv!r}')
        if self.directions not in ORDERS:
            raise UsageError(f"directions is 1, 2 or 4, got {self.directions!r}")


class LightMUNet(nn.Module):
    """LightM-UNet: an image in, one logit for each class and voxel out.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes, background included.
        options: any field of `LightMUNetOptions`, by keyword.

    Shape: `(batch, in_channels, *spatial)` to logits `(batch, out_channels, *spatial)`, for any
    spatial size: the image is padded to a multiple of 8 (2 to the number of encoder blocks) by
    repeating its last row, and the logits are cropped back.

    Raises:
        UsageError: an option, or an input's shape, cannot be used.

    Example:
        >>> network = LightMUNet(spatial_dims=2, in_channels=1, out_channels=2)
        >>> sum(p.numel() for p in network.parameters())
        2533387
        >>> network(torch.zeros(1, 1, 30, 41)).shape
        torch.Size([1, 2, 30, 41])
    """

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int, **options) -> None:
        super().__init__()
        if spatial_dims not in CONVOLUTIONS:
            raise UsageError(f"spatial_dims is 2 or 3, got {spatial_dims!r}")
        if in_channels < 1 or out_channels < 1:
            raise UsageError(
                f"channels need to be positive, got {in_channels} in and {out_channels} out"
            )
        unknown = sorted(set(options) - set(LightMUNetOptions.__dataclass_fields__))
        if unknown:
            raise UsageError(
                f"LightMUNet has no option {', '.join(unknown)}; "
                f"it has {', '.join(LightMUNetOptions.__dataclass_fields__)}"
            )
        if "encoder_layers" in options:
            options["encoder_layers"] = tuple(options["encoder_layers"])
        self.options = chosen = LightMUNetOptions(**options)
        self.spatial_dims, self.in_channels, self.out_channels = (
            spatial_dims,
            in_channels,
            out_channels,
        )
        layer_options = {
            name: getattr(chosen, name)
            for name in ("expand", "d_state", "conv", "d_conv", "directions")
        }

        def rvm_layers(first: int, last: int, count: int) -> RVMLayers:
            widths = [first] * count + [last]
            return RVMLayers(
                (
                    RVMLayer(spatial_dims, widths[i], widths[i + 1], **layer_options)
                    for i in range(count)
                ),
                chosen.checkpoint_layers,
            )

        blocks = len(chosen.encoder_layers)
        widths = [chosen.width * 2**level for level in range(blocks + 1)]
        self.stem = DWConv(spatial_dims, in_channels, chosen.width)
        self.encoder = nn.ModuleList(
            rvm_layers(widths[level], widths[level + 1], count)
            for level, count in enumerate(chosen.encoder_layers)
        )
        self.bottleneck = rvm_layers(widths[-1], widths[-1], chosen.bottleneck_layers)
        self.decoder = nn.ModuleList(
            DecoderBlock(spatial_dims, widths[level], widths[level - 1])
            for level in range(blocks, 0, -1)
        )
        self.head = DWConv(spatial_dims, chosen.width, out_channels, bias=True)

    @property
    def config(self) -> dict:
        """What `LightMUNet(**config)` needs to build this network again; JSON-able."""
        return {
            "spatial_dims": self.spatial_dims,
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            **asdict(self.options),
        }

    def forward(self, image: Tensor) -> Tensor:
        """`(batch, in_channels, *spatial)` to logits `(batch, out_channels, *spatial)`."""
        spatial = image.shape[2:]
        if len(spatial) != self.spatial_dims or image.shape[1] != self.in_channels:
            raise UsageError(
                f"this network takes (batch, {self.in_channels}, "
                f"{', '.join('DHW'[-self.spatial_dims :])}), got {tuple(image.shape)}"
            )
        x = self.stem(_pad_to_multiple(image, 2 ** len(self.encoder)))
        skips = [x]
        for layers in self.encoder:
            x = POOLINGS[self.spatial_dims](layers(x), 2)
            skips.append(x)
        x = self.bottleneck(x)
        for block in self.decoder:
            x = block(x, skips.pop())
        logits = self.head(x + skips.pop())
        return logits[(..., *(slice(size) for size in spatial))]


class RVMLayers(nn.ModuleList):
    """RVM layers one after the other: grid in, grid out, tokens between."""

    def __init__(self, layers, checkpoint_layers: bool) -> None:
        super().__init__(layers)
        self.checkpoint_layers = checkpoint_layers

    def forward(self, grid: Tensor) -> Tensor:
        """`(batch, channels, *spatial)`; the last layer may change the channels."""
        spatial = tuple(grid.shape[2:])
        tokens = to_tokens(grid)
        for layer in self:
            if self.checkpoint_layers and self.training and torch.is_grad_enabled():
                tokens = checkpoint(layer, tokens, spatial, use_reentrant=False)
            else:
                tokens = layer(tokens, spatial)
        return to_grid(tokens, spatial)


class DecoderBlock(nn.Module):
    """Equation 4, then half the channels at the low resolution, then twice the resolution.

    P = in + skip,    out = interpolate(halve(ReLU(DWConv(P) + s' * P)))
    """

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.dwconv = DWConv(spatial_dims, in_channels, in_channels)
        self.scale = nn.Parameter(torch.ones(in_channels, *[1] * spatial_dims))  # s'
        self.halve = CONVOLUTIONS[spatial_dims](in_channels, out_channels, 1, bias=False)
        self.mode = INTERPOLATIONS[spatial_dims]

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """`(batch, in, *spatial)` twice, to `(batch, out, *(2 * spatial))`."""
        x = x + skip
        x = F.relu(torch.addcmul(self.dwconv(x), self.scale, x))
        return F.interpolate(self.halve(x), scale_factor=2, mode=self.mode, align_corners=False)


def _pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    missing = [math.ceil(size / multiple) * multiple - size for size in image.shape[2:]]
    if not any(missing):
        return image
    pads = [amount for size in reversed(missing) for amount in (0, size)]
    return F.pad(image, pads, mode="replicate")
