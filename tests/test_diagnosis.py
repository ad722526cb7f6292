"""What `doctor` says."""

import sys

import pytest
import torch

import lightm_unet
from lightm_unet.diagnosis import describe, doctor
from lightm_unet.ops import backends, dispatch


def test_it_names_the_live_backend_and_every_other_one():
    text = "\n".join(describe(doctor()))
    assert f"selective scan on the CPU: {doctor().live_backend}" in text
    assert all(backend.name in text for backend in backends())


def test_a_missing_backend_is_named_with_the_reason_and_the_way_out(monkeypatch):
    monkeypatch.setattr(dispatch, "native", None)
    monkeypatch.setattr(dispatch, "_why_no_native", "no module named _C", raising=False)
    lines = describe(doctor())
    assert "selective scan on the CPU: torch" in lines
    line = next(line for line in lines if "MISSING" in line)
    assert "no module named _C" in line
    assert "C++17 compiler" in line


def test_without_a_gpu_triton_is_not_missing_but_not_needed(monkeypatch):
    monkeypatch.setattr(dispatch, "_why_no_triton", lambda: "no GPU")
    for gpu, state in ((False, "not needed without a GPU; "), (True, "MISSING    ")):
        monkeypatch.setattr("torch.cuda.is_available", lambda gpu=gpu: gpu)
        monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
        (line,) = [line for line in describe(doctor()) if line.startswith("  triton ")]
        assert line == f"  triton     {state}CUDA, float32, bfloat16, float16: no GPU"


def test_a_backend_forced_by_the_environment_is_said_to_be(monkeypatch):
    monkeypatch.setenv("LIGHTM_UNET_BACKEND", "torch")
    lines = describe(doctor())
    assert "selective scan on the CPU: torch, set by LIGHTM_UNET_BACKEND" in lines


def test_every_extra_is_listed_with_its_versions_or_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    lines = "\n".join(describe(doctor()))
    assert "  train      installed  pytorch-lightning 2." in lines
    assert "  onnx       MISSING    pip install 'lightm-unet[onnx]' (no onnxruntime, " in lines


def test_instruction_sets_are_named_with_what_restricts_them(monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    sets = doctor().instruction_sets
    assert sets["torch"] == torch.backends.cpu.get_cpu_capability()
    lines = "\n".join(describe(doctor()))
    assert f"torch {sets['torch']}; restricted by ONEDNN_MAX_CPU_ISA=AVX2" in lines
    if dispatch.native is not None:
        assert sets["native kernels"] == dispatch.native.instruction_set()


@pytest.mark.skipif(dispatch.native is None, reason="the extension is not built")
def test_the_memory_that_is_kept_is_said_with_what_frees_it():
    (line,) = [line for line in describe(doctor()) if line.startswith("freed memory")]
    assert f"up to {doctor().kept_limit / 1e6:.0f} MB; lightm_unet.release_memory()" in line


def test_its_version_is_the_packages():
    assert doctor().version == lightm_unet.__version__
