"""The Triton kernels without a GPU: interpreted, compiled for one, and chosen where there is one.

Triton reads TRITON_INTERPRET when it is imported, which another test may have done by now. So the
tests in `triton_interpreted/` run in a process of their own.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lightm_unet.errors import MissingPartError, UsageError
from lightm_unet.ops import backends, dispatch, selective_scan

HERE = Path(__file__).parent
KERNELS = {  # the sizes that the wrappers choose for 64 channels of 16 states
    "triton_scan": {
        "chunk_ends": {"CHUNK": 128, "UNROLL": 8, "BLOCK_C": 32},
        "chunk_outputs": {"CHUNK": 128, "UNROLL": 8, "BLOCK_C": 32},
    },
    "triton_combine": {"_combine": {"GROUP": 128, "AHEAD": 8, "BLOCK": 32}},
    "triton_scan_backward": {
        "chunk_carries": {"CHUNK": 128, "UNROLL": 8, "BLOCK_C": 32},
        "chunk_gradients": {"CHUNK": 128, "UNROLL": 4, "BLOCK_C": 32},
    },
    "triton_causal_conv": {
        "conv_forward": {"SILU": True, "WIDTH": 4, "BLOCK_T": 64, "BLOCK_C": 32},
        "conv_backward": {"SILU": True, "WIDTH": 4, "BLOCK_T": 64, "BLOCK_C": 32},
    },
    "triton_gated_norm": {
        "gated_norm_forward": {"BLOCK_R": 32, "BLOCK_C": 64},
        "gated_norm_backward": {"TILES": 8, "BLOCK_R": 32, "BLOCK_C": 64},
    },
}
HALF_PRECISION = (
    ("triton_scan_backward", "chunk_gradients"),
    ("triton_causal_conv", "conv_backward"),
    ("triton_gated_norm", "gated_norm_backward"),
)
SWITCHES = {"SOFTPLUS": True, "BLOCK_N": 16, "REVERSE": True, "SUMMARISE": False}
SEQUENCES = {"u", "delta", "B", "C", "z", "x", "gate", "out", "grad_out", "grad_u", "grad_delta",
             "grad_z", "grad_x", "grad_gate"}  # fmt: skip
SINGLES = {"A", "D", "delta_bias", "weight", "bias", "ends", "sums", "starts", "carried", "scratch",
           "grad_B", "grad_C", "grad_D", "grad_bias", "partial", "group_states",
           "group_sums"}  # fmt: skip


@pytest.mark.slow
def test_the_kernels_keep_their_promises_in_the_interpreter():
    pytest.importorskip("triton", reason="triton has no build for this machine")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header",
         *sorted((HERE / "triton_interpreted").glob("*.py"))],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="triton only interprets now")
@pytest.mark.parametrize(
    ("module", "name", "dtype"),
    [(module, name, "fp32") for module in KERNELS for name in KERNELS[module]]
    + [(module, name, "bf16") for module, name in HALF_PRECISION],
)
def test_every_kernel_compiles_to_machine_code_of_an_h100(
    module, name, dtype, tmp_path, monkeypatch
):
    pytest.importorskip("triton", reason="triton has no build for this machine")
    import importlib

    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    if "nvidia" not in triton.backends.backends:
        pytest.skip("this build of triton has no NVIDIA back end")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    file = importlib.import_module(f"lightm_unet.ops.{module}")
    kernel = getattr(file, name)
    constants = {
        key: value
        for key, value in {**SWITCHES, **KERNELS[module][name]}.items()
        if key in kernel.arg_names
    }
    types = {
        argument: "constexpr" if argument in constants
        else f"*{dtype}" if argument in SEQUENCES
        else "*fp32" if argument in SINGLES
        else "fp32" if argument == "epsilon"
        else "i32"
        for argument in kernel.arg_names
    }  # fmt: skip
    options = {"num_warps": 1 if "scan" in module or "combine" in module else 4}
    compiled = triton.compile(
        ASTSource(fn=kernel, signature=types, constexprs=constants),
        target=GPUTarget("cuda", 90, 32),
        options={**options, "enable_fp_fusion": True},
    )
    assert compiled.asm["cubin"]


@pytest.mark.slow
def test_the_ops_work_where_triton_is_not_installed():
    code = """
import sys
sys.modules["triton"] = None  # importing it is now a ModuleNotFoundError
import torch
from lightm_unet.ops import backends, selective_scan
ones = torch.ones(1, 3, 1)
print(selective_scan(ones, ones, torch.zeros(1, 1), ones, ones).flatten().tolist())
print(next(b.detail for b in backends() if b.name == "triton"))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[0] == "[1.0, 2.0, 3.0]"
    assert "triton is not installed" in done.stdout


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    dispatch._why_no_triton.cache_clear()
    yield
    dispatch._why_no_triton.cache_clear()


def test_a_machine_without_a_gpu_says_what_is_missing(no_gpu):
    triton = next(b for b in backends() if b.name == "triton")
    assert not triton.available
    assert "no CUDA device" in triton.detail
    ones = torch.ones(1, 3, 1)
    with pytest.raises(MissingPartError, match="no CUDA device"):
        selective_scan(ones, ones, torch.zeros(1, 1), ones, ones, backend="triton")
    cuda = torch.device("cuda")
    assert dispatch.choose_backend(None, cuda, torch.float32) == "torch"


@pytest.fixture
def with_gpu(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(dispatch, "_why_no_triton", lambda: None)


def test_a_gpu_is_used_by_itself_for_all_but_float64(with_gpu):
    cuda = torch.device("cuda", 1)
    assert dispatch.choose_backend(None, cuda, torch.float32) == "triton"
    assert dispatch.choose_backend(None, cuda, torch.float64) == "torch"
    assert dispatch.choose_backend("torch", cuda, torch.float32) == "torch"


def test_tensors_that_are_not_on_the_gpu_are_refused_by_name(with_gpu):
    for device, dtype in (("cpu", torch.float32), ("cuda", torch.float64)):
        with pytest.raises(UsageError, match=f"got {dtype} on {device}"):
            dispatch.choose_backend("triton", torch.device(device), dtype)


def test_the_interpreter_takes_cpu_tensors_but_only_by_name(with_gpu, monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    cpu = torch.device("cpu")
    assert dispatch.choose_backend("triton", cpu, torch.float32) == "triton"
    assert dispatch.choose_backend(None, cpu, torch.float32) != "triton"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_a_gpu_the_scan_agrees_with_the_torch_form(dtype):
    def normal(*shape):
        return torch.randn(*shape, device="cuda")

    torch.manual_seed(0)
    length, channels, state = 20_001, 70, 16
    u, delta, z = (normal(2, length, channels).to(dtype).requires_grad_() for _ in range(3))
    B, C = (normal(2, length, state).to(dtype).requires_grad_() for _ in range(2))
    A = (-normal(channels, state).exp()).requires_grad_()
    D, bias = (normal(channels).requires_grad_() for _ in range(2))
    inputs = u, delta, A, B, C, D, z, bias
    grad = normal(2, length, channels).to(dtype)
    results = {}
    for backend in ("triton", "torch"):
        out = selective_scan(*inputs, True, backend=backend)
        results[backend] = (out, *torch.autograd.grad(out, inputs, grad))
    tolerance = 1e-4 if dtype == torch.float32 else 1e-2
    for got, want in zip(results["triton"], results["torch"], strict=True):
        assert (got - want).float().norm() <= tolerance * want.float().norm()
