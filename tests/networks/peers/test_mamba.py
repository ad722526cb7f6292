"""The Mamba block equals its formulas."""

import torch
import torch.nn.functional as F

from lightm_unet.networks.peers.mamba import Mamba
from lightm_unet.ops.reference import scan_reference


def test_a_block_is_convolution_scan_and_gate_in_output_and_gradients(randomise):
    block = randomise(Mamba(20, d_state=3, d_conv=4, expand=2))
    tokens = torch.randn(2, 7, 20, generator=torch.Generator().manual_seed(0))
    x, gate = F.linear(tokens, block.in_proj.weight).split(40, dim=-1)
    past = F.pad(x.transpose(1, 2), (3, 0))
    x = F.silu(F.conv1d(past, block.conv1d.weight, block.conv1d.bias, groups=40)).transpose(1, 2)
    dt, B, C = F.linear(x, block.x_proj.weight).split([2, 3, 3], dim=-1)  # rank ceil(20 / 16)
    delta = F.softplus(F.linear(dt, block.dt_proj.weight, block.dt_proj.bias))
    scanned = scan_reference(x, delta, -torch.exp(block.A_log), B, C, block.D)
    expected = F.linear(scanned * F.silu(gate), block.out_proj.weight)

    actual, parameters = block(tokens), list(block.parameters())
    assert torch.linalg.vector_norm(actual - expected) <= 1e-5 * torch.linalg.vector_norm(expected)
    grad = torch.linspace(-1, 1, expected.numel()).reshape(expected.shape)
    for got, want in zip(
        torch.autograd.grad(actual, parameters, grad),
        torch.autograd.grad(expected, parameters, grad),
        strict=True,
    ):
        assert torch.linalg.vector_norm(got - want) <= 1e-4 * torch.linalg.vector_norm(want)
