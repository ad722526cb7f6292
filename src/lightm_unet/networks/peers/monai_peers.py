"""SegResNet, UNETR and SwinUNETR as MONAI has them, configured as the paper compares with them.

MONAI is imported when one of them is built: it takes a second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lightm_unet.errors import UsageError
from lightm_unet.networks.base import (
    SegmentationNetwork,
    check_blocks,
    check_channels,
    check_counts,
    is_count,
    pad_to,
)
from lightm_unet.networks.image_sizes import PAPER_SIZE


class SegResNet(SegmentationNetwork):
    """Residual blocks of convolutions with GroupNorm; interpolation on the way up.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes, background included.
        init_filters: channels at full resolution, a multiple of 8; doubled by each halving.
        blocks_down: residual blocks at each resolution on the way down.
        blocks_up: on the way up, one entry fewer.

    Source: Myronenko 2018, without the autoencoder branch; MONAI's SegResNet.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        init_filters: int = 32,
        blocks_down: Sequence[int] = (1, 2, 2, 4),
        blocks_up: Sequence[int] = (1, 1, 1),
    ) -> None:
        options: dict[str, Any] = check_blocks(init_filters, blocks_down, blocks_up)
        super().__init__(
            "segresnet",
            spatial_dims,
            in_channels,
            out_channels,
            multiple=2 ** len(options["blocks_up"]),
            options=options,
        )
        from monai.networks import nets

        self.network = nets.SegResNet(
            spatial_dims=spatial_dims, in_channels=in_channels, out_channels=out_channels, **options
        )

    def compute(self, image: Tensor) -> Tensor:  # noqa: D102
        return self.network(image)


class UNETR(SegmentationNetwork):
    """A vision transformer on patches of 16 voxels, and a convolutional decoder.

    It learns one embedding for each patch, so it is built for one image size: smaller images are
    padded to it, larger ones refused.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes, background included.
        image_size: rounded up to a multiple of 16; by default 512x512 or 128x128x128.
        feature_size: channels of the decoder at full resolution.
        hidden_size: channels of the transformer, a multiple of `num_heads`.
        mlp_dim: width of its feed-forward layers.
        num_heads: of the attention.

    Source: Hatamizadeh et al. 2022; MONAI's UNETR.
    """

    same_for_all_sizes = False

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        image_size: Sequence[int] | None = None,
        feature_size: int = 16,
        hidden_size: int = 768,
        mlp_dim: int = 3072,
        num_heads: int = 12,
    ) -> None:
        check_channels(spatial_dims, in_channels, out_channels)
        options: dict[str, Any] = {
            "feature_size": feature_size,
            "hidden_size": hidden_size,
            "mlp_dim": mlp_dim,
            "num_heads": num_heads,
        }
        _check_sizes(options)
        if hidden_size % num_heads:
            raise UsageError(
                f"hidden_size needs a multiple of num_heads, got {hidden_size} and {num_heads}"
            )
        image_size = PAPER_SIZE[spatial_dims] if image_size is None else image_size
        sizes = check_counts("image_size", list(image_size), spatial_dims)
        self_size = tuple(math.ceil(size / 16) * 16 for size in sizes)
        super().__init__(
            "unetr",
            spatial_dims,
            in_channels,
            out_channels,
            multiple=16,
            options={"image_size": self_size, **options},
        )
        self.image_size = self_size
        from monai.networks import nets

        self.network = nets.UNETR(
            in_channels,
            out_channels,
            img_size=self_size,
            proj_type="conv",
            norm_name="instance",
            res_block=True,
            spatial_dims=spatial_dims,
            **options,
        )
        # MONAI's transformer has a LayerNorm before a cross-attention that UNETR does not use. It
        # counts, as it does in every published count, but has no gradient to wait for.
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_("norm_cross_attn" not in name)

    def pad(self, image: Tensor) -> Tensor:
        """The image at the size that the network was built for.

        Raises:
            UsageError: the image is larger.
        """
        spatial = tuple(image.shape[2:])
        if any(size > most for size, most in zip(spatial, self.image_size, strict=True)):
            raise UsageError(
                f"this UNETR was built for images of up to {_by(self.image_size)}, got "
                f"{_by(spatial)}; build it with that image_size, or resize or tile the image"
            )
        return pad_to(image, self.image_size)

    def compute(self, image: Tensor) -> Tensor:  # noqa: D102
        return self.network(image)


class SwinUNETR(SegmentationNetwork):
    """A transformer with attention in shifted windows, and a convolutional decoder.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes, background included.
        feature_size: channels at half resolution, a multiple of 12.
        depths: transformer layers at each of four resolutions.
        num_heads: of the attention, at each of them.

    Source: Hatamizadeh et al. 2022; MONAI's SwinUNETR.
    """

    same_for_all_sizes = False  # the windows are laid over each size in another way

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        feature_size: int = 48,
        depths: Sequence[int] = (2, 2, 2, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
    ) -> None:
        if not is_count(feature_size) or feature_size % 12:
            raise UsageError(f"feature_size needs a multiple of 12, got {feature_size!r}")
        options: dict[str, Any] = {
            "feature_size": feature_size,
            "depths": check_counts("depths", depths, 4),
            "num_heads": check_counts("num_heads", num_heads, 4),
        }
        for level, heads in enumerate(options["num_heads"]):
            if feature_size * 2**level % heads:
                raise UsageError(
                    f"num_heads: {feature_size * 2**level} channels cannot be shared by {heads}"
                )
        super().__init__(
            "swin-unetr",
            spatial_dims,
            in_channels,
            out_channels,
            multiple=32,
            two_at_lowest=True,
            options=options,
        )
        from monai.networks import nets

        with _LinspaceOnCpu():
            self.network = nets.SwinUNETR(
                in_channels, out_channels, spatial_dims=spatial_dims, **options
            )

    def compute(self, image: Tensor) -> Tensor:  # noqa: D102
        return self.network(image)


class _LinspaceOnCpu(TorchFunctionMode):
    """MONAI reads numbers from a linspace while it builds, which the meta device cannot give."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.linspace:
            kwargs["device"] = "cpu"
        return func(*args, **kwargs)


def _check_sizes(options: dict[str, int]) -> None:
    for name, value in options.items():
        if not is_count(value):
            raise UsageError(f"{name} needs a positive whole number, got {value!r}")


def _by(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))
