"""The gated norm agrees with torch's own modules, forward and backward, on every backend."""

import pytest
import torch
import torch.nn.functional as F

from lightm_unet.errors import UsageError
from lightm_unet.ops import gated_norm
from lightm_unet.ops.dispatch import native

BACKENDS = [
    pytest.param(
        "cpu", marks=pytest.mark.skipif(native is None, reason="the extension is not built")
    ),
    "torch",
]


def random_inputs(batch: int, length: int, channels: int, dtype=torch.float32):
    generator = torch.Generator().manual_seed(channels)
    wide = torch.randn(batch, length, 2 * channels, generator=generator, dtype=dtype)
    x = 3 + 2 * torch.randn(batch, length, channels, generator=generator, dtype=dtype)
    weight, bias = torch.randn(2, channels, generator=generator, dtype=dtype)
    gate = wide[..., channels:]  # the half of a wider row, as the network passes it
    return [t.requires_grad_() for t in (x, gate.detach(), weight, bias)]


def composed(x, gate, weight, bias, epsilon=1e-5):
    return F.layer_norm(x, weight.shape, weight, bias, epsilon) * F.silu(gate)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 7, 5), (1, 33, 16), (3, 5, 40), (1, 3, 130)])
def test_output_and_gradients_are_those_of_layer_norm_and_silu(shape, backend):
    inputs = random_inputs(*shape)
    expected, actual = composed(*inputs), gated_norm(*inputs, backend=backend)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)
    grad = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for got, want in zip(
        torch.autograd.grad(actual, inputs, grad),
        torch.autograd.grad(expected, inputs, grad),
        strict=True,
    ):
        torch.testing.assert_close(got, want, rtol=2e-5, atol=2e-5)


@pytest.mark.skipif(native is None, reason="the extension is not built")
@pytest.mark.parametrize("count", [1, 2, 5])
def test_threads_share_out_rows_without_changing_the_result(threads, count):
    threads(count)
    inputs = random_inputs(2, 50, 24)
    grad = torch.ones(2, 50, 24)
    out = gated_norm(*inputs, backend="cpu")
    grads = torch.autograd.grad(out, inputs, grad)
    torch.testing.assert_close(out, composed(*inputs), rtol=1e-5, atol=1e-5)
    for got, want in zip(grads, torch.autograd.grad(composed(*inputs), inputs, grad), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


def test_gradcheck_in_float64():
    assert torch.autograd.gradcheck(gated_norm, random_inputs(1, 3, 4, torch.float64))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_op_keeps_torchs_rules(backend):
    inputs = random_inputs(1, 4, 6)
    torch.library.opcheck(torch.ops.lightm_unet.gated_norm, (*inputs, 1e-5, backend))


@pytest.mark.parametrize("backend", BACKENDS)
def test_half_precision_comes_back_as_it_was_given(backend):
    inputs = [t.detach().bfloat16() for t in random_inputs(1, 4, 6)]
    out = gated_norm(*inputs, backend=backend)
    assert out.dtype == torch.bfloat16
    exact = composed(*(t.double() for t in inputs))
    torch.testing.assert_close(out.double(), exact, rtol=1e-2, atol=1e-2)


def test_shapes_that_disagree_are_named():
    x, gate, weight, bias = random_inputs(1, 4, 6)
    with pytest.raises(UsageError, match=r"got \(1, 4, 6\) and \(1, 3, 6\)"):
        gated_norm(x, gate[:, :3], weight, bias)
    with pytest.raises(UsageError, match=r"bias needs shape \(6,\), got \(5,\)"):
        gated_norm(x, gate, weight, bias[:5])
