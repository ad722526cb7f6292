"""The base class of all networks: stores the options, and accepts images of any size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import EllipsisType
from typing import Any, NamedTuple, TypeGuard

import torch.nn.functional as F
from torch import Tensor, nn

from lightm_unet.errors import UsageError


class TwoStages(NamedTuple):
    """Logits of a network of two stages, both at full resolution, in training mode."""

    last: Tensor
    """The network's own, which it gives alone in eval mode."""
    first: Tensor
    """The first stage's, which the last one has seen; they are trained with the same loss."""


class SegmentationNetwork(nn.Module):
    """An image in, one logit for each class and voxel out, whatever the image's size.

    A subclass computes on sizes that suit it, in `compute`; around it the image is padded by
    repeating its last rows, and the logits are cropped back.

    Args:
        name: what `build_network` calls it.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes, background included.
        multiple: `compute` takes spatial sizes that are multiples of it, voxels of the image for
            one at the lowest resolution.
        two_at_lowest: whether more than one voxel must be left there: a norm has no variance of one
            to divide by.
        options: what the network was built with besides, JSON-able.

    Shape: `(batch, in_channels, *spatial)` to logits `(batch, out_channels, *spatial)`. In training
    mode a network with deep supervision gives a tuple of them: full resolution first, each half
    (rounded up) the size of the one before; one of two stages gives `TwoStages`.

    Raises:
        UsageError: dimensions or channels are no positive whole numbers, or an input does not fit.
    """

    same_for_all_sizes = True
    """Whether `compute` does the same operations for every size; then one graph holds for all."""

    def __init__(
        self,
        name: str,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        multiple: int,
        two_at_lowest: bool = False,
        options: dict[str, Any],
    ) -> None:
        super().__init__()
        check_channels(spatial_dims, in_channels, out_channels)
        self.name, self.options = name, options
        self.multiple, self.two_at_lowest = multiple, two_at_lowest
        self.spatial_dims, self.in_channels = spatial_dims, in_channels
        self.out_channels = out_channels

    @property
    def config(self) -> dict[str, Any]:
        """Arguments with which `build_network(**config)` builds this network again; JSON-able."""
        return {
            "name": self.name,
            "spatial_dims": self.spatial_dims,
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            **self.options,
        }

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:  # noqa: D102
        check_image(image, self.spatial_dims, self.in_channels)
        spatial = tuple(image.shape[2:])
        logits = self.compute(self.pad(image))
        if isinstance(logits, TwoStages):
            return TwoStages(*(crop(each, spatial) for each in logits))
        if isinstance(logits, tuple):
            logits = tuple(
                crop(each, [math.ceil(size / 2**level) for size in spatial])
                for level, each in enumerate(logits)
            )
        elif isinstance(logits, Tensor):
            logits = crop(logits, spatial)
        check_logits(self.name, logits, image, self.out_channels, self.training)
        return logits

    def pad(self, image: Tensor) -> Tensor:
        """The image at a size that `compute` takes; the last axis is longer if two are needed."""
        sizes = [math.ceil(size / self.multiple) * self.multiple for size in image.shape[2:]]
        if self.two_at_lowest and max(sizes, default=0) == self.multiple:
            sizes[-1] *= 2
        return pad_to(image, sizes)

    def compute(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Logits of an image whose sizes are multiples of `multiple`."""
        raise NotImplementedError


def check_channels(spatial_dims: object, in_channels: object, out_channels: object) -> None:
    """Refuse what no network can be built for.

    Raises:
        UsageError: `spatial_dims` is not 2 or 3, or channels are no positive whole numbers.
    """
    if not is_count(spatial_dims) or spatial_dims not in (2, 3):
        raise UsageError(f"spatial_dims is 2 or 3, got {spatial_dims!r}")
    if not is_count(in_channels) or not is_count(out_channels):
        raise UsageError(
            "channels need to be positive whole numbers, "
            f"got {in_channels!r} in and {out_channels!r} out"
        )


def check_counts(name: str, values: object, length: int | None = None) -> tuple[int, ...]:
    """An option that lists positive whole numbers, as a tuple; JSON stores it as a list.

    Args:
        name: of the option.
        values: what was given.
        length: how many numbers there must be; by default at least one.

    Raises:
        UsageError: it is something else.
    """
    if (
        not isinstance(values, (tuple, list))
        or not values
        or not all(map(is_count, values))
        or length not in (None, len(values))
    ):
        count = "" if length is None else f"{length} "
        raise UsageError(f"{name} needs a list of {count}positive whole numbers, got {values!r}")
    return tuple(values)


def check_blocks(
    init_filters: object, blocks_down: object, blocks_up: object
) -> dict[str, int | tuple[int, ...]]:
    """The options of SegResNet and of what is made from it.

    Args:
        init_filters: channels at full resolution, a multiple of the 8 groups of each GroupNorm.
        blocks_down: blocks at each of at least two resolutions on the way down.
        blocks_up: on the way up, one entry fewer.

    Raises:
        UsageError: they are something else.
    """
    if not is_count(init_filters) or init_filters % 8:
        raise UsageError(f"init_filters needs a multiple of 8, got {init_filters!r}")
    blocks_down = check_counts("blocks_down", blocks_down)
    if len(blocks_down) < 2:
        raise UsageError(f"blocks_down needs at least two resolutions, got {list(blocks_down)}")
    blocks_up = check_counts("blocks_up", blocks_up, len(blocks_down) - 1)
    return {"init_filters": init_filters, "blocks_down": blocks_down, "blocks_up": blocks_up}


def is_count(value: object) -> TypeGuard[int]:
    """Whether it is a positive whole number."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def check_image(image: Tensor, spatial_dims: int, in_channels: int) -> None:
    """Refuse an input that is not `(batch, in_channels, *spatial)`, or has no numbers in it.

    Raises:
        UsageError: says which shape or numbers were expected.
    """
    fits = image.dim() == spatial_dims + 2 and image.shape[1] == in_channels
    if not fits or 0 in image.shape:
        raise UsageError(
            f"this network takes (batch, {in_channels}, {', '.join('DHW'[-spatial_dims:])}), "
            f"got {tuple(image.shape)}"
        )
    if not image.is_floating_point():
        raise UsageError(
            f"this network takes floating-point numbers, got {image.dtype}; convert the image "
            "first, for example with .float()"
        )


def check_logits(
    name: str, logits: object, image: Tensor, out_channels: int, training: bool
) -> None:
    """Refuse what a network must not answer; its logits would be taken for another image's.

    Args:
        name: of the network.
        logits: what it gave.
        image: what it was given.
        out_channels: classes, background included.
        training: whether it may give a tuple, each half the size of the one before.

    Raises:
        UsageError: says which shape was expected.
    """
    levels = logits if training and isinstance(logits, tuple) and logits else (logits,)
    for level, each in enumerate(levels):
        spatial = [math.ceil(size / 2**level) for size in image.shape[2:]]
        expected = (image.shape[0], out_channels, *spatial)
        if not isinstance(each, Tensor):
            raise UsageError(f"{name}: the network gave a {type(each).__name__}, expected logits")
        if tuple(each.shape) != expected:
            raise UsageError(
                f"{name}: the network gave {tuple(each.shape)} for an image of "
                f"{tuple(image.shape)}, expected {expected}: batch, classes, the image's own size"
            )


def pad_to(image: Tensor, spatial: Sequence[int]) -> Tensor:
    """Repeat the last row along each axis up to the requested size."""
    missing = [wanted - size for wanted, size in zip(spatial, image.shape[2:], strict=True)]
    if not any(missing):
        return image
    pads = [amount for size in reversed(missing) for amount in (0, size)]
    return F.pad(image, pads, mode="replicate")


def crop(image: Tensor, spatial: Sequence[int]) -> Tensor:
    """The first voxels along each axis, as many as `spatial` says."""
    first: tuple[EllipsisType | slice, ...] = (..., *(slice(size) for size in spatial))
    return image[first]
