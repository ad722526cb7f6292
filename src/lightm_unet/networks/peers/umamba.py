"""U-Mamba: nnU-Net with residual stages, and Mamba after the encoder's last stage or after each.

Source: Ma et al. 2024, "U-Mamba"; written anew from the structure of the code that came with it
(UMambaBot, UMambaEnc), with its parameter names, so that such checkpoints fit. The bottleneck form
agrees with that code's outputs; the encoder form has only been read. Later code of theirs has
other blocks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from lightm_unet.errors import UsageError
from lightm_unet.networks.base import is_count
from lightm_unet.networks.convolution import AVERAGE_POOLINGS
from lightm_unet.networks.peers.mamba import Mamba
from lightm_unet.networks.peers.nnunet import NNUNet, conv_norm
from lightm_unet.networks.scan_order import to_grid, to_tokens
from lightm_unet.system.choices import check_choice

FORMS = ("bottleneck", "encoder")


class UMamba(NNUNet):
    """U-Mamba_Bot or U-Mamba_Enc, with deep supervision in training mode.

    A Mamba, with a LayerNorm before it and no shortcut beside it, takes every voxel of a stage's
    output as a token. The encoder form scans the full resolution too.

    Args:
        form: "bottleneck", a Mamba after the encoder's last stage, or "encoder", after every stage.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes, background included.
        image_size: settles the number of stages, see `default_features`.
        features: channels of each stage, instead of that.
        blocks_encoder: residual blocks in each stage of the encoder.
        blocks_decoder: residual blocks in each stage of the decoder.
        deep_supervision: in training mode, give the logits of every resolution but the lowest.

    Shape: as `NNUNet`.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        form: str = "bottleneck",
        image_size: Sequence[int] | None = None,
        features: Sequence[int] | None = None,
        blocks_encoder: int = 2,
        blocks_decoder: int = 2,
        deep_supervision: bool = True,
    ) -> None:
        check_choice("form", form, FORMS)
        options = {"blocks_encoder": blocks_encoder, "blocks_decoder": blocks_decoder}
        for name, value in options.items():
            if not is_count(value):
                raise UsageError(f"{name} needs a positive whole number, got {value!r}")

        def stem(channels: int, width: int) -> nn.Module:
            only = nn.Sequential(conv_norm(spatial_dims, channels, width))
            return nn.Sequential(OrderedDict(convs=only))

        def stage(blocks: int, channels: int, width: int, stride: int = 1) -> nn.Module:
            first = ResidualConvBlock(spatial_dims, channels, width, stride)
            others = (ResidualConvBlock(spatial_dims, width, width) for _ in range(blocks - 1))
            return nn.Sequential(OrderedDict(blocks=nn.Sequential(first, *others)))

        super().__init__(
            "u-mamba",
            spatial_dims,
            in_channels,
            out_channels,
            image_size=image_size,
            features=features,
            deep_supervision=deep_supervision,
            stem=stem,
            encoder_stage=lambda *channels_and_stride: stage(blocks_encoder, *channels_and_stride),
            decoder_stage=lambda *channels: stage(blocks_decoder, *channels),
            options={"form": form, **options},
        )
        if form == "encoder":
            layers = (
                nn.ModuleDict({"norm": nn.LayerNorm(width), "mamba": Mamba(width)})
                for width in self.options["features"]
            )
            self.encoder["mamba_layers"] = nn.ModuleList(layers)
        else:
            lowest = self.options["features"][-1]
            self.ln = nn.LayerNorm(lowest)
            self.mamba = Mamba(lowest)

    def after_stage(self, stage: int, x: Tensor) -> Tensor:  # noqa: D102
        stages = self.encoder["stages"]
        assert isinstance(stages, nn.ModuleList)  # as built in NNUNet
        if "mamba_layers" in self.encoder:
            layers = self.encoder["mamba_layers"]
            assert isinstance(layers, nn.ModuleList)  # of ModuleDicts, as built above
            layer = layers[stage]
            assert isinstance(layer, nn.ModuleDict)
            norm, mamba = layer["norm"], layer["mamba"]
        elif stage == len(stages) - 1:
            norm, mamba = self.ln, self.mamba
        else:
            return x
        return to_grid(mamba(norm(to_tokens(x))), x.shape[2:])


class ResidualConvBlock(nn.Module):
    """Two convolutions with InstanceNorm beside a shortcut; LeakyReLU after the first and the sum.

    The shortcut is averaged where there is a stride and projected where the channels change.

    Shape: `(batch, in_channels, *spatial)` to `(batch, out_channels, *spatial / stride)`.
    """

    def __init__(
        self, spatial_dims: int, in_channels: int, out_channels: int, stride: int = 1
    ) -> None:
        super().__init__()
        self.conv1 = conv_norm(spatial_dims, in_channels, out_channels, stride=stride)
        self.conv2 = conv_norm(spatial_dims, out_channels, out_channels, activation=False)
        self.skip = nn.Sequential()
        if stride > 1:
            self.skip.append(AVERAGE_POOLINGS[spatial_dims](stride))
        if in_channels != out_channels:
            project = conv_norm(
                spatial_dims, in_channels, out_channels, width=1, bias=False, activation=False
            )
            self.skip.append(project)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return F.leaky_relu(self.conv2(self.conv1(x)) + self.skip(x), 0.01)
