"""The U-Net that nnU-Net trains, plain or with other stages: a frame for its relatives too.

    stage     two 3x3(x3) convolutions, each with InstanceNorm and LeakyReLU; the first of all
              stages but the first has stride 2
    decoder   transposed convolution, skip concatenated, a stage without stride, a 1x1(x1) head

At nnU-Net's own settings the counts are those of its `PlainConvUNet`: 31,196,399 parameters in 3D
(1 channel in, 3 classes) and 46,325,134 in 2D (3 in, 2 classes). Parameters go by its names.

Source: Isensee et al. 2021, "nnU-Net", supplementary; initial values as in their code.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightm_unet.errors import UsageError
from lightm_unet.networks.base import SegmentationNetwork, check_channels, check_counts
from lightm_unet.networks.convolution import CONVOLUTIONS, INSTANCE_NORMS, TRANSPOSED_CONVOLUTIONS
from lightm_unet.networks.image_sizes import PAPER_SIZE

STAGES = {2: 8, 3: 6}
LARGEST = {2: 512, 3: 320}
SMALLEST_EDGE = 4


def default_features(spatial_dims: int, image_size: Sequence[int] | None = None) -> tuple[int, ...]:
    """Channels of each stage by nnU-Net's rules: 32, doubled at each stage, up to 512 or 320.

    There are at most 8 stages in 2D and 6 in 3D, and no more than leave 4 voxels along the
    shortest axis. nnU-Net goes on halving the longer axes, which only matters for slabs.

    Args:
        spatial_dims: 2 or 3.
        image_size: of the images; by default 512x512 or 128x128x128.

    Example:
        >>> default_features(3)
        (32, 64, 128, 256, 320, 320)
        >>> default_features(2, (40, 64))
        (32, 64, 128, 256)
    """
    shortest = min(PAPER_SIZE[spatial_dims] if image_size is None else image_size)
    stages = 2
    while stages < STAGES[spatial_dims] and shortest // 2**stages >= SMALLEST_EDGE:
        stages += 1
    return tuple(min(32 * 2**stage, LARGEST[spatial_dims]) for stage in range(stages))


class NNUNet(SegmentationNetwork):
    """An encoder, a decoder, and a head at each resolution but the lowest.

    Args:
        name: what `build_network` calls it.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes, background included.
        image_size: settles the number of stages, see `default_features`.
        features: channels of each stage, instead of that.
        deep_supervision: in training mode, give the logits of every resolution but the lowest.
        stem: channels in and out to a module before the first stage; or none.
        encoder_stage: channels in, out and stride to a module.
        decoder_stage: channels in and out to a module.
        options: what the network was built with besides.

    Shape: as `SegmentationNetwork`. Images are padded to a multiple of 2 to the number of
    halvings, and so that more than one voxel is left at the lowest resolution, which InstanceNorm
    needs.
    """

    def __init__(
        self,
        name: str,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        image_size: Sequence[int] | None,
        features: Sequence[int] | None,
        deep_supervision: bool,
        encoder_stage: Callable[[int, int, int], nn.Module],
        decoder_stage: Callable[[int, int], nn.Module],
        stem: Callable[[int, int], nn.Module] | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        check_channels(spatial_dims, in_channels, out_channels)
        if image_size is not None:
            image_size = check_counts("image_size", list(image_size), spatial_dims)
        if features is None:
            features = default_features(spatial_dims, image_size)
        features = check_counts("features", features)
        if len(features) < 2:
            raise UsageError(f"features needs at least two stages, got {list(features)}")
        if not isinstance(deep_supervision, bool):
            raise UsageError(f"deep_supervision is true or false, got {deep_supervision!r}")
        super().__init__(
            name,
            spatial_dims,
            in_channels,
            out_channels,
            multiple=2 ** (len(features) - 1),
            two_at_lowest=True,
            options={
                "features": features,
                "deep_supervision": deep_supervision,
                **(options or {}),
            },
        )
        self.deep_supervision = deep_supervision
        self.encoder = nn.ModuleDict()
        if stem is not None:
            self.encoder["stem"] = stem(in_channels, features[0])
        before = (in_channels if stem is None else features[0], *features[:-1])
        strides = (1, *[2] * (len(features) - 1))
        self.encoder["stages"] = nn.ModuleList(map(encoder_stage, before, features, strides))
        low, high = features[:0:-1], features[-2::-1]
        transposed, conv = TRANSPOSED_CONVOLUTIONS[spatial_dims], CONVOLUTIONS[spatial_dims]
        self.decoder = nn.ModuleDict(
            {
                "transpconvs": nn.ModuleList(
                    transposed(*channels, 2, 2) for channels in zip(low, high, strict=True)
                ),
                "stages": nn.ModuleList(decoder_stage(2 * channels, channels) for channels in high),
                "seg_layers": nn.ModuleList(conv(channels, out_channels, 1) for channels in high),
            }
        )
        self.apply(initialise)

    def after_stage(self, stage: int, x: Tensor) -> Tensor:
        """What becomes of the output of the encoder's stage of this number, from 0."""
        return x

    @staticmethod
    def published_places(name: str) -> int:
        """In how many places nnU-Net's published tree of modules holds a layer.

        There, a convolution, its norm and its activation are found by their names and once more in
        a list `all_modules` beside them; and the decoder holds the encoder that it belongs to. The
        places matter to tools that count a layer for each of them.

        Args:
            name: of the layer in this network, with dots.

        Example:
            >>> NNUNet.published_places("encoder.stages.0.0.convs.0.conv")
            4
            >>> NNUNet.published_places("decoder.transpconvs.0")
            1
        """
        *parents, last = name.split(".")
        in_all_modules = last in ("conv", "norm", "nonlin")
        return (2 if in_all_modules else 1) * (2 if parents[:1] == ["encoder"] else 1)

    def compute(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:  # noqa: D102
        x, skips = image, []
        if "stem" in self.encoder:
            x = self.encoder["stem"](x)
        stages = self.encoder["stages"]
        assert isinstance(stages, nn.ModuleList)  # as built above
        for number, stage in enumerate(stages):
            x = self.after_stage(number, stage(x))
            skips.append(x)
        x, logits = skips.pop(), []
        supervised = self.deep_supervision and self.training
        parts = (self.decoder[part] for part in ("transpconvs", "stages", "seg_layers"))
        for upsample, stage, head in zip(*parts, strict=True):
            x = stage(torch.cat((upsample(x), skips.pop()), 1))
            if supervised or not skips:
                logits.append(head(x))
        return tuple(reversed(logits)) if supervised else logits[-1]


class PlainUNet(NNUNet):
    """nnU-Net's plain network, with deep supervision in training mode.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes, background included.
        image_size: settles the number of stages, see `default_features`.
        features: channels of each stage, instead of that.
        deep_supervision: in training mode, give the logits of every resolution but the lowest.

    Example:
        >>> network = PlainUNet(2, 1, 2, features=(4, 8, 8)).train()
        >>> [tuple(logits.shape) for logits in network(torch.zeros(1, 1, 30, 41))]
        [(1, 2, 30, 41), (1, 2, 15, 21)]
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        image_size: Sequence[int] | None = None,
        features: Sequence[int] | None = None,
        deep_supervision: bool = True,
    ) -> None:
        def stage(channels: int, out_channels: int, stride: int = 1) -> nn.Module:
            first = conv_norm(spatial_dims, channels, out_channels, stride=stride)
            second = conv_norm(spatial_dims, out_channels, out_channels)
            return nn.Sequential(OrderedDict(convs=nn.Sequential(first, second)))

        super().__init__(
            "nnu-net",
            spatial_dims,
            in_channels,
            out_channels,
            image_size=image_size,
            features=features,
            deep_supervision=deep_supervision,
            # nnU-Net has a pooling layer beside the convolutions here, if told so.
            encoder_stage=lambda *channels_and_stride: nn.Sequential(stage(*channels_and_stride)),
            decoder_stage=stage,
        )


def conv_norm(
    spatial_dims: int,
    in_channels: int,
    out_channels: int,
    *,
    width: int = 3,
    stride: int = 1,
    bias: bool = True,
    activation: bool = True,
) -> nn.Sequential:
    """A convolution and InstanceNorm, then LeakyReLU, under nnU-Net's names."""
    conv = CONVOLUTIONS[spatial_dims](
        in_channels, out_channels, width, stride, padding=width // 2, bias=bias
    )
    norm = INSTANCE_NORMS[spatial_dims](out_channels, affine=True)
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv=conv, norm=norm)
    if activation:
        layers["nonlin"] = nn.LeakyReLU(0.01)
    return nn.Sequential(layers)


def initialise(module: nn.Module) -> None:
    """Initial values of nnU-Net: He's for LeakyReLU 0.01, no bias."""
    if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        nn.init.kaiming_normal_(module.weight, a=0.01)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
