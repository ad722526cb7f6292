"""The images of the paper's data, for which networks are sized, counted and measured."""

from __future__ import annotations

from collections.abc import Sequence

PAPER_SIZE: dict[int, tuple[int, ...]] = {2: (512, 512), 3: (128, 128, 128)}
"""The spatial size for each number of spatial dimensions; the default wherever one is needed."""
CHANNELS = {2: (3, 2), 3: (1, 3)}
"""Channels in and classes out for each number of spatial dimensions."""


def per_axis(values: Sequence | None, spatial_dims: int) -> tuple | None:
    """A value for each axis: one number stands for all of them.

    Example:
        >>> per_axis([96], 3), per_axis((32, 48), 2)
        ((96, 96, 96), (32, 48))
    """
    if values is None:
        return None
    return tuple(values) * spatial_dims if len(values) == 1 else tuple(values)
