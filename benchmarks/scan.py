"""The selective scan against a plain PyTorch recurrence, in turn, in one run.

The baseline does what mamba_ssm's pure-PyTorch reference does: channels before length, all decays
and inputs of all steps in memory at once, then a Python loop. State dimension 16, with softplus,
bias and skip, float32.

    python benchmarks/scan.py --threads 1
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
import torch.nn.functional as F

from lightm_unet import selective_scan
from machine import describe_machine

SHAPES = ((4096, 512), (65_536, 128), (262_144, 64))  # length, channels; batch 1
STATE = 16


def plain_recurrence(u, delta, A, B, C, D, delta_bias):
    """u, delta `(batch, channels, length)`; B, C `(batch, state, length)`."""
    delta = F.softplus(delta + delta_bias[:, None])
    decay = torch.exp(torch.einsum("bdl,dn->bdln", delta, A))
    driven = torch.einsum("bdl,bnl,bdl->bdln", delta, B, u)
    h = torch.zeros(u.shape[0], u.shape[1], A.shape[1])
    ys = []
    for t in range(u.shape[2]):
        h = decay[:, :, t] * h + driven[:, :, t]
        ys.append(torch.einsum("bdn,bn->bd", h, C[:, :, t]))
    return torch.stack(ys, dim=2) + u * D[:, None]


def make_inputs(length: int, channels: int):
    generator = torch.Generator().manual_seed(0)
    u, delta = (torch.randn(1, length, channels, generator=generator) for _ in range(2))
    B, C = (torch.randn(1, length, STATE, generator=generator) for _ in range(2))
    A = -torch.arange(1.0, STATE + 1).repeat(channels, 1)
    return u, delta - 3, A, B, C, torch.ones(channels), torch.zeros(channels)


def seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def alternate(one, other, rounds: int) -> tuple[float, float]:
    """Median seconds of two functions that take turns."""
    times = [(seconds(one), seconds(other)) for _ in range(rounds)]
    return tuple(statistics.median(column) for column in zip(*times, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--baseline-rounds", type=int, default=5, help="it takes long")
    parser.add_argument("--longest-baseline", type=int, default=70_000)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(describe_machine())
    print(f"{arguments.threads} thread(s), medians of {arguments.rounds}, milliseconds")
    print("length x channels |  forward  Gexp/s | fwd + bwd  / forward | plain forward  / ours")
    for length, channels in SHAPES:
        u, delta, A, B, C, D, bias = make_inputs(length, channels)
        trained = [t.clone().requires_grad_() for t in (u, delta, A, B, C, D, bias)]
        grad = torch.ones_like(u)

        def forward(inputs=(u, delta, A, B, C, D, bias)):
            u, delta, A, B, C, D, bias = inputs
            with torch.no_grad():
                return selective_scan(u, delta, A, B, C, D, None, bias, True)

        def both(inputs=trained, grad=grad):
            u, delta, A, B, C, D, bias = inputs
            out = selective_scan(u, delta, A, B, C, D, None, bias, True)
            torch.autograd.grad(out, inputs, grad)

        transposed = [t.transpose(1, 2).contiguous() for t in (u, delta, B, C)]

        def plain(inputs=transposed, rest=(A, D, bias)):
            u, delta, B, C = inputs
            A, D, bias = rest
            with torch.no_grad():
                return plain_recurrence(u, delta, A, B, C, D, bias)

        forward(), both()
        has_baseline = length <= arguments.longest_baseline
        if has_baseline:
            torch.testing.assert_close(
                forward(), plain().transpose(1, 2).contiguous(), rtol=1e-3, atol=1e-3
            )
        f, fb = alternate(forward, both, arguments.rounds)
        rate = length * channels * STATE / f / 1e9
        row = f"{length:>8} x {channels:<6} | {f * 1e3:8.2f}  {rate:6.2f} | {fb * 1e3:9.1f}  "
        row += f"{fb / f:9.2f}"
        if has_baseline:
            f, p = alternate(forward, plain, arguments.baseline_rounds)
            row += f" | {p * 1e3:13.0f}  {p / f:6.0f}"
        print(row, flush=True)


if __name__ == "__main__":
    main()
