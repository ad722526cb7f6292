"""Promises of the Triton gated norm, kept in the interpreter by `tests/ops/test_triton.py`."""

import pytest
import torch
import torch.nn.functional as F

from lightm_unet.ops.triton_gated_norm import gated_norm_triton, gated_norm_triton_backward

EPSILON = 1e-5


pytestmark = pytest.mark.usefixtures("nan_in_fresh_memory")


def random_inputs(shape):
    generator = torch.Generator().manual_seed(0)
    x, gate, weight, bias = (
        torch.randn(s, generator=generator) for s in (shape, shape, shape[-1:], shape[-1:])
    )
    return [3 * x + 10, gate, weight, bias]


def assert_same(inputs, tolerance=1e-4):
    x, gate, weight, bias = exact = [t.detach().float().requires_grad_() for t in inputs]
    expected = F.layer_norm(x, x.shape[-1:], weight, bias, EPSILON) * F.silu(gate)
    grad = torch.linspace(-1, 1, x.numel()).reshape(x.shape).to(inputs[0].dtype)
    actual = gated_norm_triton(*inputs, EPSILON)
    assert actual.dtype == inputs[0].dtype
    torch.testing.assert_close(actual.float(), expected, rtol=tolerance, atol=tolerance)
    got = gated_norm_triton_backward(grad, *inputs, EPSILON)
    want = torch.autograd.grad(expected, exact, grad.float())
    for tensor, g, w in zip(inputs, got, want, strict=True):
        assert g.dtype == tensor.dtype
        torch.testing.assert_close(g.float(), w, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", [(1, 1, 2), (2, 9, 40), (3, 7, 64), (1, 130, 100), (5, 512)])
def test_it_is_layer_norm_times_silu_of_the_gate(shape):
    assert_same(random_inputs(shape))


def test_half_of_wider_rows_is_read_in_place():
    x, _, weight, bias = random_inputs((2, 9, 12))
    wide = torch.randn(2, 9, 24, generator=torch.Generator().manual_seed(1))
    assert_same([x, wide[..., 12:], weight, bias])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_rows_keep_their_dtype_and_float32_weights_theirs(dtype):
    x, gate, weight, bias = random_inputs((2, 5, 16))
    assert_same([x.to(dtype), gate.to(dtype), weight, bias], tolerance=0.03)
