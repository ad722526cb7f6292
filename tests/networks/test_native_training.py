"""The parts of the network around its RVM layers train natively as their modules would."""

import contextlib
import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from composed import composed_form, in_double
from lightm_unet.errors import UsageError
from lightm_unet.networks import lightm_unet
from lightm_unet.networks.lightm_unet import (
    STEMS,
    ConvNormStem,
    DecoderBlock,
    Head,
    LightMUNet,
    NormHead,
)
from lightm_unet.ops import backends

pytestmark = pytest.mark.skipif(
    not backends()[0].available, reason="the native kernels were not built"
)
OPS = ("mix_stage", "norm_stage", "conv_stem")
TINY = {"width": 6, "encoder_layers": (1, 1), "bottleneck_layers": 1}


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


def randomised(module, amount=0.3):
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(amount * torch.randn_like(parameter))
        for name, buffer in module.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.add_(torch.rand_like(buffer))
    return module


@pytest.fixture
def native_calls(monkeypatch):
    """The names of the ops that train natively, as they are used."""
    calls = []
    for name in OPS:
        op = getattr(lightm_unet, name)
        counted = lambda *a, op=op, name=name: calls.append(name) or op(*a)  # noqa: E731
        monkeypatch.setattr(lightm_unet, name, counted)
    return calls


def trained(module, inputs, *others):
    """Everything that a step leaves: the result, the gradients, the buffers."""
    inputs = [t.detach().clone().requires_grad_(t.requires_grad) for t in inputs]
    result = module(*inputs, *others)
    result.backward(random(*result.shape, seed=1).to(result.dtype))
    left = {"result": result.detach()}
    left |= {f"input {i}": t.grad for i, t in enumerate(inputs) if t.requires_grad}
    left |= {name: p.grad for name, p in module.named_parameters()}
    return left | dict(module.named_buffers())


def assert_trains_right(module, inputs, *others):
    doubled = [t.detach().double().requires_grad_(t.requires_grad) for t in inputs]
    expected = trained(in_double(module), doubled, *others)
    found = trained(module, inputs, *others)
    assert_near(found, expected)


def assert_near(found, expected):
    """Each is right by itself; one that nearly cancels is as exact as the largest of them."""
    assert found.keys() == expected.keys()
    largest = max(want.double().norm() for want in expected.values() if want is not None)
    for name, want in expected.items():
        if want is None:
            assert found[name] is None, name
        else:
            error = (found[name].double() - want.double()).norm()
            assert error <= 1e-4 * want.double().norm() + 1e-6 * largest, name


def tokens_on(grid, factor, channels, batch=2):
    low = random(batch, math.prod(size // factor for size in grid), channels)
    skip = random(batch, math.prod(grid), channels) + 0.5
    return [low.requires_grad_(), skip.requires_grad_()]


def stages(dims, channels):
    """Each kind of stage behind the RVM layers, in training and with norms that are frozen."""
    for norm, frozen in (("none", False), ("batch", False), ("batch", True)):
        block = randomised(DecoderBlock(dims, channels, max(channels // 2, 1), norm))
        yield block.eval() if frozen else block
    yield randomised(Head(dims, channels, 3))
    for frozen in (False, True):
        head = randomised(NormHead(dims, channels, 3, "batch"))
        yield head.eval() if frozen else head


@pytest.mark.parametrize("channels", [3, 17, 32])
@pytest.mark.parametrize(
    ("grid", "factor"), [((7, 5), 1), ((6, 10), 2), ((3, 7, 5), 1), ((4, 6, 10), 2)]
)
def test_blocks_and_heads_train_as_their_modules_in_float64(native_calls, channels, grid, factor):
    for stage in stages(len(grid), channels):
        native_calls.clear()
        assert_trains_right(stage, tokens_on(grid, factor, channels), list(grid))
        assert native_calls == ["mix_stage", "norm_stage"][: 1 if type(stage) is Head else 2]


@pytest.mark.parametrize("form", [*STEMS, "conv-norm", "conv-norm, frozen"])
@pytest.mark.parametrize("grid", [(7, 5), (40, 33), (3, 5, 17), (18, 7, 5)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("width", [5, 32])
def test_stems_train_as_their_modules_in_float64(native_calls, form, grid, channels, width):
    if form in STEMS:
        stem = STEMS[form](len(grid), channels, width)
    else:
        stem = ConvNormStem(len(grid), channels, width, "batch").train(form == "conv-norm")
    assert_trains_right(randomised(stem), [random(2, channels, *grid)])
    calls = ["conv_stem", "norm_stage", "mix_stage", "norm_stage"]
    assert native_calls == calls[: 1 if form == "conv" else 2 if form in STEMS else 4]


def test_a_stem_without_a_norm_keeps_the_direction_of_its_tokens():
    """Each is a multiple of the mixture's weights, however small: a LayerNorm may follow."""
    stem = STEMS["dwconv"](2, 1, 16)
    tokens = stem(1e-3 * random(1, 1, 32, 32)).detach()
    weights = stem.pointwise.weight.flatten()
    share = tokens @ weights / (weights @ weights)
    off = torch.linalg.vector_norm(tokens - share[..., None] * weights, dim=-1)
    assert (off <= 1e-6 * torch.linalg.vector_norm(tokens, dim=-1)).all()


OPTIONS = [
    {},
    {"stem": "conv", "checkpoint_layers": True},
    {"stem": "dwconv-bias", "norm": "batch"},
    {"stem": "conv-norm", "norm": "batch", "head": "dwconv-norm"},
    {"stem": "conv-norm", "norm": "instance", "head": "dwconv-norm"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("shape", [(2, 3, 13, 21), (1, 1, 9, 12, 7)])
def test_a_whole_network_trains_the_same_composed_and_natively(options, shape, native_calls):
    network = randomised(LightMUNet(len(shape) - 2, shape[1], 3, **TINY, **options), 0.02)
    other = copy.deepcopy(network)
    with composed_form():
        expected = trained(other, [random(*shape)])
    assert not native_calls
    found = trained(network, [random(*shape)])
    assert native_calls or options.get("norm") == "instance"
    assert_near(found, expected)


@pytest.mark.parametrize("momentum", [0.1, 1.0, None])
def test_running_statistics_follow_the_batches_as_torch_s_do(momentum):
    ours = NormHead(2, 6, 2, "batch")
    ours.norm.momentum = momentum
    theirs = copy.deepcopy(ours)
    for step in range(4):
        low, skip = tokens_on((4, 6), 2, 6)
        ours(low + step, skip, (4, 6))
        with composed_form():
            theirs(low + step, skip, (4, 6))
        assert ours.norm.num_batches_tracked == step + 1
        for name, want in theirs.norm.named_buffers():
            torch.testing.assert_close(ours.norm.get_buffer(name), want, rtol=1e-6, atol=1e-6)
    with torch.no_grad():  # and inference takes them
        torch.testing.assert_close(
            ours.eval()(low, skip, (4, 6)), theirs.eval()(low, skip, (4, 6)), rtol=1e-5, atol=1e-5
        )


def test_no_gradient_moves_no_statistics_of_a_frozen_norm():
    block = DecoderBlock(2, 6, 3, "batch").eval()
    before = copy.deepcopy(block.state_dict())
    block(*tokens_on((4, 6), 2, 6), (4, 6)).sum().backward()
    assert all(torch.equal(t, before[name]) for name, t in block.state_dict().items())


def test_one_number_of_a_channel_has_no_variance_as_torch_says():
    block = DecoderBlock(2, 6, 3, "batch")
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        block(*tokens_on((1, 1), 1, 6, batch=1), (1, 1))


def as_hook(block):
    block.dwconv.pointwise.register_forward_hook(lambda module, inputs, output: 2 * output)


def as_subclass(block):
    block.dwconv.depthwise.__class__ = type("Other", (nn.Conv2d,), {})


def as_another_module(block):
    block.halve = nn.Sequential(block.halve)


def as_a_norm_without_statistics(block):
    block.norm = nn.BatchNorm2d(6, track_running_stats=False)


def as_instance_norm(block):
    block.norm = nn.InstanceNorm2d(6, affine=True)


def as_half_frozen(block):
    block.norm.train(False)
    block.norm.register_forward_pre_hook(lambda module, inputs: None)


@pytest.mark.parametrize(
    "change",
    [
        as_hook,
        as_subclass,
        as_another_module,
        as_a_norm_without_statistics,
        as_instance_norm,
        as_half_frozen,
    ],
)
def test_what_is_not_as_it_was_built_is_called_in_training_too(change, native_calls):
    block = randomised(DecoderBlock(2, 6, 3, "batch"))
    change(block)
    assert_trains_right(block, tokens_on((4, 6), 2, 6), (4, 6))
    assert not native_calls


def test_one_frozen_norm_of_two_leaves_the_stem_to_torch(native_calls):
    for frozen in ("conv_norm", "dwconv_norm"):
        stem = randomised(ConvNormStem(2, 1, 5, "batch"))
        stem.get_submodule(frozen).eval()
        assert_trains_right(stem, [random(2, 1, 7, 5)])
    assert not native_calls


def test_an_image_that_asks_for_a_gradient_gets_it_from_torch(native_calls):
    for form in STEMS:
        stem = randomised(STEMS[form](2, 1, 5))
        assert_trains_right(stem, [random(2, 1, 7, 5).requires_grad_()])
    assert_trains_right(ConvNormStem(2, 1, 5, "batch"), [random(2, 1, 7, 5).requires_grad_()])
    assert not native_calls


def test_autocast_and_function_transforms_get_the_single_operations(native_calls):
    block = randomised(DecoderBlock(2, 6, 3))
    low, skip = tokens_on((4, 6), 2, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert block(low, skip, (4, 6)).dtype == torch.bfloat16

    def loss(parameters):
        return torch.func.functional_call(block, parameters, (low, skip, (4, 6))).square().sum()

    gradients = torch.func.grad(loss)(dict(block.named_parameters()))
    assert not native_calls
    block(low, skip, (4, 6)).square().sum().backward()
    assert native_calls
    for name, parameter in block.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-4, atol=1e-4)


def test_frozen_weights_get_no_gradient(native_calls):
    block = randomised(DecoderBlock(2, 6, 3, "batch"))
    for parameter in block.parameters():
        parameter.requires_grad_(False)
    inputs = tokens_on((4, 6), 2, 6)
    assert_trains_right(block, inputs, (4, 6))  # the inputs' gradients alone
    block.halve.weight.requires_grad_(True)
    assert_trains_right(block, [t.detach() for t in inputs], (4, 6))
    assert len(native_calls) == 4


def test_a_second_derivative_is_refused_and_composed_has_it(monkeypatch):
    block = randomised(DecoderBlock(2, 6, 3))

    def penalty():
        low, skip = tokens_on((4, 6), 2, 6)
        out = block(low, skip, (4, 6)).square().sum()
        return torch.autograd.grad(out, skip, create_graph=True)[0].square().sum()

    with pytest.raises(Exception, match="LIGHTM_UNET_BACKEND=torch"):
        penalty().backward()
    monkeypatch.setenv("LIGHTM_UNET_BACKEND", "torch")
    penalty().backward()
    assert block.scale.grad.abs().max() > 0


def test_steps_of_an_optimizer_lead_to_the_same_weights_composed_and_natively():
    options = {"stem": "conv-norm", "norm": "batch", "head": "dwconv-norm"}
    native = LightMUNet(2, 1, 2, **TINY, **options)
    other = copy.deepcopy(native)

    def train(network):
        optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
        for step in range(5):
            loss = F.cross_entropy(
                network(random(2, 1, 16, 12, seed=step)),
                (random(2, 16, 12, seed=100 + step) > 0).long(),
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return network.state_dict()

    found = train(native)
    with composed_form():
        expected = train(other)
    for name, want in expected.items():
        torch.testing.assert_close(found[name], want, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"norm": "batch", "stem": "conv-norm"}])
def test_a_default_type_or_device_of_the_program_changes_nothing(options):
    network = LightMUNet(2, 1, 2, width=8, **options)
    image = random(2, 1, 16, 16)
    expected = network(image).detach()
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(network(image), expected)
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.device("meta"):
        assert torch.equal(network(image), expected)


def test_an_empty_batch_is_left_to_the_modules():
    """Of a part called by itself; a network refuses it."""
    network = LightMUNet(2, 1, 2, width=8)
    parts = (
        (network.decoder[0], (torch.zeros(0, 4, 64), torch.zeros(0, 16, 64), (4, 4))),
        (
            network.head,
            (torch.zeros(0, 4, 8), torch.zeros(0, 16, 8), (4, 4)),
        ),
    )
    for part, inputs in parts:
        assert part(*inputs).shape[0] == 0
        with torch.no_grad():
            assert part(*inputs).shape[0] == 0
    with pytest.raises(UsageError, match="non-empty"):
        network.encoder[0][0](torch.zeros(0, 64, 8), (8, 8), True)


def test_the_gradient_of_nan_goes_where_it_does_in_torch():
    block = DecoderBlock(2, 8, 4)
    skip = random(1, 16, 8)
    skip[0, 3, 2] = math.nan
    found = []
    for form in (contextlib.nullcontext(), composed_form()):
        inputs = skip.clone().requires_grad_()
        with form:
            block(torch.zeros(1, 16, 8), inputs, (4, 4)).sum().backward()
        found.append(inputs.grad)
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5, equal_nan=True)
