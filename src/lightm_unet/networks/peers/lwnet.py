"""W-Net, "the little W-Net that could": two small U-Nets in a row, 68 thousand parameters.

    U-Net     three resolutions of 8, 16 and 32 channels; a residual block at each, max-pooling
              down, transposed convolutions up; each skip goes through a convolution of its own
    W-Net     the second U-Net sees the image and the logits of the first

With 3 channels in and one logit out they have the published 34,201 (one U-Net) and 68,482
parameters. Here every class has a logit, background included: 68,260 parameters for 1 channel and
2 classes, 68,580 for 3 channels and 2 classes.

Source: Galdran et al. 2022, "State-of-the-art retinal vessel segmentation with minimalistic
models", Scientific Reports 12:6174; what the text leaves open as in the code that came with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from lightm_unet.errors import UsageError
from lightm_unet.networks.base import SegmentationNetwork, TwoStages, check_counts


class LittleWNet(SegmentationNetwork):
    """Two small U-Nets, of which the second corrects the first; for 2D images.

    It is trained as it was published, with the same loss on the logits of both, so that the first
    learns a segmentation and not just features: in training mode the output is `TwoStages`. In eval
    mode it is the second's logits alone.

    Args:
        spatial_dims: 2.
        in_channels: channels of the image.
        out_channels: classes, background included.
        features: channels at each resolution, of both.

    Example:
        >>> network = LittleWNet(2, 1, 2)
        >>> sum(p.numel() for p in network.parameters())
        68260
        >>> network.eval()(torch.zeros(1, 1, 30, 41)).shape
        torch.Size([1, 2, 30, 41])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        features: Sequence[int] = (8, 16, 32),
    ) -> None:
        features = check_counts("features", features)
        if len(features) < 2:
            raise UsageError(f"features needs at least two resolutions, got {list(features)}")
        super().__init__(
            "lwnet",
            spatial_dims,
            in_channels,
            out_channels,
            multiple=2 ** (len(features) - 1),
            two_at_lowest=True,  # for BatchNorm of a single image
            options={"features": features},
        )
        self.first = LittleUNet(in_channels, out_channels, features)
        self.second = LittleUNet(in_channels + out_channels, out_channels, features)
        self.apply(_initialise)

    def compute(self, image: Tensor) -> Tensor | TwoStages:  # noqa: D102
        first = self.first(image)
        second = self.second(torch.cat((image, first), 1))
        return TwoStages(second, first) if self.training else second


class LittleUNet(nn.Module):
    """One of the two U-Nets; sizes are multiples of 2 to the number of poolings."""

    def __init__(self, in_channels: int, out_channels: int, features: Sequence[int]) -> None:
        super().__init__()
        self.down = nn.ModuleList(map(ResidualBlock, (in_channels, *features[:-1]), features))
        self.pool = nn.MaxPool2d(2)
        self.skips = nn.ModuleList(_conv(channels, channels) for channels in features[:-1])
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(low, high, 2, 2) for high, low in pairwise(features)
        )
        self.merge = nn.ModuleList(
            ResidualBlock(2 * channels, channels) for channels in features[:-1]
        )
        self.head = nn.Conv2d(features[0], out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        stages = []
        for level, block in enumerate(self.down):
            x = block(self.pool(x) if level else x)
            stages.append(x)
        stages.pop()
        ways_up = list(zip(self.up, self.skips, self.merge, strict=True))
        for upsample, skip, merge in reversed(ways_up):
            x = merge(torch.cat((upsample(x), skip(stages.pop())), 1))
        return self.head(x)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, and beside them a pointwise one; BatchNorm comes last in each."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            _conv(in_channels, out_channels), _conv(out_channels, out_channels)
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)
        )

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return self.convs(x) + self.shortcut(x)


def _conv(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        nn.LeakyReLU(0.01),
        nn.BatchNorm2d(out_channels),
    )


def _initialise(module: nn.Module) -> None:
    """He's values for leaky ReLU, by the number of outputs."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.kaiming_normal_(module.weight, a=0.01, mode="fan_out")
