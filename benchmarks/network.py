"""Seconds and peak memory of LightM-UNet: a forward pass, and a training step.

Each measurement is a process of its own, so that its peak is its own; the first round warms up.

    python benchmarks/network.py forward 128x128x128
    python benchmarks/network.py train 128x128x128
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time

import torch

from lightm_unet import LightMUNet
from lightm_unet.training.losses import dice_cross_entropy
from machine import describe_machine


def peak_gb() -> float:
    """Largest resident set of this process so far, in GB (10^9 bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("forward", "train"))
    parser.add_argument("size", help="such as 512x512 or 128x128x128")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--checkpoint-layers", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    size = tuple(int(n) for n in arguments.size.split("x"))
    classes = 3 if len(size) == 3 else 2
    network = LightMUNet(
        len(size), 1, classes, checkpoint_layers=arguments.checkpoint_layers
    ).train(arguments.what == "train")
    image = torch.randn(arguments.batch, 1, *size)
    labels = torch.randint(classes, image.shape)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
    idle = peak_gb()

    def step() -> None:
        if arguments.what == "forward":
            with torch.inference_mode():
                network(image)
            return
        optimizer.zero_grad()
        dice_cross_entropy(network(image), labels).backward()
        optimizer.step()

    step()
    times = []
    for _ in range(arguments.rounds):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    print(describe_machine())
    print(
        f"{arguments.what} {arguments.size}, batch {arguments.batch}, {arguments.threads} "
        f"threads: {statistics.median(times):.2f} s (median of {arguments.rounds}; "
        f"{min(times):.2f} to {max(times):.2f}); peak {peak_gb():.2f} GB, of which "
        f"{idle:.2f} GB before the first pass"
    )


if __name__ == "__main__":
    main()
