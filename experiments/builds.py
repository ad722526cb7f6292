"""Compare builds of the extension, in turns: is a change to the kernels faster?

Each build runs in its own process and makes some passes in every round. The shortest time counts,
since other work on the machine affects it least. Measured is the scan (forward and backward, into
existing memory), or with --layer a whole streamed RVM layer of this number of channels.

    python experiments/builds.py old/_C.so new/_C.so --shape 4096x512 --threads 1
    python experiments/builds.py old/_C.so new/_C.so --shape 262144x32 --layer --threads 2
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch

STATE = 16


def load(path: str):
    spec = importlib.util.spec_from_file_location("_C", path)
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)
    return extension


def scan_passes(extension, length: int, channels: int, threads: int) -> list[Callable[[], None]]:
    generator = torch.Generator().manual_seed(0)
    u, delta, grad = (torch.randn(1, length, channels, generator=generator) for _ in range(3))
    B, C = (torch.randn(1, length, STATE, generator=generator) for _ in range(2))
    A = -torch.arange(1.0, STATE + 1).repeat(channels, 1)
    inputs = (u, delta - 3, A, B, C, torch.ones(channels), None, torch.zeros(channels))
    states = torch.empty(1, -(-length // extension.STATE_INTERVAL), STATE, channels)
    out = torch.empty_like(u)
    gradients = [None if t is None else torch.empty_like(t) for t in inputs]
    extension.scan_forward(*inputs, True, out, states, threads)
    return [
        lambda: extension.scan_forward(*inputs, True, out, None, threads),
        lambda: extension.scan_backward(grad, states, *inputs, True, *gradients, threads),
    ]


def layer_passes(extension, length: int, channels: int, threads: int) -> list[Callable[[], None]]:
    from lightm_unet.networks.rvm import RVMLayer

    options = {"expand": 2, "d_state": STATE, "conv": "causal", "d_conv": 4, "directions": 1}
    layer = RVMLayer(2, channels, channels, **options)
    weights = [t.detach().contiguous() for t in layer._native_weights().values()]
    x, out = torch.randn(1, length, channels), torch.empty(1, length, channels)
    return [lambda: extension.rvm_layer(x, weights, 1e-5, [], out, threads)]


def work(arguments: argparse.Namespace) -> None:
    """For each line on standard input, print the least milliseconds of each kind of pass."""
    length, channels = (int(n) for n in arguments.shape.split("x"))
    make = layer_passes if arguments.layer else scan_passes
    torch.set_num_threads(arguments.threads)
    passes = make(load(arguments.builds[0]), length, channels, arguments.threads)
    for _ in sys.stdin:
        times = [[], []][: len(passes)]
        for _ in range(arguments.passes):
            for column, run in zip(times, passes, strict=True):
                start = time.perf_counter()
                run()
                column.append((time.perf_counter() - start) * 1e3)
        print(json.dumps([min(column) for column in times]), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("builds", nargs="+", help="compiled extensions")
    parser.add_argument("--shape", default="4096x512", help="LENGTHxCHANNELS")
    parser.add_argument("--layer", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--passes", type=int, default=8)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work(arguments)
    options = [a for a in sys.argv[1:] if a not in arguments.builds]
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, build, "--worker", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for build in arguments.builds
    ]
    results = [[] for _ in workers]
    for _ in range(arguments.rounds):
        for worker, found in zip(workers, results, strict=True):
            worker.stdin.write("go\n")
            worker.stdin.flush()
            found.append(json.loads(worker.stdout.readline()))
    kinds = ("layer",) if arguments.layer else ("forward", "backward")
    for build, found in zip(arguments.builds, results, strict=True):
        for kind, column in zip(kinds, zip(*found, strict=True), strict=True):
            middle = statistics.median(column)
            print(f"{build}  {kind}: least {min(column):.2f} ms, median round {middle:.2f} ms")
    for worker in workers:
        worker.stdin.close()
        worker.wait()


if __name__ == "__main__":
    main()
