"""The cases to measure: every combination of the requested networks and settings."""

from __future__ import annotations

import itertools
import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass

from lightm_unet.benchmark.settings import (
    ALLOCATORS,
    ENGINES,
    JOBS,
    BenchSettings,
)
from lightm_unet.errors import UsageError
from lightm_unet.networks.image_sizes import CHANNELS
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.system.choices import check_choice


@dataclass(frozen=True)
class BenchCase:
    """One network in one setting: what one process measures."""

    network: NetworkSpec
    """The network; a text such as `lightm-unet:width=16:encoder_layers=[1,1,1]` is converted."""
    size: tuple[int, ...]
    """Spatial size of the images."""
    engine: str = "torch"
    """Program that runs the network: "torch", "onnxruntime" or "onnxruntime-basic", where
    selective scans are of basic operators."""
    threads: int = 1
    """Threads within an operation."""
    allocator: str = "default"
    """"default", or "kept": the C library gives no freed memory back to the system."""
    device: str = "cpu"
    """"cpu", "cuda", "cuda:N" or "mps"; it must be available."""
    job: str = "forward"
    """"forward": one inference; "train": forward, backward and the optimizer's step."""
    batch: int = 1
    """Images in one pass."""
    in_channels: int = 1
    """Channels of the images."""
    out_channels: int = 2
    """Classes, background included."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "network", NetworkSpec.parse(self.network))

    @property
    def voxels(self) -> int:
        """Voxels of one image."""
        return math.prod(self.size)

    @property
    def group(self) -> tuple:
        """Key of the cases that do the same work in the same setting and are measured in turns."""
        return self.size, self.job, self.threads, self.allocator, self.device

    @property
    def series(self) -> tuple:
        """Key of the cases that differ only in size: one line of the plot."""
        return (
            self.network,
            self.engine,
            self.job,
            self.threads,
            self.allocator,
            self.device,
            len(self.size),
        )


def available_allocators() -> tuple[str, ...]:
    """The allocators that this system can use; "kept" is a setting of glibc."""
    return ALLOCATORS if platform.libc_ver()[0] == "glibc" else ALLOCATORS[:1]


def make_cases(networks: Sequence[str | NetworkSpec], settings: BenchSettings) -> list[BenchCase]:
    """Every combination; cases that are measured in turns are next to each other.

    The allocator affects only the CPU's memory: other devices are measured once, with the first
    allocator.

    Args:
        networks: names, with options if wanted.
        settings: what they are measured with; None stands for as many threads as torch takes, and
            for all allocators of this system.

    Raises:
        UsageError: a value cannot be measured; the message lists the possible values.
    """
    import torch  # not at the top: an engine without torch must not use torch's memory

    threads = settings.threads or (torch.get_num_threads(),)
    allocators = settings.allocators or available_allocators()
    for name, values, known in (
        ("what", settings.what, JOBS),
        ("engine", settings.engines, ENGINES),
        ("allocator", allocators, available_allocators()),
    ):
        for value in values:
            check_choice(name, value, known)
    if not networks:
        raise UsageError("bench needs at least one of networks, got none")
    for size in settings.sizes:
        if len(size) not in CHANNELS:
            raise UsageError(f"size needs 2 or 3 positive numbers, got {tuple(size)}")
    cases = []
    for size, job, count, device, allocator in itertools.product(
        settings.sizes, settings.what, threads, settings.devices, allocators
    ):
        if device != "cpu" and allocator != allocators[0]:
            continue
        default_in, default_out = CHANNELS[len(size)]
        cases += [
            BenchCase(
                NetworkSpec.parse(network),
                tuple(size),
                engine,
                count,
                allocator,
                device,
                job,
                settings.batch,
                settings.in_channels or default_in,
                settings.out_channels or default_out,
            )
            for engine in settings.engines
            for network in networks
        ]
    return list(dict.fromkeys(cases))
