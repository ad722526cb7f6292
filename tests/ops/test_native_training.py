"""The native RVM layer's gradients against those of the layer composed of torch's modules."""

import copy
import math
import os
import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from composed import composed_form
from lightm_unet.errors import UsageError
from lightm_unet.networks import rvm
from lightm_unet.networks.rvm import RVMLayer
from lightm_unet.ops import backends
from lightm_unet.ops.native_layers import RVM_WEIGHTS, trains_natively

pytestmark = pytest.mark.skipif(
    not backends()[0].available, reason="the native kernels were not built"
)
OPTIONS = {"expand": 2, "d_state": 16, "conv": "causal", "d_conv": 4, "directions": 1}


def random_layer(dims, channels, out_channels, **options):
    torch.manual_seed(0)
    layer = RVMLayer(dims, channels, out_channels, **{**OPTIONS, **options})
    with torch.no_grad():  # no parameter is left at 0 or 1, where a mistake would not show
        for parameter in layer.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return layer


def random_tokens(batch, grid, channels):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, math.prod(grid), channels, generator=generator)


def result_and_gradients(layer, tokens, grid, pool):
    """Of the tokens and of every parameter, by name, for a fixed gradient of the result."""
    tokens = tokens.clone().requires_grad_()
    out = layer(tokens, grid, pool)
    weights = dict(layer.named_parameters())
    grad = torch.randn(out.shape, generator=torch.Generator().manual_seed(2)).to(out.dtype)
    found = torch.autograd.grad(out, [tokens, *weights.values()], grad)
    return {"result": out.detach(), **dict(zip(["tokens", *weights], found, strict=True))}


def assert_equals_definition(layer, tokens, grid, pool=False):
    assert trains_natively(tokens, *layer.parameters())
    native = result_and_gradients(layer, tokens, grid, pool)
    with composed_form():
        exact = result_and_gradients(copy.deepcopy(layer).double(), tokens.double(), grid, pool)
    for name, expected in exact.items():
        difference = torch.linalg.vector_norm(native[name].double() - expected)
        assert difference <= 1e-4 * torch.linalg.vector_norm(expected), name


@pytest.mark.usefixtures("nan_in_fresh_memory")
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("pool", [False, True])
@pytest.mark.parametrize(
    ("grid", "channels", "out_channels", "batch"),
    [((30, 34), 32, 64, 2), ((4, 6, 10), 24, 40, 2), ((4, 2), 5, 7, 1), ((2, 66, 2), 17, 17, 2)],
)
def test_result_and_gradients_equal_the_definition(
    threads, count, pool, grid, channels, out_channels, batch
):
    threads(count)
    layer = random_layer(len(grid), channels, out_channels)
    assert_equals_definition(layer, random_tokens(batch, grid, channels), grid, pool)


@pytest.mark.parametrize("length", [1, 2, 3, 31, 32, 33, 64, 128, 129, 260])
def test_lengths_at_the_edges_of_convolution_and_tiles_are_right(threads, length):
    threads(2)
    assert_equals_definition(
        random_layer(2, 32, 32), random_tokens(2, (1, length), 32), (1, length)
    )


@pytest.mark.parametrize(
    "options",
    [
        {"d_state": 1},
        {"d_state": 8, "expand": 1},
        {"d_state": 22},
        {"expand": 0.5},
        {"expand": 3.3},
        {"d_conv": 1},
        {"d_conv": 80},
    ],
)
def test_it_takes_every_size_of_the_layer(threads, options):
    threads(2)
    grid = (10, 30)
    assert_equals_definition(
        random_layer(2, 20, 24, **options), random_tokens(2, grid, 20), grid, pool=True
    )


def test_decays_beyond_the_fast_exponentials_range_are_right():
    layer, grid = random_layer(2, 12, 12), (9, 20)
    with torch.no_grad():
        layer.vssm.ssm[0].A_log[:5] += 6  # some blocks of channels are visited state by state
        layer.vssm.ssm[0].dt_proj.bias += 2
    assert_equals_definition(layer, random_tokens(1, grid, 12), grid)


def test_of_equal_numbers_the_first_of_a_cell_gets_the_gradient():
    layer, grid = random_layer(2, 8, 8), (8, 8)
    with torch.no_grad():
        layer.projection.weight.zero_()  # every token's result is the bias
    assert_equals_definition(layer, random_tokens(1, grid, 8), grid, pool=True)


@pytest.mark.parametrize("pool", [False, True])
def test_threads_do_not_change_a_single_bit(threads, pool):
    layer, grid = random_layer(2, 24, 40), (40, 64)
    tokens = random_tokens(3, grid, 24)
    threads(1)
    expected = result_and_gradients(layer, tokens, grid, pool)
    for count in (2, 3, 4, 5, 7):
        threads(count)
        for name, found in result_and_gradients(layer, tokens, grid, pool).items():
            assert torch.equal(found, expected[name]), (count, name)


def test_it_is_used_where_a_gradient_is_wanted_and_the_layer_is_as_built(monkeypatch):
    calls = []
    train = rvm.rvm_layer_training
    monkeypatch.setattr(rvm, "rvm_layer_training", lambda *a: calls.append(1) or train(*a))
    layer, tokens = random_layer(2, 8, 8), random_tokens(1, (2, 5), 8)

    def uses_it():
        before = len(calls)
        layer(tokens, (2, 5))
        return len(calls) > before

    assert uses_it()
    with torch.no_grad():
        assert not uses_it()
    with torch.autocast("cpu", torch.bfloat16):
        assert not uses_it()
    with composed_form():
        assert not uses_it()
    hook = layer.projection.register_forward_hook(lambda *_: None)
    assert not uses_it()
    hook.remove()
    hook = layer.projection.register_full_backward_hook(lambda *_: None)
    assert not uses_it()
    hook.remove()
    monkeypatch.setenv("LIGHTM_UNET_BACKEND", "torch")
    assert not uses_it()
    monkeypatch.delenv("LIGHTM_UNET_BACKEND")
    layer.requires_grad_(False)
    assert not uses_it()
    tokens.requires_grad_()
    assert uses_it()


def test_frozen_weights_have_no_gradient_and_the_others_have_theirs():
    layer, grid = random_layer(2, 8, 8), (4, 6)
    tokens = random_tokens(1, grid, 8)
    expected = result_and_gradients(layer, tokens, grid, pool=True)
    layer.vssm.in_proj.weight.requires_grad_(False)
    layer(tokens, grid, True).backward(
        torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(2))
    )
    assert layer.vssm.in_proj.weight.grad is None
    assert torch.equal(layer.scale.grad, expected["scale"])


def test_tokens_need_not_be_dense(threads):
    layer, grid = random_layer(2, 8, 8), (4, 6)
    dense = random_tokens(2, grid, 8)
    sliced = dense.transpose(1, 2).contiguous().transpose(1, 2)
    assert not sliced.is_contiguous()
    expected = result_and_gradients(layer, dense, grid, pool=False)
    for name, found in result_and_gradients(layer, sliced, grid, pool=False).items():
        assert torch.equal(found, expected[name])


def test_nan_reaches_what_it_reaches_by_the_definition():
    layer, grid = random_layer(2, 8, 8), (4, 6)
    tokens = random_tokens(2, grid, 8)
    tokens[0, 5, 2] = math.nan
    found = result_and_gradients(layer, tokens, grid, pool=True)
    with composed_form():
        expected = result_and_gradients(layer, tokens, grid, pool=True)
    for name, values in expected.items():
        assert torch.equal(found[name].isnan(), values.isnan()), name
    assert not found["tokens"][1].isnan().any()


def test_a_second_derivative_is_refused():
    layer, tokens = random_layer(2, 8, 8), random_tokens(1, (4, 6), 8).requires_grad_()
    (first,) = torch.autograd.grad(layer(tokens, (4, 6)).sum(), tokens, create_graph=True)
    with pytest.raises(UsageError, match=r"no second derivative.*LIGHTM_UNET_BACKEND=torch"):
        first.square().sum().backward()


@pytest.mark.parametrize("pool", [False, True])
def test_it_is_registered_correctly_and_counted_like_the_composed_layer(pool):
    layer, grid = random_layer(2, 32, 64), (6, 10)
    tokens = random_tokens(2, grid, 32).requires_grad_()
    weights = layer._native_weights()
    torch.library.opcheck(
        torch.ops.lightm_unet.rvm_layer_training,
        (tokens, [weights[name] for name in RVM_WEIGHTS], 1e-5, list(grid) if pool else []),
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
    )
    with FlopCounterMode(display=False) as native:
        result_and_gradients(layer, tokens, grid, pool)
    with FlopCounterMode(display=False) as composed, composed_form():
        result_and_gradients(layer, tokens, grid, pool)
    assert native.get_total_flops() == composed.get_total_flops()


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["avx512", "avx2", "neon", "portable"])
def test_every_instruction_set_gives_the_gradients_of_the_definition(isa):
    code = """
import sys
from lightm_unet import _C
if _C.instruction_set() != sys.argv[1]:
    sys.exit(77)
from test_native_training import *
for channels, options in ((21, {}), (24, {"expand": 1, "d_state": 8}), (64, {})):
    for pool in (False, True):
        layer = random_layer(3, channels, 40, **options)
        assert_equals_definition(layer, random_tokens(2, (4, 6, 14), channels), (4, 6, 14), pool)
"""
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    environment = {**os.environ, "LIGHTM_UNET_ISA": isa, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", code, isa], env=environment, capture_output=True, text=True
    )
    if done.returncode == 77:
        pytest.skip(f"this processor has no {isa}")
    assert done.returncode == 0, done.stderr
