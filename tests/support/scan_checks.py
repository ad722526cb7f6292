"""Inputs for the selective scan, its golden values, and how close a result must be."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from golden_values import FIXTURES, GOLDEN
from lightm_unet.ops import selective_scan

NAMES = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")
SMALL_GOLDEN_SCANS = [
    pytest.param(path, id=path.stem) for path in sorted(GOLDEN.glob("scan_*.safetensors"))
]
GOLDEN_SCANS = SMALL_GOLDEN_SCANS + [
    pytest.param(path, id=f"whole-{path.stem if path else 'absent'}")
    for path in sorted(FIXTURES.glob("scan_*.safetensors")) or [None]
]


def random_inputs(batch, length, channels, state, dtype=torch.float32, full=True, seed=0):
    """Tensors in the order of `NAMES`; without `full`, D, z and delta_bias are None."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    inputs = [
        normal(batch, length, channels),
        normal(batch, length, channels) - 1,
        -normal(channels, state).exp(),
        normal(batch, length, state),
        normal(batch, length, state),
        normal(channels) if full else None,
        normal(batch, length, channels) if full else None,
        normal(channels) if full else None,
    ]
    return [None if t is None else t.requires_grad_() for t in inputs]


def assert_close(actual, expected, tolerance):
    """Relative L2 error."""
    difference = torch.linalg.vector_norm(actual.double() - expected.double())
    assert difference <= tolerance * torch.linalg.vector_norm(expected.double())


def read_golden_scan(path: Path | None) -> tuple[dict[str, torch.Tensor], bool]:
    """Tensors with channels last, and whether delta goes through softplus."""
    if path is None:
        pytest.skip("the whole golden values of mamba_ssm's scan are not beside this checkout")
    with safe_open(path, "pt") as file:
        softplus = file.metadata()["delta_softplus"] == "True"
        golden = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    for key, tensor in golden.items():  # there, the length is last
        if tensor.dim() == 3:
            golden[key] = tensor.transpose(1, 2)
    return golden, softplus


def assert_agrees_with_mamba_ssm(golden: dict[str, torch.Tensor], softplus: bool, backend: str):
    """The output, and every gradient that is among the golden values."""
    inputs = [golden[n].float().requires_grad_() if n in golden else None for n in NAMES]
    out = selective_scan(*inputs, delta_softplus=softplus, backend=backend)
    out.backward(golden["grad_out"].float())
    assert_close(out, golden["out"], 1e-5)
    gradients = [name for name in NAMES if f"grad_{name}" in golden]
    assert {"u", "delta"} <= set(gradients)
    for name in gradients:
        assert_close(inputs[NAMES.index(name)].grad, golden[f"grad_{name}"], 1e-4)
