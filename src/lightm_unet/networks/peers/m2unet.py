"""M2U-Net: the first 14 blocks of MobileNetV2, and a decoder of contracting bottlenecks.

    encoder    MobileNetV2 up to 96 channels at a sixteenth of the size; skips of 32, 24 and 16
               channels, and the image itself
    decoder    bilinear interpolation, skip concatenated, an inverted residual that contracts to
               0.15 of its channels instead of expanding them

With 3 channels in and one logit out it has the published 549,748 parameters (0.55 million). Here
every class has a logit, background included: 549,169 for 1 channel and 2 classes.

The weights start at random. The published network starts from MobileNetV2's weights on ImageNet,
which this package does not fetch; scores with them may be higher.

Source: Laibacher, Weyde and Jalali 2019, "M2U-Net: Effective and Efficient Retinal Vessel
Segmentation for Real-World Applications", CVPR Workshops (arXiv 1811.07738); the encoder: Sandler
et al. 2018, "MobileNetV2", Table 2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightm_unet.networks.base import SegmentationNetwork

ENCODER = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1))
"""Rows of MobileNetV2's table: expansion, channels, repetitions, stride of the first."""
SKIPS = (1, 3, 6)
"""The blocks, counted from the first convolution as 0, whose outputs are skips."""
CONTRACTION = 0.15
"""Inner channels of the decoder's blocks, as a share of their input's."""


class M2UNet(SegmentationNetwork):
    """A MobileNetV2 as encoder, and a decoder of a tenth of its parameters; for 2D images.

    Args:
        spatial_dims: 2.
        in_channels: channels of the image.
        out_channels: classes, background included.

    Example:
        >>> network = M2UNet(2, 3, 1)
        >>> sum(p.numel() for p in network.parameters())
        549748
    """

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__(
            "m2unet",
            spatial_dims,
            in_channels,
            out_channels,
            multiple=16,
            two_at_lowest=True,  # for BatchNorm of a single image
            options={},
        )
        self.encoder = nn.ModuleList([nn.Sequential(*_conv(in_channels, 32, 3, stride=2))])
        channels, widths = 32, [in_channels]
        for expansion, width, repetitions, stride in ENCODER:
            for block in range(repetitions):
                self.encoder.append(
                    InvertedResidual(channels, width, expansion, 1 if block else stride)
                )
                if len(self.encoder) - 1 in SKIPS:
                    widths.append(width)
                channels = width
        self.decoder = nn.ModuleList()
        while widths:
            skip = widths.pop()
            # The last block, beside the image, gives the logits.
            width = (channels + skip) // 2 if widths else out_channels
            self.decoder.append(InvertedResidual(channels + skip, width, CONTRACTION))
            channels = width
        self.apply(_initialise)

    def compute(self, image: Tensor) -> Tensor:  # noqa: D102
        x, skips = image, [image]
        for number, block in enumerate(self.encoder):
            x = block(x)
            if number in SKIPS:
                skips.append(x)
        for block in self.decoder:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = block(torch.cat((x, skips.pop()), 1))
        return x


class InvertedResidual(nn.Module):
    """MobileNetV2's block: pointwise to the inner channels, depthwise 3x3, pointwise without ReLU.

    A shortcut goes around it where input and output have the same shape.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        expansion: inner channels, as a multiple of `in_channels`; 1 leaves the first layer out.
        stride: of the depthwise convolution.
    """

    def __init__(
        self, in_channels: int, out_channels: int, expansion: float, stride: int = 1
    ) -> None:
        super().__init__()
        inner = round(expansion * in_channels)
        self.layers = nn.Sequential(
            *(_conv(in_channels, inner, 1) if expansion != 1 else ()),
            *_conv(inner, inner, 3, stride=stride, groups=inner),
            nn.Conv2d(inner, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.is_residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return x + self.layers(x) if self.is_residual else self.layers(x)


def _conv(
    in_channels: int, out_channels: int, width: int, stride: int = 1, groups: int = 1
) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(in_channels, out_channels, width, stride, width // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(),
    )


def _initialise(module: nn.Module) -> None:
    """He's values by the number of outputs, as MobileNetV2's; BatchNorm starts as it is built."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out")
