"""The scan against its definition, against golden values, and against its own promises."""

import pytest
import torch

from lightm_unet.errors import MissingPartError, UsageError
from lightm_unet.ops import backends, selective_scan
from lightm_unet.ops.dispatch import native
from lightm_unet.ops.reference import scan_reference
from lightm_unet.ops.selective_scan import _scan
from scan_checks import (
    GOLDEN_SCANS,
    assert_agrees_with_mamba_ssm,
    assert_close,
    random_inputs,
    read_golden_scan,
)

pytestmark = pytest.mark.usefixtures("nan_in_fresh_memory")
AVAILABLE = [b.name for b in backends() if b.available]
FAST = [name for name in AVAILABLE if name != "reference"]


def assert_same_output_and_gradients(actual, actual_inputs, expected, expected_inputs):
    """Relative L2 error below 5e-6 in the output; in the gradients, of long sums, below 5e-5."""
    grad = torch.linspace(-1, 1, expected.numel(), dtype=torch.float64).reshape(expected.shape)
    assert_close(actual, expected, 5e-6)
    got = torch.autograd.grad(actual, [t for t in actual_inputs if t is not None], grad.to(actual))
    want = torch.autograd.grad(
        expected, [t for t in expected_inputs if t is not None], grad.to(expected)
    )
    for g, w in zip(got, want, strict=True):
        assert_close(g, w, 5e-5)


@pytest.mark.parametrize("path", GOLDEN_SCANS)
@pytest.mark.parametrize("backend", AVAILABLE)
def test_every_backend_agrees_with_mamba_ssm_in_output_and_all_gradients(path, backend):
    golden, softplus = read_golden_scan(path)
    assert_agrees_with_mamba_ssm(golden, softplus, backend)


@pytest.mark.parametrize("length", [1, 7, 32, 33, 257, 600])
@pytest.mark.parametrize("backend", FAST)
def test_lengths_around_every_chunk_match_the_definition(length, backend):
    fast = random_inputs(2, length, 5, 16)
    exact = random_inputs(2, length, 5, 16, torch.float64)
    assert_same_output_and_gradients(
        selective_scan(*fast, delta_softplus=True, backend=backend),
        fast,
        scan_reference(*exact, delta_softplus=True),
        exact,
    )


@pytest.mark.parametrize(("channels", "state"), [(1, 1), (16, 8), (17, 3), (40, 21), (33, 16)])
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("backend", FAST)
def test_channels_and_states_that_fill_no_vector_match_the_definition(
    channels, state, full, backend
):
    fast = random_inputs(1, 70, channels, state, full=full)
    exact = random_inputs(1, 70, channels, state, torch.float64, full=full)
    assert_same_output_and_gradients(
        selective_scan(*fast, delta_softplus=True, backend=backend),
        fast,
        scan_reference(*exact, delta_softplus=True),
        exact,
    )


def assert_matches_the_definition(backend, inputs):
    """`inputs(dtype)` are those of a scan with softplus."""
    fast, exact = inputs(torch.float32), inputs(torch.float64)
    assert_same_output_and_gradients(
        selective_scan(*fast, delta_softplus=True, backend=backend),
        fast,
        scan_reference(*exact, delta_softplus=True),
        exact,
    )


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("fastest", [-20.0, -1.0])
@pytest.mark.parametrize("backend", FAST)
def test_short_steps_with_a_long_one_among_them_match_the_definition(backend, fastest, full):
    def inputs(dtype):
        u, delta, _, *rest = random_inputs(1, 200, 9, 16, dtype, full=full)
        delta = delta.detach() * 0.5 - 4
        delta[:, 90] = 3.0
        A = torch.linspace(-0.01, fastest, 16, dtype=dtype).repeat(9, 1)
        return [u, delta.requires_grad_(), A.requires_grad_(), *rest]

    assert_matches_the_definition(backend, inputs)


@pytest.mark.parametrize("backend", FAST)
def test_states_that_grow_match_the_definition(backend):
    def inputs(dtype):
        u, delta, _, *rest = random_inputs(1, 8, 9, 16, dtype, full=False)
        A = torch.linspace(0.05, 0.3, 16, dtype=dtype).repeat(9, 1)
        return [u, (delta.detach() * 0.3).requires_grad_(), A.requires_grad_(), *rest]

    assert_matches_the_definition(backend, inputs)


@pytest.mark.parametrize("backend", FAST)
def test_slices_of_wider_rows_are_read_in_place(backend):
    wide = torch.randn(2, 40, 3 * 8, generator=torch.Generator().manual_seed(0))
    u, delta, z = wide.split(8, dim=-1)
    maps = torch.randn(2, 40, 2 * 4, generator=torch.Generator().manual_seed(1))
    B, C = maps.split(4, dim=-1)
    A = -torch.rand(8, 4, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        selective_scan(u, delta, A, B, C, z=z, delta_softplus=True, backend=backend),
        scan_reference(u, delta, A, B, C, z=z, delta_softplus=True),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("backend", FAST)
def test_channels_last_slices_with_a_strided_last_axis_are_accepted(backend):
    u = torch.randn(1, 6, 20, generator=torch.Generator().manual_seed(0)).transpose(1, 2)
    A, B = -torch.ones(6, 2), torch.ones(1, 20, 2)
    torch.testing.assert_close(
        selective_scan(u, u.abs(), A, B, B, backend=backend),
        scan_reference(u, u.abs(), A, B, B),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("backend", FAST)
def test_huge_steps_forget_everything_and_stay_finite(backend):
    # delta A = -1000: exp is 0, so y_t = delta u B C of this step alone.
    u, B = torch.ones(1, 50, 3), torch.ones(1, 50, 16)
    out = selective_scan(u, 1000 * u, -torch.ones(3, 16), B, B, backend=backend)
    torch.testing.assert_close(out, torch.full((1, 50, 3), 16_000.0))


@pytest.mark.parametrize("backend", FAST)
def test_a_nan_reaches_its_own_channel_from_there_on_and_no_other(backend):
    u, B = torch.ones(1, 50, 3), torch.ones(1, 50, 16)
    delta = 0.1 * torch.ones(1, 50, 3)
    delta[0, 20, 1] = float("nan")
    out = selective_scan(u, delta, -torch.ones(3, 16), B, B, backend=backend)
    assert out[:, :20].isfinite().all()
    assert out[:, 20:, 1].isnan().all()
    assert out[:, :, [0, 2]].isfinite().all()


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("backend", FAST)
def test_the_number_of_threads_does_not_change_the_result(threads, backend, count):
    inputs = random_inputs(1, 100, 50, 16)
    threads(1)
    expected = selective_scan(*inputs, delta_softplus=True, backend=backend)
    threads(count)
    actual = selective_scan(*inputs, delta_softplus=True, backend=backend)
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("backend", FAST)
def test_half_precision_inputs_are_computed_in_float32(backend, dtype):
    # A running sum of 4096 ones: beyond 2048 float16 cannot add 1 any more, beyond 256 bfloat16.
    ones = torch.ones(1, 4096, 1, dtype=dtype)
    out = selective_scan(ones, ones, torch.zeros(1, 1), ones, ones, backend=backend)
    assert out.dtype == dtype
    assert out[0, -1, 0].item() == 4096


def test_gradcheck_passes_in_float64():
    inputs = random_inputs(2, 9, 3, 4, torch.float64)
    assert torch.autograd.gradcheck(
        lambda *tensors: selective_scan(*tensors, delta_softplus=True, backend="torch"), inputs
    )


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("full", [True, False])
def test_the_op_is_registered_correctly(backend, full):
    torch.use_deterministic_algorithms(False)  # opcheck compares runs; NaN is not equal to NaN
    inputs = random_inputs(2, 40, 5, 4, full=full)
    torch.library.opcheck(_scan, (*inputs, True, True, backend))


@pytest.mark.parametrize("backend", FAST)
def test_compiled_code_gives_the_same_result(backend):
    inputs = random_inputs(1, 40, 16, 4)
    compiled = torch.compile(
        lambda *tensors: selective_scan(*tensors, delta_softplus=True, backend=backend) * 2,
        backend="aot_eager",
    )
    torch.testing.assert_close(
        compiled(*inputs), selective_scan(*inputs, delta_softplus=True, backend=backend) * 2
    )


def test_flops_are_nine_per_state_and_two_per_channel_at_each_step():
    from torch.utils.flop_counter import FlopCounterMode

    inputs = [t.detach() for t in random_inputs(2, 10, 5, 16) if t is not None]
    with FlopCounterMode(display=False) as counter:
        selective_scan(*inputs)
    assert counter.get_total_flops() == 2 * 10 * 5 * (9 * 16 + 2)


def test_a_wrong_shape_is_named_with_the_shape_that_was_expected():
    u, A, B = torch.ones(1, 5, 2), torch.ones(2, 4), torch.ones(1, 5, 4)
    with pytest.raises(UsageError, match=r"C needs shape \(1, 5, 4\).*got \(1, 5, 3\)"):
        selective_scan(u, u, A, B, torch.ones(1, 5, 3))
    with pytest.raises(UsageError, match="non-empty u"):
        selective_scan(u[:, :0], u[:, :0], A, B[:, :0], B[:, :0])


def test_an_unknown_backend_lists_the_known_ones():
    u, A, B = torch.ones(1, 5, 2), torch.ones(2, 4), torch.ones(1, 5, 4)
    with pytest.raises(UsageError, match="backend must be one of cpu, triton, torch, reference"):
        selective_scan(u, u, A, B, B, backend="cuda")


def test_a_missing_backend_asked_for_by_name_is_an_error_with_the_fix(monkeypatch):
    from lightm_unet.ops import dispatch

    monkeypatch.setattr(dispatch, "native", None)
    monkeypatch.setattr(dispatch, "_why_no_native", "no module named _C", raising=False)
    u, A, B = torch.ones(1, 5, 2), torch.ones(2, 4), torch.ones(1, 5, 4)
    with pytest.raises(MissingPartError, match=r"C\+\+17 compiler"):
        selective_scan(u, u, A, B, B, backend="cpu")
    assert "no module named _C" in dispatch.backends()[0].detail
    selective_scan(u, u, A, B, B)  # without a request there is still a way


def test_the_environment_variable_chooses_a_backend(monkeypatch):
    monkeypatch.setenv("LIGHTM_UNET_BACKEND", "nonsense")
    u, A, B = torch.ones(1, 5, 2), torch.ones(2, 4), torch.ones(1, 5, 4)
    with pytest.raises(UsageError, match="nonsense"):
        selective_scan(u, u, A, B, B)


@pytest.mark.skipif(native is None, reason="the extension is not built")
@pytest.mark.parametrize("shift", [-9.0, -3.0, 2.0])  # of delta: long memory, usual, short
@pytest.mark.parametrize("count", [2, 5])
def test_more_threads_than_blocks_of_channels_cut_the_length_without_changing_the_result(
    threads, count, shift
):
    generator = torch.Generator().manual_seed(0)
    u, delta, z = (torch.randn(1, 1500, 5, generator=generator) for _ in range(3))
    B, C = (torch.randn(1, 1500, 16, generator=generator) for _ in range(2))
    A, D = -torch.arange(1.0, 17).repeat(5, 1), torch.ones(5)
    inputs = [t.requires_grad_() for t in (u, delta + shift, A, B, C, D, z)]
    results = []
    for number in (1, count):
        threads(number)
        out = selective_scan(*inputs, delta_softplus=True, backend="cpu")
        results.append([out, *torch.autograd.grad(out.square().sum(), inputs)])
    for alone, together in zip(*results, strict=True):
        largest = alone.detach().abs().max().item()
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4 * largest)
