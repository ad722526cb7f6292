"""The causal convolution against torch's own conv1d."""

import pytest
import torch

from conv_checks import by_conv1d, random_inputs
from lightm_unet.errors import UsageError
from lightm_unet.ops import backends, causal_conv1d
from lightm_unet.ops.causal_conv import _conv

AVAILABLE = [b.name for b in backends() if b.available and b.name != "reference"]


@pytest.mark.parametrize("backend", AVAILABLE)
@pytest.mark.parametrize("silu", [True, False])
@pytest.mark.parametrize(
    ("length", "channels", "width"), [(1, 1, 4), (3, 16, 4), (64, 17, 4), (65, 40, 1), (200, 5, 7)]
)
def test_it_is_a_left_padded_depthwise_conv1d(backend, silu, length, channels, width):
    inputs = random_inputs(length, channels, width)
    actual = causal_conv1d(*inputs, silu, backend=backend)
    expected = by_conv1d(*inputs, silu)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)
    grad = torch.linspace(-1, 1, expected.numel()).reshape(expected.shape)
    for got, want in zip(
        torch.autograd.grad(actual, inputs, grad),
        torch.autograd.grad(expected, inputs, grad),
        strict=True,
    ):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", AVAILABLE)
def test_half_of_wider_rows_is_read_in_place(backend):
    wide = torch.randn(2, 70, 12, generator=torch.Generator().manual_seed(0))
    _, weight, bias = random_inputs(1, 6, 4)
    torch.testing.assert_close(
        causal_conv1d(wide[..., 6:], weight, bias, backend=backend),
        by_conv1d(wide[..., 6:], weight, bias, True),
        rtol=1e-5,
        atol=1e-5,
    )


def test_gradcheck_passes_in_float64():
    inputs = random_inputs(6, 3, 4, torch.float64)
    assert torch.autograd.gradcheck(lambda *t: causal_conv1d(*t, backend="torch"), inputs)


@pytest.mark.parametrize("backend", AVAILABLE)
def test_the_op_is_registered_correctly(backend):
    torch.library.opcheck(_conv, (*random_inputs(9, 5, 4), True, backend))


def test_a_filter_for_other_channels_is_refused():
    x, weight, bias = random_inputs(9, 5, 4)
    with pytest.raises(UsageError, match="got"):
        causal_conv1d(x, weight[:4], bias)
    with pytest.raises(UsageError, match=r"bias needs shape \(5,\)"):
        causal_conv1d(x, weight, bias[:4])


def test_an_empty_sequence_is_refused():
    _, weight, bias = random_inputs(1, 5, 4)
    for shape in ((0, 5, 5), (2, 0, 5)):
        with pytest.raises(UsageError, match="non-empty"):
            causal_conv1d(torch.zeros(shape), weight, bias)
