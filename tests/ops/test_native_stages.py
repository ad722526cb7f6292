"""Stages on a grid: outputs and all gradients against torch's own operations in float64."""

import math

import pytest
import torch
import torch.nn.functional as F

from lightm_unet.errors import UsageError
from lightm_unet.ops import backends
from lightm_unet.ops.native_layers import Stage, conv_stem, trains_natively
from lightm_unet.ops.native_stages import mix_stage, norm_stage

pytestmark = [
    pytest.mark.skipif(not backends()[0].available, reason="the native kernels were not built"),
    pytest.mark.usefixtures("nan_in_fresh_memory"),
    pytest.mark.filterwarnings("ignore:.*does not have a deterministic implementation"),
]
CONVOLUTIONS = {2: F.conv2d, 3: F.conv3d}
EPSILON = 1e-5


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


def as_grid(tokens, grid):
    return tokens.transpose(1, 2).unflatten(2, tuple(grid))


def mix_by_hand(low, skip, grid, depthwise, depthwise_bias, pointwise, pointwise_bias, scale):
    dims = len(grid)
    p = as_grid(skip, grid)
    if low is not None and low.shape[1] == skip.shape[1]:
        p = p + as_grid(low, grid)
    elif low is not None:
        mode = {2: "bilinear", 3: "trilinear"}[dims]
        low = as_grid(low, [size // 2 for size in grid])
        p = p + F.interpolate(low, scale_factor=2, mode=mode, align_corners=False)
    weight = depthwise.unflatten(1, (1, *[3] * dims))
    f = CONVOLUTIONS[dims](p, weight, depthwise_bias, padding=1, groups=p.shape[1])
    out = F.linear(f.flatten(2).transpose(1, 2), pointwise, pointwise_bias)
    return out if scale is None else out + scale * p.flatten(2).transpose(1, 2)


def norm_by_hand(x, weight, bias, last, last_bias, slope):
    if weight is not None:
        variance, mean = torch.var_mean(x, (0, 1), correction=0)
        x = (x - mean) / torch.sqrt(variance + EPSILON) * weight + bias
    x = torch.where(x > 0, x, slope * x)
    return x if last is None else F.linear(x, last, last_bias)


def with_gradients(function, inputs):
    """The result, and the gradients of all inputs that ask for one."""
    result = function(*inputs)
    seed = random(*result.shape, seed=1).to(result.dtype)
    wanted = [t for t in inputs if isinstance(t, torch.Tensor) and t.requires_grad]
    return [result.detach(), *torch.autograd.grad(result, wanted, seed)]


def in_double(inputs):
    return [
        t.detach().double().requires_grad_(t.requires_grad) if isinstance(t, torch.Tensor) else t
        for t in inputs
    ]


def assert_right(native, by_hand, inputs):
    found, expected = with_gradients(native, inputs), with_gradients(by_hand, in_double(inputs))
    # One that nearly cancels is as exact as the largest of them.
    largest = max(want.norm() for want in expected)
    for got, want in zip(found, expected, strict=True):
        assert got.shape == want.shape
        assert (got - want).norm() <= 1e-5 * want.norm() + 1e-6 * largest
    return found


def mix_inputs(grid, channels, factor, batch=2, outputs=None, biases=False, scale=True):
    """low (none for factor 0), skip, grid and weights, as `mix_by_hand` takes them."""
    length, taps = math.prod(grid), 3 ** len(grid)
    outputs = channels if outputs is None else outputs
    low_length = math.prod(size // max(factor, 1) for size in grid)
    tensors = [
        random(batch, low_length, channels) if factor else None,
        random(batch, length, channels) + 1,
        random(channels, taps),
        random(channels) if biases else None,
        random(outputs, channels),
        random(outputs, seed=2) if biases else None,
        random(channels, seed=3) if scale else None,
    ]
    low, skip, *weights = (None if t is None else t.requires_grad_() for t in tensors)
    return [low, skip, list(grid), *weights]


def mix(low, skip, grid, depthwise, depthwise_bias, pointwise, pointwise_bias, scale):
    stage = Stage(depthwise, pointwise, depthwise_bias, pointwise_bias, scale)
    return mix_stage(low, skip, grid, stage)


def norm(x, weight, bias, last, last_bias, slope):
    stage = Stage(x, x, last=last, last_bias=last_bias, slope=slope)  # the first two are not read
    return norm_stage(x, stage, weight, bias, EPSILON)[0]


def norm_inputs(channels, has_norm=True, outputs=None, slope=0.01, batch=2, length=77):
    tensors = [
        random(batch, length, channels) + 3,
        random(channels) if has_norm else None,
        random(channels, seed=2) if has_norm else None,
        random(outputs, channels) if outputs else None,
        random(outputs, seed=3) if outputs else None,
    ]
    return [*(None if t is None else t.requires_grad_() for t in tensors), slope]


@pytest.mark.parametrize("channels", [1, 3, 7, 17, 33])
@pytest.mark.parametrize(
    ("grid", "factor"),
    [
        ((7, 5), 0),
        ((7, 5), 1),
        ((6, 10), 2),
        ((2, 2), 2),
        ((37, 12), 1),
        ((40, 18), 2),
        ((3, 7, 5), 0),
        ((3, 7, 5), 1),
        ((4, 6, 10), 2),
        ((2, 2, 2), 2),
        ((34, 35, 3), 1),
    ],
)
def test_a_mixture_and_all_its_gradients_are_right(threads, channels, grid, factor):
    threads(3)
    assert_right(mix, mix_by_hand, mix_inputs(grid, channels, factor))
    options = {"outputs": 2 * channels + 1, "biases": True, "scale": False, "batch": 1}
    assert_right(mix, mix_by_hand, mix_inputs(grid, channels, factor, **options))


@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize("batch", [1, 3])
def test_every_option_of_a_mixture_has_its_gradient(biases, scale, batch):
    options = {"biases": biases, "scale": scale, "batch": batch}
    found = assert_right(mix, mix_by_hand, mix_inputs((6, 8), 20, 2, **options))
    assert len(found) == 1 + 4 + 2 * biases + scale


@pytest.mark.parametrize("channels", [1, 3, 7, 17, 33])
@pytest.mark.parametrize("has_norm", [False, True])
@pytest.mark.parametrize("outputs", [None, 1, 5, 40])
@pytest.mark.parametrize("slope", [0, 0.01, 1])
def test_a_norm_and_all_its_gradients_are_right(threads, channels, has_norm, outputs, slope):
    threads(3)
    assert_right(norm, norm_by_hand, norm_inputs(channels, has_norm, outputs, slope))


def test_statistics_are_right_far_from_zero_and_over_many_tokens():
    x = 100 + 0.01 * random(3, 20_011, 17)
    x[..., 3] = 5.0  # no deviation at all
    x[0, 0, 4] = 1e4  # one outlier, the first
    weight = torch.ones(17)
    _, (mean, variance) = norm_stage(x, Stage(x, x), weight, weight, EPSILON)
    expected_variance, expected_mean = torch.var_mean(x.double(), (0, 1), correction=0)
    torch.testing.assert_close(mean.double(), expected_mean, rtol=1e-7, atol=0)
    torch.testing.assert_close(variance.double(), expected_variance, rtol=1e-5, atol=0)
    assert variance[3] == 0


def image_and_weights(grid, channels, width):
    image = random(2, channels, *grid)
    weight = random(width, channels * 3 ** len(grid)).requires_grad_()
    return [image, weight, random(width).requires_grad_()]


def conv_by_hand(image, weight, bias):
    dims = image.dim() - 2
    weight = weight.unflatten(1, (image.shape[1], *[3] * dims))
    return CONVOLUTIONS[dims](image, weight, bias, padding=1).flatten(2).transpose(1, 2)


@pytest.mark.parametrize("grid", [(1, 1), (7, 5), (40, 33), (3, 7, 5), (18, 5, 9)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("width", [1, 7, 17, 33])
def test_a_convolution_of_an_image_and_its_gradients_are_right(threads, grid, channels, width):
    threads(3)
    assert_right(conv_stem, conv_by_hand, image_and_weights(grid, channels, width))


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (mix, mix_inputs((64, 30), 19, 2)),
        (mix, mix_inputs((20, 24, 18), 19, 2, biases=True)),
        (norm, norm_inputs(19, outputs=5, length=3000)),
        (norm, norm_inputs(19, has_norm=False, outputs=5, length=3000)),
        (conv_stem, image_and_weights((20, 24, 18), 1, 19)),
    ],
)
def test_threads_do_not_change_a_single_bit(threads, function, inputs):
    threads(1)
    expected = with_gradients(function, inputs)
    for count in (2, 3, 4, 5) * 2:
        threads(count)
        for got, want in zip(with_gradients(function, inputs), expected, strict=True):
            assert torch.equal(got, want)


def strided(t):
    """The same values, every other one in memory."""
    if not isinstance(t, torch.Tensor):
        return t
    wide = torch.stack([t.detach(), torch.full_like(t, float("nan"))], -1)
    return wide[..., 0].requires_grad_(t.requires_grad)


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (mix, mix_inputs((6, 10), 5, 2, biases=True)),
        (norm, norm_inputs(5, outputs=3)),
        (conv_stem, image_and_weights((6, 10), 3, 5)),
    ],
)
def test_strides_of_inputs_and_of_the_gradient_do_not_matter(function, inputs):
    apart = [strided(t) for t in inputs]
    found = function(*apart)
    assert torch.equal(found, function(*inputs))
    wanted = [t for t in inputs if isinstance(t, torch.Tensor) and t.requires_grad]
    wanted_apart = [t for t in apart if isinstance(t, torch.Tensor) and t.requires_grad]
    seed = random(*found.shape)
    for got, want in zip(
        torch.autograd.grad(found, wanted_apart, strided(seed)),
        torch.autograd.grad(function(*inputs), wanted, seed),
        strict=True,
    ):
        assert torch.equal(got, want)
    one = random(*found.shape[:2], 1).expand_as(found)  # as the gradient of a sum comes
    torch.autograd.grad(function(*inputs), wanted, one)


@pytest.mark.parametrize("wanted", range(7))
def test_what_is_frozen_gets_no_gradient_and_changes_no_other(wanted):
    inputs = mix_inputs((6, 10), 5, 2, biases=True)
    tensors = [t for t in inputs if isinstance(t, torch.Tensor)]
    everything = torch.autograd.grad(mix(*inputs).square().sum(), tensors)
    for i, t in enumerate(tensors):
        t.requires_grad_(i == wanted)
    mix(*inputs).square().sum().backward()
    for i, (t, gradient) in enumerate(zip(tensors, everything, strict=True)):
        assert t.grad is None if i != wanted else torch.equal(t.grad, gradient)


@pytest.mark.parametrize("wanted", range(5))
def test_a_norm_with_frozen_parts_has_the_other_gradients(wanted):
    inputs = norm_inputs(5, outputs=3)
    tensors = inputs[:5]
    everything = torch.autograd.grad(norm(*inputs).square().sum(), tensors)
    for i, t in enumerate(tensors):
        t.requires_grad_(i == wanted)
    norm(*inputs).square().sum().backward()
    for i, (t, gradient) in enumerate(zip(tensors, everything, strict=True)):
        assert t.grad is None if i != wanted else torch.equal(t.grad, gradient)


def test_a_nan_anywhere_is_a_nan_in_what_depends_on_it():
    inputs = mix_inputs((6, 10), 5, 2, biases=True)
    with torch.no_grad():
        inputs[1][0, 23, 2] = float("nan")
    out = mix(*inputs)
    assert out[0].isnan().any()
    assert out[1].isfinite().all()
    out.sum().backward()
    assert inputs[3].grad[2].isnan().all()
    assert inputs[1].grad.isfinite().all()  # it does not depend on the values
    seed = torch.zeros_like(out)
    seed[1, 3] = float("nan")
    grad_low, grad_skip = torch.autograd.grad(mix(*inputs), inputs[:2], seed)
    assert grad_low[1].isnan().any()
    assert grad_skip[1].isnan().any()
    assert grad_skip[0].isfinite().all()
    inputs = norm_inputs(5, outputs=3)
    with torch.no_grad():
        inputs[0][1, 4, 2] = float("nan")
    out = norm(*inputs)
    assert out.isnan().all()
    out.sum().backward()
    assert inputs[0].grad[..., 2].isnan().all()


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (mix, mix_inputs((4, 6), 3, 1)),
        (norm, norm_inputs(3)),
        (conv_stem, image_and_weights((4, 6), 1, 3)),
    ],
)
def test_second_derivatives_are_refused_and_the_error_says_what_to_do(function, inputs):
    wanted = [t for t in inputs if isinstance(t, torch.Tensor) and t.requires_grad]
    first = torch.autograd.grad(function(*inputs).square().sum(), wanted, create_graph=True)
    with pytest.raises(UsageError, match=r"no second derivatives .* LIGHTM_UNET_BACKEND=torch"):
        torch.autograd.grad(sum(g.square().sum() for g in first), wanted)


def test_an_image_that_asks_for_a_gradient_is_refused_by_name():
    inputs = image_and_weights((4, 6), 1, 3)
    inputs[0].requires_grad_()
    with pytest.raises(UsageError, match=r"no gradient for the image itself; .*=torch"):
        conv_stem(*inputs).sum().backward()


def test_it_trains_natively_only_where_somebody_waits_for_a_gradient(monkeypatch):
    weight, tokens = torch.randn(3, requires_grad=True), torch.randn(1, 4, 3)
    assert trains_natively(tokens, None, weight)
    assert not trains_natively(tokens, weight.detach())
    assert not trains_natively(tokens, weight.double())
    with torch.no_grad():
        assert not trains_natively(tokens, weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert not trains_natively(tokens, weight)
    monkeypatch.setenv("LIGHTM_UNET_BACKEND", "torch")
    assert not trains_natively(tokens, weight)


def test_they_are_registered_correctly():
    low, skip, grid, *weights = mix_inputs((4, 6), 5, 2, biases=True)
    grad, ops = torch.randn_like(skip).detach(), torch.ops.lightm_unet
    x, *norm_weights, slope = norm_inputs(5, outputs=3)
    weight, bias, last, last_bias = norm_weights
    image, conv, conv_bias = image_and_weights((4, 6), 1, 5)
    moments = torch.randn(5), torch.rand(5)
    # A backward op's own autograd refuses, which the check of gradients would report.
    forward_only = "test_schema", "test_autograd_registration", "test_faketensor"
    for op, arguments in (
        (ops.mix_stage, (low, skip, grid, *weights)),
        (ops.mix_stage, (None, skip, grid, weights[0], None, weights[2], None, None)),
        (ops.norm_stage, (x, weight, bias, EPSILON, last, last_bias, slope)),
        (ops.norm_stage, (x, None, None, EPSILON, None, None, slope)),
        (ops.conv_stem, (image, conv, conv_bias)),
    ):
        torch.library.opcheck(op, arguments, test_utils=forward_only)
    grad_norm = torch.randn(2, 77, 3)
    for inputs, of_weights in ((True, True), (True, False), (False, True)):
        torch.library.opcheck(
            ops.mix_stage_backward,
            (grad, low, skip, grid, *weights, inputs, of_weights),
            test_utils=forward_only,
        )
        torch.library.opcheck(
            ops.norm_stage_backward,
            (
                *(grad_norm, x, *moments, weight, bias, EPSILON, last, last_bias, slope),
                *(inputs, of_weights),
            ),
            test_utils=forward_only,
        )
    grad_tokens = torch.randn(2, 24, 5)
    arguments = grad_tokens, image, conv
    torch.library.opcheck(ops.conv_stem_backward, arguments, test_utils=forward_only)


def test_operations_are_counted():
    from torch.utils.flop_counter import FlopCounterMode

    def counted(function, inputs):
        with FlopCounterMode(display=False) as forward:
            out = function(*inputs)
        with FlopCounterMode(display=False) as backward:
            out.sum().backward()
        return forward.get_total_flops(), backward.get_total_flops()

    tokens = 2 * 24
    filtered, mixed = 9 * 5, 7 * 5
    assert counted(mix, mix_inputs((4, 6), 5, 2, outputs=7, scale=False)) == (
        2 * tokens * (filtered + mixed),
        2 * tokens * (3 * filtered + 2 * mixed),  # the filter once more, for the mixture's gradient
    )
    tokens = 2 * 77
    assert counted(norm, norm_inputs(5, outputs=3)) == (2 * tokens * 15, 2 * tokens * 30)
    assert counted(norm, norm_inputs(5)) == (0, 0)
    taps = 2 * 2 * 24 * 9 * 5
    assert counted(conv_stem, image_and_weights((4, 6), 1, 5)) == (taps, taps)
