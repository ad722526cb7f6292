"""Two checkouts in turn: has a change of the code made anything slower?

Each measurement is a process of its own with one checkout's src/ on its path, extension included.
The two take turns, and each round begins with the other one. What counts is the ratio of the least
times, which other work on the machine disturbs least, and the median of the rounds' ratios.

    python experiments/checkouts.py ../before/src src --rounds 5
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch

JOBS = ("forward-2d", "forward-3d", "forward-tiny", "scan", "scan-backward", "training-step-3d")


def make_pass(job: str) -> tuple[Callable[[], object], int]:
    """One pass of a job, and the number of passes to time."""
    import lightm_unet

    torch.manual_seed(0)
    if job.startswith("scan"):
        u, delta = torch.randn(1, 4096, 512), torch.randn(1, 4096, 512) - 3
        A = -torch.arange(1.0, 17.0).repeat(512, 1)
        tensors = u, delta, A, torch.randn(1, 4096, 16), torch.randn(1, 4096, 16)
        if job == "scan":
            return lambda: lightm_unet.selective_scan(*tensors, delta_softplus=True), 15
        for tensor in tensors:
            tensor.requires_grad_()

        def there_and_back():
            out = lightm_unet.selective_scan(*tensors, delta_softplus=True)
            torch.autograd.grad(out, tensors, torch.ones_like(out))

        return there_and_back, 8
    if job == "training-step-3d":
        network, image = lightm_unet.LightMUNet(3, 1, 3).train(), torch.randn(1, 1, 48, 48, 48)
        optimizer = torch.optim.SGD(network.parameters(), 1e-3)

        def step():
            optimizer.zero_grad()
            network(image).square().mean().backward()
            optimizer.step()

        return step, 2
    dims, channels, size = (3, 1, (128,) * 3) if job == "forward-3d" else (2, 3, (512, 512))
    name = "lightm-unet-tiny" if job == "forward-tiny" else "lightm-unet"
    network = lightm_unet.build_network(name, dims, channels, 2).eval()
    image = torch.randn(1, channels, *size)

    def forward():
        with torch.inference_mode():
            network(image)

    return forward, 2 if dims == 3 else 5


def least_seconds(job: str, threads: int) -> float:
    """The least time of a job's passes in this process."""
    torch.set_num_threads(threads)
    do_pass, count = make_pass(job)
    do_pass()
    times = []
    for _ in range(count):
        start = time.perf_counter()
        do_pass()
        times.append(time.perf_counter() - start)
    return min(times)


def measure(source: str, job: str, threads: int) -> float:
    """The least time of a job with one checkout, in a process of its own."""
    command = [sys.executable, __file__, source, source, "--job", job, "--threads", str(threads)]
    environment = {**os.environ, "PYTHONPATH": os.path.abspath(source), "MEASURE_ONE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    """Measure both checkouts in turn and print a row for each job."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", help="src/ of the first checkout, with its extension inside")
    parser.add_argument("after", help="src/ of the second")
    parser.add_argument("--job", action="append", choices=JOBS, help="default: all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if os.environ.get("MEASURE_ONE"):
        print(json.dumps(least_seconds(arguments.job[0], arguments.threads)))
        return
    print("| job | before, ms | after, ms | after / before, least | median of rounds |")
    print("| --- | --- | --- | --- | --- |")
    for job in arguments.job or JOBS:
        before, after = [], []
        for number in range(arguments.rounds):
            turns = [(arguments.before, before), (arguments.after, after)]
            for source, times in turns if number % 2 == 0 else turns[::-1]:
                times.append(measure(source, job, arguments.threads))
        ratios = [new / old for new, old in zip(after, before, strict=True)]
        cells = f"{min(before) * 1e3:.1f} | {min(after) * 1e3:.1f}"
        ratio = f"{min(after) / min(before):.3f} | {statistics.median(ratios):.3f}"
        print(f"| {job} | {cells} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
