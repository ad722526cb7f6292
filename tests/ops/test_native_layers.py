"""The native RVM layer against the layer composed of torch's own modules."""

import math
import os
import signal
import subprocess
import sys
import threading

import pytest
import torch

from composed import composed
from lightm_unet.networks.lightm_unet import (
    STEMS,
    ConvNormStem,
    DecoderBlock,
    Head,
    LightMUNet,
    NormHead,
)
from lightm_unet.networks.rvm import RVMLayer
from lightm_unet.ops import backends
from lightm_unet.ops.memory import release_memory
from lightm_unet.ops.native_layers import RVM_WEIGHTS, runs_natively, rvm_layer

pytestmark = pytest.mark.skipif(
    not backends()[0].available, reason="the native kernels were not built"
)
OPTIONS = {"expand": 2, "d_state": 16, "conv": "causal", "d_conv": 4, "directions": 1}


def random_layer(channels, out_channels, **options):
    torch.manual_seed(0)
    layer = RVMLayer(3, channels, out_channels, **{**OPTIONS, **options})
    with torch.no_grad():  # no parameter is left at 0 or 1, where a mistake would not show
        for parameter in layer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return layer


def random_tokens(batch, length, channels):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, length, channels, generator=generator)


def assert_native_equals_composed(layer, tokens):
    expected = composed(layer, tokens, (1, 1, tokens.shape[1]))
    weights = layer._native_weights()
    with torch.no_grad():
        assert runs_natively(tokens, *weights.values())
        native = rvm_layer(tokens, weights, layer.norm.eps, [])
    difference = native - expected
    assert difference.norm() <= 2e-6 * expected.norm()
    assert difference.abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize(
    ("channels", "out_channels", "batch", "length"),
    [(32, 64, 2, 700), (64, 64, 1, 257), (128, 256, 3, 70), (256, 256, 1, 100), (5, 7, 2, 33)],
)
def test_it_equals_the_composed_layer_for_any_size_batch_and_threads(
    threads, count, channels, out_channels, batch, length
):
    threads(count)
    layer = random_layer(channels, out_channels)
    assert_native_equals_composed(layer, random_tokens(batch, length, channels))


@pytest.mark.parametrize("length", [1, 2, 3, 4, 31, 32, 128, 129])
def test_lengths_at_the_edges_of_convolution_and_tiles_are_right(threads, length):
    threads(2)
    assert_native_equals_composed(random_layer(32, 32), random_tokens(1, length, 32))


@pytest.mark.parametrize(
    "options",
    [
        {"d_state": 1},
        {"d_state": 21},
        {"expand": 1},
        {"expand": 3.3},
        {"d_conv": 1},
        {"d_conv": 80},
    ],
)
def test_it_takes_every_size_of_the_layer(threads, options):
    threads(2)
    assert_native_equals_composed(random_layer(20, 24, **options), random_tokens(2, 150, 20))


@pytest.mark.parametrize("grid", [None, (2, 40, 48)])
def test_threads_do_not_change_a_single_bit(threads, grid):
    layer, tokens = random_layer(24, 40), random_tokens(3, 3840, 24)
    with torch.no_grad():
        threads(1)
        expected = layer(tokens, grid or (1, 1, 3840), pool=grid is not None)
        for count in (2, 3, 7) * 5:
            threads(count)
            assert torch.equal(layer(tokens, grid or (1, 1, 3840), pool=grid is not None), expected)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("grid", [(6, 4, 10), (2, 2, 2), (4, 34, 8), (8, 6), (2, 64)])
@pytest.mark.parametrize("out_channels", [32, 7])
def test_pooling_behind_it_is_the_maximum_over_the_cells_of_the_grid(
    threads, count, grid, out_channels
):
    threads(count)
    layer, tokens = random_layer(8, out_channels), random_tokens(2, math.prod(grid), 8)
    expected = composed(layer, tokens, grid, True)
    with torch.no_grad():
        pooled = layer(tokens, grid, pool=True)
    assert pooled.shape == (2, math.prod(grid) // 2 ** len(grid), out_channels)
    torch.testing.assert_close(pooled, expected, rtol=1e-4, atol=1e-5)


def randomised(module, amount=0.2):
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(amount * torch.randn_like(parameter))
        for name, buffer in module.named_buffers():  # a norm's running statistics
            if name.endswith("running_mean"):
                buffer.add_(0.2 * torch.randn_like(buffer))
            if name.endswith("running_var"):
                buffer.mul_(0.5 + torch.rand_like(buffer))
    return module.eval()


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("grid", [(8, 6, 10), (2, 2, 2), (4, 36, 18), (8, 6), (2, 64), (40, 2)])
@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("channels", [32, 6])
def test_a_decoder_block_and_the_head_equal_their_composed_forms(
    threads, count, grid, factor, channels
):
    threads(count)
    low = random_tokens(2, math.prod(size // factor for size in grid), channels)
    skip = random_tokens(2, math.prod(grid), channels) + 1
    for stage in (
        DecoderBlock(len(grid), channels, channels // 2),
        DecoderBlock(len(grid), channels, channels // 2, "batch"),
        Head(len(grid), channels, 3),
        NormHead(len(grid), channels, 3, "batch"),
    ):
        randomised(stage)
        expected = composed(stage, low, skip, grid)
        with torch.no_grad():
            native = stage(low, skip, grid)
        torch.testing.assert_close(native, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", STEMS)
@pytest.mark.parametrize("grid", [(9, 14), (40, 33), (3, 5, 17), (1, 1)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("width", [20, 32, 5])
def test_stems_equal_their_composed_forms(form, grid, channels, width):
    stem = randomised(STEMS[form](len(grid), channels, width))
    image = torch.randn(2, channels, *grid, generator=torch.Generator().manual_seed(0))
    expected = composed(stem, image)
    with torch.no_grad():
        torch.testing.assert_close(stem(image), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("grid", [(9, 14), (40, 33), (3, 5, 17), (18, 35, 9), (1, 1), (1, 1, 2)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("width", [20, 32, 5])
def test_the_stem_with_norms_equals_its_composed_form(threads, grid, channels, width):
    stem = randomised(ConvNormStem(len(grid), channels, width, "batch"))
    image = torch.randn(2, channels, *grid, generator=torch.Generator().manual_seed(0))
    expected = composed(stem, image)
    for count in (1, 3):
        threads(count)
        with torch.no_grad():
            torch.testing.assert_close(stem(image), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "shape", [(1, 3, 37, 21), (3, 1, 17, 9, 12), (2, 1, 64, 64), (1, 1, 33, 20, 9), (2, 2, 1, 1)]
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stem": "conv-norm"},
        {"stem": "conv-norm", "head": "dwconv-norm", "expand": 1, "d_state": 8},
        {"stem": "conv", "head": "dwconv-norm", "width": 20},
    ],
)
def test_a_network_with_batch_norm_is_native_throughout(monkeypatch, threads, shape, options):
    from lightm_unet.networks import lightm_unet

    options = {"width": 8, **options}
    # Larger changes of the weights would make the network enlarge rounding errors, in both forms.
    network = LightMUNet(len(shape) - 2, shape[1], 3, norm="batch", **options)
    network = randomised(network, 0.02)
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    expected = composed(network, image)
    calls = []
    for name in ("stem", "conv_stem", "norm_stem", "decoder_stage"):
        op = getattr(lightm_unet, name)
        monkeypatch.setattr(lightm_unet, name, lambda *a, op=op: calls.append(1) or op(*a))
    with torch.no_grad():
        first = network(image)
        assert len(calls) == 5  # the stem, three decoder blocks, the head
        assert (first - expected).abs().max() <= 1e-5 * expected.abs().max()
        for count in (2, 3):
            threads(count)
            assert torch.equal(network(image), first)


def test_new_weights_statistics_and_modes_of_a_batch_norm_are_seen_at_once():
    options = {"width": 8, "norm": "batch", "stem": "conv-norm"}
    network = randomised(LightMUNet(2, 1, 2, **options), 0.02)
    other = randomised(LightMUNet(2, 1, 2, **options), 0.02)
    image = torch.randn(1, 1, 24, 24, generator=torch.Generator().manual_seed(0))

    def found():
        with torch.no_grad():
            return network(image)

    def assert_as_composed(different_from):
        state = {name: t.clone() for name, t in network.state_dict().items()}
        expected = composed(network, image)
        assert (found() - expected).abs().max() <= 1e-5 * expected.abs().max()
        network.load_state_dict(state)  # training mode has moved the statistics
        assert not torch.allclose(expected, different_from)
        return expected

    before = found()
    network.train()
    in_training = assert_as_composed(before)
    network(image)  # running statistics move
    network.eval()
    after = assert_as_composed(in_training)
    assert not torch.equal(after, before)
    network.decoder[0].norm.running_var.mul_(3)
    after = assert_as_composed(after)
    network.decoder[1].norm.bias.data.add_(1)
    after = assert_as_composed(after)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.1)
    network.load_state_dict(other.state_dict())
    after = assert_as_composed(after)
    network.stem.conv_norm.eps = 0.5
    after = assert_as_composed(after)
    network.decoder[2].norm.train()
    assert_as_composed(after)


def test_an_instance_norm_is_left_to_torch():
    network = randomised(LightMUNet(2, 1, 2, width=8, norm="instance", stem="conv-norm"))
    image = torch.randn(2, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    expected = composed(network, image)
    with torch.no_grad():
        assert (network(image) - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("shape", [(2, 3, 37, 21), (1, 1, 17, 9, 12), (2, 1, 64, 64)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stem": "conv"},
        {"stem": "dwconv-bias"},
        {"conv": "spatial"},
        {"directions": 4},
        {"expand": 1},
    ],
)
def test_a_whole_network_gives_the_same_with_and_without_native_layers(shape, options):
    torch.manual_seed(0)
    network = LightMUNet(len(shape) - 2, shape[1], 3, width=8, **options).eval()
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    expected = composed(network, image)
    with torch.no_grad():
        difference = network(image) - expected
    assert difference.abs().max() <= 1e-5 * expected.abs().max()


def test_a_nan_in_the_image_is_a_nan_in_the_logits():
    network = LightMUNet(2, 1, 2, width=8).eval()
    image = torch.zeros(1, 1, 32, 32)
    image[0, 0, 3, 3] = float("nan")
    with torch.no_grad():
        assert network(image).isnan().any()


def test_it_is_used_where_no_gradient_is_needed_and_not_where_one_is(monkeypatch):
    from lightm_unet.networks import rvm

    calls = []
    monkeypatch.setattr(rvm, "rvm_layer", lambda *a: calls.append(1) or rvm_layer(*a))
    layer, tokens = random_layer(8, 8), random_tokens(1, 10, 8)
    layer(tokens, (1, 1, 10))
    assert not calls
    with torch.inference_mode():
        layer(tokens, (1, 1, 10))
    assert calls == [1]


def test_it_leaves_what_it_cannot_do_to_the_composed_layer(monkeypatch):
    layer, tokens = random_layer(8, 8), random_tokens(1, 10, 8)
    weights = layer._native_weights()
    with torch.no_grad():
        assert runs_natively(tokens, *weights.values())
        assert not runs_natively(tokens.double(), *weights)
        assert not runs_natively(tokens.to("meta"), *weights)
        with torch.autocast("cpu", torch.bfloat16):
            assert not runs_natively(tokens, *weights.values())
        monkeypatch.setenv("LIGHTM_UNET_BACKEND", "torch")
        assert not runs_natively(tokens, *weights.values())
    assert not random_layer(8, 8, conv="spatial").is_streamable
    assert not random_layer(8, 8, directions=2).is_streamable


@pytest.mark.parametrize("count", [1, 2])
def test_several_threads_may_call_it_at_once(threads, count):
    threads(count)
    layer, tokens = random_layer(32, 32), random_tokens(1, 3000, 32)
    weights = {name: t.detach() for name, t in layer._native_weights().items()}
    expected = rvm_layer(tokens, weights, 1e-5, [])
    wrong = []

    def work():
        for _ in range(10):
            if not torch.allclose(rvm_layer(tokens, weights, 1e-5, []), expected, atol=1e-6):
                wrong.append(1)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers on this system")
def test_an_interrupt_at_any_moment_leaves_the_kernels_usable(threads):
    threads(2)
    network = LightMUNet(2, 1, 2).eval()
    image = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))

    def interrupt(*_):
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    interrupted = 0
    try:
        with torch.inference_mode():
            expected = network(image)
            for attempt in range(60):
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.0003 * (attempt + 1))
                    for _ in range(1000):
                        network(image)
                except KeyboardInterrupt:
                    interrupted += 1
                assert torch.equal(network(image), expected)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert interrupted == 60


def test_many_calls_keep_no_more_memory_than_a_few():
    resource = pytest.importorskip("resource")
    layer, tokens = random_layer(16, 16), random_tokens(1, 500, 16)
    weights = {name: t.detach() for name, t in layer._native_weights().items()}
    for _ in range(20):
        rvm_layer(tokens, weights, 1e-5, [])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(200):
        rvm_layer(tokens, weights, 1e-5, [])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096  # KiB
    release_memory()
    rvm_layer(tokens, weights, 1e-5, [])  # and it can go on


def test_it_is_registered_correctly_and_counted_like_the_composed_layer():
    from torch.utils.flop_counter import FlopCounterMode

    layer, tokens = random_layer(32, 64), random_tokens(2, 50, 32)
    weights = {name: t.detach() for name, t in layer._native_weights().items()}
    in_order = [weights[name] for name in RVM_WEIGHTS]
    torch.library.opcheck(torch.ops.lightm_unet.rvm_layer, (tokens, in_order, 1e-5, []))
    with FlopCounterMode(display=False) as native:
        rvm_layer(tokens, weights, 1e-5, [])
    with FlopCounterMode(display=False) as by_modules:
        layer(tokens, (1, 1, 50))
    assert native.get_total_flops() == by_modules.get_total_flops()


def test_stages_with_norms_are_registered_correctly_and_counted():
    from torch.utils.flop_counter import FlopCounterMode

    from lightm_unet.ops.native_layers import Stage, decoder_stage, norm_stem

    channels, taps = 8, 27
    stage = Stage(torch.randn(channels, taps), torch.randn(channels, channels), slope=0.01)
    stage = stage._replace(pointwise_bias=torch.randn(channels))
    image = torch.randn(2, 1, 4, 6, 8)
    conv, bias = torch.randn(channels, taps), torch.randn(channels)
    last = stage._replace(last=torch.randn(3, channels), last_bias=torch.randn(3))
    tokens = torch.randn(2, 4 * 6 * 8, channels)
    for op, arguments in (
        (
            torch.ops.lightm_unet.norm_stem,
            (image, conv, bias, stage.depthwise, stage.pointwise, stage.pointwise_bias, 0.01),
        ),
        (
            torch.ops.lightm_unet.decoder_stage,
            (
                *(tokens, tokens, [4, 6, 8], last.depthwise, None, last.pointwise),
                *(last.pointwise_bias, None, last.last, last.last_bias, 0.01),
            ),
        ),
    ):
        torch.library.opcheck(op, arguments)
    with FlopCounterMode(display=False) as counter:
        norm_stem(image, conv, bias, stage)
        decoder_stage(tokens, tokens, [4, 6, 8], last)
    macs = channels * taps + channels * taps + channels**2  # the stem
    macs += channels * taps + channels**2 + 3 * channels  # the head
    assert counter.get_total_flops() == 2 * 2 * 4 * 6 * 8 * macs


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["avx512", "avx2", "neon", "portable"])
def test_every_instruction_set_gives_the_same_scan_and_layer(isa):
    code = """
import os, sys, torch
from lightm_unet import _C, selective_scan
from lightm_unet.networks.rvm import RVMLayer
if _C.instruction_set() != sys.argv[1]:
    sys.exit(77)
torch.manual_seed(0)
layer = RVMLayer(2, 21, 40, expand=2, d_state=16, conv="causal", d_conv=4, directions=1)
tokens = torch.randn(2, 300, 21)
u, delta = torch.randn(2, 1, 90, 37).unbind()
A, B, C = -torch.rand(37, 19), *torch.randn(2, 1, 90, 19).unbind()
scanned = [t.requires_grad_() for t in (u, delta, A, B, C)]
def gradients(backend):
    out = selective_scan(*scanned, delta_softplus=True, backend=backend)
    return out, *torch.autograd.grad(out, scanned, torch.ones_like(out))
for got, want in zip(gradients("cpu"), gradients("torch")):
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
composed = layer(tokens, (1, 300)).detach()
with torch.no_grad():
    torch.testing.assert_close(layer(tokens, (1, 300)), composed, rtol=1e-5, atol=1e-5)
from lightm_unet import build_network
options = "norm=batch:stem=conv-norm:head=dwconv-norm:width=20"
network = build_network("lightm-unet:" + options, 3, 1, 3).eval()
image = torch.randn(2, 1, 9, 20, 13)
def step():
    network.zero_grad()
    out = network(image)
    out.square().sum().backward()
    return [out.detach(), *(p.grad for p in network.parameters())]
native = step()
with torch.no_grad():
    inferred = network(image)
os.environ["LIGHTM_UNET_BACKEND"] = "torch"
composed = step()
assert (inferred - composed[0]).abs().max() <= 1e-5 * composed[0].abs().max()
for got, want in zip(native, composed):
    assert (got - want).norm() <= 1e-3 * want.norm()
"""
    environment = {**os.environ, "LIGHTM_UNET_ISA": isa}
    done = subprocess.run(
        [sys.executable, "-c", code, isa], env=environment, capture_output=True, text=True
    )
    if done.returncode == 77:
        pytest.skip(f"this processor has no {isa}")
    assert done.returncode == 0, done.stderr
