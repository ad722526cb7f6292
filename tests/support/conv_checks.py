"""Inputs for the causal convolution, and the same by torch's own conv1d."""

import torch
import torch.nn.functional as F


def random_inputs(length, channels, width, dtype=torch.float32):
    """Tokens of two images, filters and biases."""
    generator = torch.Generator().manual_seed(0)
    shapes = (2, length, channels), (channels, width), (channels,)
    return [torch.randn(s, generator=generator, dtype=dtype).requires_grad_() for s in shapes]


def by_conv1d(x, weight, bias, silu):
    width = weight.shape[1]
    padded = F.pad(x.transpose(1, 2), (width - 1, 0))
    p = F.conv1d(padded, weight[:, None], bias, groups=x.shape[2]).transpose(1, 2)
    return F.silu(p) if silu else p
