"""Promises of the Triton scan, kept in the interpreter; `tests/ops/test_triton.py` runs this file.

Chunks are 8 steps here instead of 128, groups of chunks 8 instead of 128: the interpreter takes
milliseconds for each step.
"""

import pytest
import torch

from lightm_unet.ops import selective_scan
from lightm_unet.ops.reference import scan_reference
from lightm_unet.ops.selective_scan import _scan
from scan_checks import (
    SMALL_GOLDEN_SCANS,
    assert_agrees_with_mamba_ssm,
    assert_close,
    random_inputs,
    read_golden_scan,
)

pytestmark = pytest.mark.usefixtures("nan_in_fresh_memory")
CHUNK = 8


@pytest.fixture(autouse=True)
def _short_chunks(monkeypatch):
    from lightm_unet.ops import triton_combine, triton_scan, triton_scan_backward

    monkeypatch.setattr(triton_scan, "STATE_INTERVAL", CHUNK)
    monkeypatch.setattr(triton_scan, "UNROLL", 4)
    monkeypatch.setattr(triton_combine, "GROUP", 8)
    monkeypatch.setattr(triton_combine, "AHEAD", 4)
    monkeypatch.setattr(triton_scan_backward, "BLOCK_C", 4)


def assert_as_defined(inputs, softplus=True, tolerance=(5e-6, 5e-5)):
    """Relative L2 error of the output, and of every gradient, against the definition in float64."""
    exact = [None if t is None else t.detach().double().requires_grad_() for t in inputs]
    expected = scan_reference(*exact, softplus)
    actual = selective_scan(*inputs, softplus, backend="triton")
    grad = torch.linspace(-1, 1, expected.numel(), dtype=torch.float64).reshape(expected.shape)
    given, wanted = ([t for t in tensors if t is not None] for tensors in (inputs, exact))
    assert actual.dtype == inputs[0].dtype
    assert_close(actual, expected, tolerance[0])
    got = torch.autograd.grad(actual, given, grad.to(actual))
    for tensor, g, w in zip(
        given, got, torch.autograd.grad(expected, wanted, grad.to(actual).double()), strict=True
    ):
        assert g.dtype == tensor.dtype
        assert_close(g, w, tolerance[1])


@pytest.mark.parametrize("length", [1, 7, CHUNK - 1, CHUNK, CHUNK + 1, 8 * CHUNK + 3])
def test_lengths_around_chunks_and_groups_of_chunks_match_the_definition(length):
    assert_as_defined(random_inputs(2 if length < 9 else 1, length, 3, 2))


@pytest.mark.parametrize(("channels", "state"), [(1, 1), (4, 4), (5, 3), (9, 16)])
@pytest.mark.parametrize("full", [True, False])
def test_channels_and_states_that_fill_no_block_match_the_definition(channels, state, full):
    inputs = random_inputs(1, CHUNK + 3, channels, state, full=full)
    if not full:  # then there is no softplus that keeps the steps positive
        inputs[1] = inputs[1].detach().abs().requires_grad_()
    assert_as_defined(inputs, softplus=full)


def test_chunks_with_several_channel_blocks_in_one_program_match_the_definition(monkeypatch):
    from lightm_unet.ops import triton_scan_backward

    monkeypatch.setattr(triton_scan_backward, "PROGRAMS_PER_PROCESSOR", 1)  # 4 for 2 x 2 chunks
    assert triton_scan_backward._shares(torch.device("cpu"), 4, 11) == (4, 1)  # 3 blocks, 1 group
    assert_as_defined(random_inputs(2, CHUNK + 1, 11, 3))


def test_maps_that_are_slices_of_one_projection_are_read_in_place():
    inputs = random_inputs(2, CHUNK + 2, 5, 3)
    wide = torch.randn(2, CHUNK + 2, 2 + 3 + 3, generator=torch.Generator().manual_seed(1))
    _, inputs[3], inputs[4] = wide.requires_grad_().split((2, 3, 3), dim=-1)
    assert_as_defined(inputs)


def test_a_strided_last_axis_and_an_expanded_gradient_are_accepted():
    inputs = random_inputs(1, 6, 10, 2, full=False)
    inputs[0] = inputs[0].detach().reshape(1, 10, 6).transpose(1, 2).requires_grad_()
    exact = [t if t is None else t.detach().clone().requires_grad_() for t in inputs]
    selective_scan(*inputs, backend="triton").sum().backward()
    scan_reference(*exact).sum().backward()
    assert_close(inputs[0].grad, exact[0].grad, 5e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_read_and_written_and_nothing_more(dtype):
    inputs = random_inputs(1, CHUNK + 3, 5, 3, dtype=dtype)
    for i in (2, 5, 7):  # as under autocast: parameters stay float32
        inputs[i] = inputs[i].detach().float().requires_grad_()
    rounding = torch.finfo(dtype).eps
    assert_as_defined(inputs, tolerance=(rounding, rounding))


def test_a_running_sum_goes_on_where_half_precision_would_stop():
    # Beyond 256 bfloat16 cannot add 1 any more.
    ones = torch.ones(1, 20, 1, dtype=torch.bfloat16)
    out = selective_scan(ones, 100 * ones, torch.zeros(1, 1), ones, ones, backend="triton")
    assert out.flatten().tolist()[:3] == [100, 200, 300]
    assert out[0, -1, 0].item() == 2000


def test_tiny_steps_keep_their_relative_precision():
    # softplus(-18) is 1.5e-8, which 1 + e in float32 has no room for.
    inputs = random_inputs(1, 9, 2, 2, full=False)
    inputs[1] = (inputs[1].detach() - 18).requires_grad_()
    assert_as_defined(inputs)


def test_large_steps_match_the_definition():
    inputs = random_inputs(1, 9, 2, 2, full=False)
    inputs[1] = (30 * inputs[1].detach() + 40).requires_grad_()
    assert_as_defined(inputs)


def test_huge_steps_forget_everything_and_stay_finite():
    # delta A = -1000: exp is 0, so y_t = delta u B C of this step alone.
    u, B = torch.ones(1, 20, 3, requires_grad=True), torch.ones(1, 20, 16)
    out = selective_scan(u, 1000 * u.detach(), -torch.ones(3, 16), B, B, backend="triton")
    torch.testing.assert_close(out, torch.full((1, 20, 3), 16_000.0))
    out.sum().backward()
    torch.testing.assert_close(u.grad, torch.full((1, 20, 3), 16_000.0))


def test_a_nan_reaches_its_own_channel_from_there_on_and_no_other():
    u, B = torch.ones(1, 20, 3), torch.ones(1, 20, 2)
    delta = 0.1 * torch.ones(1, 20, 3)
    delta[0, 11, 1] = float("nan")
    out = selective_scan(u, delta, -torch.ones(3, 2), B, B, delta_softplus=True, backend="triton")
    assert out[:, :11].isfinite().all()
    assert out[:, 11:, 1].isnan().all()
    assert out[:, :, [0, 2]].isfinite().all()


@pytest.mark.parametrize("full", [True, False])
def test_the_op_is_registered_correctly(full):
    torch.use_deterministic_algorithms(False)  # opcheck compares runs; NaN is not equal to NaN
    inputs = random_inputs(1, CHUNK + 1, 2, 2, full=full)
    utilities = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(_scan, (*inputs, True, True, "triton"), test_utils=utilities)


@pytest.mark.parametrize("path", SMALL_GOLDEN_SCANS)
def test_it_agrees_with_mamba_ssm_in_output_and_all_gradients(path, monkeypatch):
    from lightm_unet.ops import triton_scan_backward

    monkeypatch.setattr(triton_scan_backward, "BLOCK_C", 32)
    golden, softplus = read_golden_scan(path)
    assert_agrees_with_mamba_ssm(golden, softplus, "triton")
