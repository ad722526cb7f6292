"""Promises of the Triton convolution, kept in the interpreter by `tests/ops/test_triton.py`."""

import pytest
import torch

from conv_checks import by_conv1d, random_inputs
from lightm_unet.ops import causal_conv1d
from lightm_unet.ops.causal_conv import _conv

pytestmark = pytest.mark.usefixtures("nan_in_fresh_memory")


def assert_same(inputs, silu=True, tolerance=1e-4):
    exact = [t.detach().float().requires_grad_() for t in inputs]
    actual, expected = causal_conv1d(*inputs, silu, backend="triton"), by_conv1d(*exact, silu)
    grad = torch.linspace(-1, 1, expected.numel()).reshape(expected.shape).to(actual)
    assert actual.dtype == inputs[0].dtype
    torch.testing.assert_close(actual.float(), expected, rtol=tolerance, atol=tolerance)
    got = torch.autograd.grad(actual, inputs, grad)
    want = torch.autograd.grad(expected, exact, grad.float())
    for tensor, g, w in zip(inputs, got, want, strict=True):
        assert g.dtype == tensor.dtype
        torch.testing.assert_close(g.float(), w, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("silu", [True, False])
@pytest.mark.parametrize(
    ("length", "channels", "width"), [(1, 1, 4), (3, 32, 4), (64, 5, 4), (65, 40, 1), (130, 3, 7)]
)
def test_it_is_a_left_padded_depthwise_conv1d(silu, length, channels, width):
    assert_same(random_inputs(length, channels, width), silu)


def test_half_of_wider_rows_is_read_in_place():
    wide = torch.randn(2, 70, 12, generator=torch.Generator().manual_seed(0))
    _, weight, bias = random_inputs(1, 6, 4)
    assert_same([wide.requires_grad_()[..., 6:], weight, bias])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_tokens_keep_their_dtype_and_float32_filters_theirs(dtype):
    x, weight, bias = random_inputs(20, 5, 4)
    assert_same([x.detach().to(dtype).requires_grad_(), weight, bias], tolerance=0.03)


def test_the_op_is_registered_correctly():
    torch.use_deterministic_algorithms(False)
    utilities = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(_conv, (*random_inputs(9, 5, 4), True, "triton"), test_utils=utilities)
