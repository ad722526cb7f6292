"""The operations of a benchmark's passes, counted without running them."""

from __future__ import annotations

import functools
from dataclasses import replace

import torch

from lightm_unet.benchmark.bench_case import BenchCase
from lightm_unet.costs.counting import count_network
from lightm_unet.errors import UsageError
from lightm_unet.networks.registry import build_network

PASSES = {"forward": 1, "train": 3}
"""Forward passes that have as many operations as one pass of a job. Backward, every product of the
forward pass becomes two: one for the gradient of its input, one for that of its weights."""


def count_pass(case: BenchCase) -> int:
    """Operations of one pass over a batch, as `count_network` counts them.

    A multiply-add counts as 2, an operation of the scan as 1. So does an exponential, which takes
    as long as several multiply-adds: a network with large scans cannot reach the whole limit.
    What is left out as usual (norms, activations, the loss, the optimizer) counts as nothing, and
    so does what `checkpoint_layers` computes twice.

    A training step counts as three forward passes of the network in training mode. torch's own
    counter is not asked for the backward pass: it takes depthwise convolutions for full ones there.

    Raises:
        UsageError: the network cannot be counted; the message says why.
    """
    alike = replace(case, engine="torch", threads=1, allocator="default", device="cpu", batch=1)
    return case.batch * PASSES[case.job] * _count_image(alike)


@functools.cache
def _count_image(case: BenchCase) -> int:
    try:
        with torch.device("meta"):
            network = build_network(
                case.network, len(case.size), case.in_channels, case.out_channels, case.size
            )
        cost = count_network(network, case.size, case.in_channels, training=case.job == "train")
    except Exception as error:  # a layer of the user's own may do anything without numbers
        reason = " ".join(str(error).split())
        raise UsageError(f"{case.network} cannot be counted: {reason}") from error
    return cost.flops
