"""Relative L2 error of the scan's backends in float32 against the definition in float64.

The smaller delta, the longer the memory, and the more steps an error of the decay adds up over.

    python experiments/scan_accuracy.py
"""

from __future__ import annotations

import torch

from lightm_unet.ops import backends, selective_scan
from lightm_unet.ops.reference import scan_reference

LENGTH, CHANNELS, STATE = 2000, 32, 16
NAMES = ("u", "delta", "A", "B", "C", "D")


def relative(found: torch.Tensor, exact: torch.Tensor) -> float:
    return ((found.double() - exact).norm() / exact.norm()).item()


def main() -> None:
    generator = torch.Generator().manual_seed(1)
    u, delta = (torch.randn(1, LENGTH, CHANNELS, generator=generator) for _ in range(2))
    B, C = (torch.randn(1, LENGTH, STATE, generator=generator) for _ in range(2))
    A, D = -torch.arange(1.0, STATE + 1).repeat(CHANNELS, 1), torch.ones(CHANNELS)
    usable = [b.name for b in backends() if b.available and b.name in ("cpu", "torch")]
    for shift in (-8, -3, 0):
        inputs = [t.clone().requires_grad_() for t in (u, delta + shift, A, B, C, D)]
        exact = [t.detach().double().requires_grad_() for t in inputs]
        expected = scan_reference(*exact, delta_softplus=True)
        gradients = torch.autograd.grad(expected.sum(), exact)
        for name in usable:
            out = selective_scan(*inputs, delta_softplus=True, backend=name)
            errors = [
                f"d{which} {relative(found, want):.1e}"
                for which, found, want in zip(
                    NAMES, torch.autograd.grad(out.sum(), inputs), gradients, strict=True
                )
            ]
            print(
                f"softplus(N(0, 1) {shift:+d})  {name:<6} out {relative(out, expected):.1e} ",
                *errors,
            )


if __name__ == "__main__":
    main()
