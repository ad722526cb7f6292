"""The Triton kernels on this machine's GPU: against its bandwidth, and against other code.

Prints a table and writes JSON. Times are medians by CUDA events, the contenders taking turns.
"least" is the time that the bytes a pass must move take at the bandwidth measured here: forward
reads u, delta, B, C and writes the output; with backward, that and all inputs and the output's
gradient again, and their gradients written. The states that are kept in between are not counted.

    python experiments/gpu.py --json gpu.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable

import torch

from lightm_unet import LightMUNet
from lightm_unet.errors import MissingPartError
from lightm_unet.ops import backends, selective_scan
from lightm_unet.ops.dispatch import ENVIRONMENT_VARIABLE

LEVELS = ((2_097_152, 64), (262_144, 128), (32_768, 256), (4_096, 512))  # length, channels
STATE = 16
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def milliseconds(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median time of each, taking turns; the first turn, which compiles, is not counted."""
    times = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, run in contenders.items():
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            start.record()
            run()
            end.record()
            torch.cuda.synchronize()
            if turn:
                times[name].append(start.elapsed_time(end))
    return {name: statistics.median(taken) for name, taken in times.items()}


def copy_bandwidth(rounds: int) -> float:
    """Bytes read and written per second by a copy of 1 GiB."""
    source = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    taken = milliseconds({"copy": lambda: target.copy_(source)}, rounds)["copy"]
    return 2 * source.numel() / taken * 1e3


def make_inputs(length: int, channels: int, dtype: torch.dtype) -> list[torch.Tensor]:
    """u, delta, A, B, C, D and the bias, as the network makes them under autocast."""
    torch.manual_seed(0)
    u, delta = (torch.randn(1, length, channels, device="cuda", dtype=dtype) for _ in range(2))
    B, C = (torch.randn(1, length, STATE, device="cuda", dtype=dtype) for _ in range(2))
    A = -torch.arange(1.0, STATE + 1, device="cuda").repeat(channels, 1)
    D, bias = torch.ones(channels, device="cuda"), torch.full((channels,), -3.0, device="cuda")
    return [t.requires_grad_() for t in (u, delta, A, B, C, D, bias)]


def least_bytes(length: int, channels: int, dtype: torch.dtype, backward: bool) -> int:
    """What has to cross the memory bus, see the top of this file."""
    sequence, maps = length * channels * dtype.itemsize, 2 * length * STATE * dtype.itemsize
    forward = 3 * sequence + maps
    return forward + (5 * sequence + 2 * maps if backward else 0)


def scan_contenders(inputs: list[torch.Tensor], backward: bool) -> dict[str, Callable]:
    """The scan by Triton, by torch, and by mamba_ssm where that is installed."""
    u, delta, A, B, C, D, bias = inputs
    grad = torch.ones_like(u)

    def contender(scan: Callable, tensors: list[torch.Tensor], grad: torch.Tensor) -> Callable:
        def run() -> None:
            if not backward:
                with torch.no_grad():
                    scan(*tensors)
                return
            torch.autograd.grad(scan(*tensors), tensors, grad)

        return run

    def ours(backend: str) -> Callable:
        return lambda u, delta, A, B, C, D, bias: selective_scan(
            u, delta, A, B, C, D, None, bias, True, backend=backend
        )

    contenders = {name: contender(ours(name), inputs, grad) for name in ("triton", "torch")}
    try:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
    except ImportError:
        return contenders

    def theirs(u, delta, A, B, C, D, bias):
        return selective_scan_fn(u, delta, A, B, C, D, delta_bias=bias, delta_softplus=True)

    last = [t.detach().transpose(1, 2).contiguous() for t in (u, delta, B, C)]  # length last
    u, delta, B, C = (t.requires_grad_() for t in last)
    transposed = [u, delta, A, B, C, D, bias]
    contenders["mamba_ssm"] = contender(theirs, transposed, grad.transpose(1, 2).contiguous())
    return contenders


def measure_scans(bandwidth: float, rounds: int) -> list[dict]:
    """One row for each level, dtype and direction."""
    rows = []
    for length, channels in LEVELS:
        for dtype_name, dtype in DTYPES.items():
            inputs = make_inputs(length, channels, dtype)
            for backward in (False, True):
                taken = milliseconds(scan_contenders(inputs, backward), rounds)
                least = least_bytes(length, channels, dtype, backward) / bandwidth * 1e3
                rows.append(
                    {
                        "what": f"scan {length}x{channels}",
                        "pass": "forward + backward" if backward else "forward",
                        "dtype": dtype_name,
                        "least_ms": least,
                        **{f"{name}_ms": value for name, value in taken.items()},
                    }
                )
            del inputs
            torch.cuda.empty_cache()
    return rows


def measure_network(size: tuple[int, ...], rounds: int) -> list[dict]:
    """Forward pass and training step of the whole network, by Triton and by torch."""
    network = LightMUNet(len(size), 1, 3).cuda()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
    image = torch.randn(1, 1, *size, device="cuda")
    labels = torch.randint(3, (1, *size), device="cuda")

    def contender(backend: str, training: bool, dtype: torch.dtype) -> Callable:
        def run() -> None:
            os.environ[ENVIRONMENT_VARIABLE] = backend
            network.train(training)
            autocast = torch.autocast("cuda", dtype, enabled=dtype != torch.float32)
            if not training:
                with torch.inference_mode(), autocast:
                    network(image)
                return
            optimizer.zero_grad()
            with autocast:
                logits = network(image)
            torch.nn.functional.cross_entropy(logits.float(), labels).backward()
            optimizer.step()

        return run

    rows = []
    before = os.environ.get(ENVIRONMENT_VARIABLE)
    try:
        for dtype_name, dtype in DTYPES.items():
            for training in (False, True):
                taken, peaks = {}, {}
                for backend in ("triton", "torch"):  # memory first, each alone
                    torch.cuda.empty_cache()
                    torch.cuda.reset_peak_memory_stats()
                    contender(backend, training, dtype)()
                    peaks[f"{backend}_peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
                taken = milliseconds(
                    {name: contender(name, training, dtype) for name in ("triton", "torch")},
                    rounds,
                )
                rows.append(
                    {
                        "what": "network " + "x".join(map(str, size)),
                        "pass": "training step" if training else "forward",
                        "dtype": dtype_name,
                        **{f"{name}_ms": value for name, value in taken.items()},
                        **peaks,
                    }
                )
    finally:
        os.environ.pop(ENVIRONMENT_VARIABLE, None)
        if before is not None:
            os.environ[ENVIRONMENT_VARIABLE] = before
    return rows


def print_table(rows: list[dict]) -> None:
    """One line for each row; "-" where there is no such number."""
    columns = ("least_ms", "triton_ms", "torch_ms", "mamba_ssm_ms", "triton_peak_gb",
               "torch_peak_gb")  # fmt: skip
    print(f"{'what':24} {'pass':20} {'dtype':9}", *(f"{name:>14}" for name in columns))
    for row in rows:
        numbers = (f"{row[name]:14.3f}" if name in row else f"{'-':>14}" for name in columns)
        print(f"{row['what']:24} {row['pass']:20} {row['dtype']:9}", *numbers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", default="128x128x128", help="the network's image")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", metavar="FILE", help="write the numbers here too")
    arguments = parser.parse_args()
    triton = next(b for b in backends() if b.name == "triton")
    if not triton.available or not torch.cuda.is_available():
        raise MissingPartError(f"this benchmark needs a GPU and triton: {triton.detail}")
    bandwidth = copy_bandwidth(arguments.rounds)
    print(f"{triton.detail}, torch {torch.__version__}; copies at {bandwidth / 1e9:.0f} GB/s")
    rows = measure_scans(bandwidth, arguments.rounds)
    rows += measure_network(tuple(int(n) for n in arguments.size.split("x")), arguments.rounds)
    print_table(rows)
    if arguments.json:
        report = {
            "device": torch.cuda.get_device_name(),
            "triton": triton.detail,
            "torch": torch.__version__,
            "copy_bandwidth_bytes_per_s": bandwidth,
            "rounds": arguments.rounds,
            "rows": rows,
        }
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=2)


if __name__ == "__main__":
    try:
        main()
    except MissingPartError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
