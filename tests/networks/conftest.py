"""What the tests of `lightm_unet.networks` share: the RVM layer in torch's plain operations."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from lightm_unet.networks.scan_order import reorder, restore
from lightm_unet.ops.reference import scan_reference


@pytest.fixture
def randomise():
    """Give every parameter random values: an initial 0 or 1 would hide that it is not used."""

    def fill(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
        return module

    return fill


@pytest.fixture(scope="session", name="layer_by_hand")
def _layer_by_hand() -> Callable:
    """An RVM layer's output, computed from nothing but its parameters."""
    return layer_by_hand


def layer_by_hand(layer, tokens, spatial):
    """Equations 1 and 2: M' = VSSM(LayerNorm(M)) + s * M, then Projection(LayerNorm(M'))."""
    mixed = vssm_by_hand(layer.vssm, normalise(tokens, layer.norm), spatial) + layer.scale * tokens
    return F.linear(
        normalise(mixed, layer.projection_norm), layer.projection.weight, layer.projection.bias
    )


def vssm_by_hand(vssm, tokens, spatial):
    """Equation 3: LayerNorm(SSM(SiLU(DWConv(Linear(W))))) * SiLU(Linear(W)), then Linear."""
    first, second = vssm.in_proj.weight.chunk(2)
    x = F.silu(convolve(vssm.conv, F.linear(tokens, first), spatial))
    scanned = sum(
        restore(ssm_by_hand(ssm, reorder(x, spatial, order)), spatial, order)
        for ssm, order in zip(vssm.ssm, vssm.orders, strict=True)
    )
    gated = normalise(scanned, vssm.norm) * F.silu(F.linear(tokens, second))
    return F.linear(gated, vssm.out_proj.weight)


def convolve(conv, x, spatial):
    channels = x.shape[2]
    if hasattr(conv, "depthwise"):
        grid = x.transpose(1, 2).reshape(x.shape[0], channels, *spatial)
        convolution = {2: F.conv2d, 3: F.conv3d}[len(spatial)]
        weight, bias = conv.depthwise.weight, conv.depthwise.bias
        out = convolution(grid, weight, bias, padding=1, groups=channels)
        return out.flatten(2).transpose(1, 2)
    past = F.pad(x.transpose(1, 2), (conv.weight.shape[1] - 1, 0))
    return F.conv1d(past, conv.weight[:, None], conv.bias, groups=channels).transpose(1, 2)


def ssm_by_hand(ssm, x):
    rank, state = ssm.dt_proj.weight.shape[1], ssm.A_log.shape[1]
    dt, B, C = F.linear(x, ssm.x_proj.weight).split([rank, state, state], dim=-1)
    delta = F.softplus(F.linear(dt, ssm.dt_proj.weight, ssm.dt_proj.bias))
    return scan_reference(x, delta, -torch.exp(ssm.A_log), B, C, ssm.D)


def normalise(tokens, norm):
    mean, variance = tokens.mean(-1, keepdim=True), tokens.var(-1, keepdim=True, correction=0)
    return (tokens - mean) / torch.sqrt(variance + norm.eps) * norm.weight + norm.bias
