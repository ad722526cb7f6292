"""The selective scan alone: what goes in, what comes out, and whether every backend agrees.

    python examples/selective_scan.py

The scan is the part of a Mamba layer that processes a sequence, in time linear in its length. Each
channel has a state that decays, is updated with the input and produces the output, with weights
that differ from step to step. To measure its speed: `lightm-unet bench --what scan`.
"""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F

import lightm_unet
from lightm_unet.ops.dispatch import choose_backend


def main() -> None:
    """Compare every available backend with the definition, forward and backward."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--length", type=int, default=256, help="steps of the sequence")
    length = parser.parse_args().length
    batch, channels, state = 2, 32, 16
    torch.manual_seed(0)
    inputs = {
        "u": torch.randn(batch, length, channels),  # the sequence
        "delta": F.softplus(torch.randn(batch, length, channels)),  # step sizes, above 0
        "A": -torch.rand(channels, state),  # decay rates, below 0: the state fades
        "B": torch.randn(batch, length, state),  # how a step's input enters the state
        "C": torch.randn(batch, length, state),  # how the state enters a step's output
        "D": torch.randn(channels),  # how the input enters its own output
    }
    for name, tensor in inputs.items():
        print(f"{name:5} {tuple(tensor.shape)}")
        tensor.requires_grad_()

    def run(backend: str) -> tuple[torch.Tensor, ...]:
        """The output, which has u's shape, and a gradient for each input."""
        out = lightm_unet.selective_scan(**inputs, backend=backend)
        return out, *torch.autograd.grad(out.square().mean(), list(inputs.values()))

    # Without `backend`, the fastest one that supports these tensors runs.
    print(f"chosen by default: {choose_backend(None, inputs['u'].device, inputs['u'].dtype)}")
    expected = run("reference")  # a loop over the steps: the definition
    for backend in lightm_unet.backends():
        if not backend.available or backend.name == "triton":  # triton needs tensors on a GPU
            print(f"{backend.name:10} left out: {backend.runs_on}; {backend.detail}")
            continue
        out, *gradients = (
            ((found - wanted).abs().max() / wanted.abs().max()).item()
            for found, wanted in zip(run(backend.name), expected, strict=True)
        )
        print(
            f"{backend.name:10} differs from the definition by {out:.0e} of the largest output, "
            f"{max(gradients):.0e} of the largest gradient"
        )


if __name__ == "__main__":
    main()
