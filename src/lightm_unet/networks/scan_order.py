"""Between a grid of features and the sequence that the scan walks along.

Tokens `(batch, length, channels)` in raster order are a grid `(batch, channels, *spatial)` in
torch's channels-last memory format, so going back and forth moves no data. Further directions
need a real reordering, one gather each.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

ORDERS = {
    1: ("raster",),
    2: ("raster", "raster reversed"),
    4: ("raster", "raster reversed", "transposed", "transposed reversed"),
}
"""Traversals for each number of directions. "transposed" walks the axes the other way round: the
first axis varies fastest."""


def to_tokens(grid: Tensor) -> Tensor:
    """`(batch, channels, *spatial)` to `(batch, length, channels)`, raster order."""
    return grid.flatten(2).transpose(1, 2).contiguous()


def to_grid(tokens: Tensor, spatial: Sequence[int]) -> Tensor:
    """The inverse of `to_tokens`; the result is a channels-last view of the tokens."""
    return tokens.transpose(1, 2).unflatten(2, tuple(spatial))


def reorder(tokens: Tensor, spatial: Sequence[int], order: str) -> Tensor:
    """Tokens in raster order to another of the `ORDERS`."""
    if order.startswith("transposed"):
        grid = to_grid(tokens, spatial)
        tokens = to_tokens(grid.permute(0, 1, *range(grid.dim() - 1, 1, -1)))
    return tokens.flip(1) if order.endswith("reversed") else tokens


def restore(tokens: Tensor, spatial: Sequence[int], order: str) -> Tensor:
    """The inverse of `reorder`.

    Example:
        >>> import torch
        >>> tokens = torch.arange(6.0).reshape(1, 6, 1)
        >>> walked = reorder(tokens, (2, 3), "transposed")
        >>> walked.flatten().tolist()
        [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
        >>> torch.equal(restore(walked, (2, 3), "transposed"), tokens)
        True
    """
    tokens = tokens.flip(1) if order.endswith("reversed") else tokens
    if order.startswith("transposed"):
        return reorder(tokens, tuple(reversed(spatial)), "transposed")
    return tokens
