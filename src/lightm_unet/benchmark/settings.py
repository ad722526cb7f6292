"""The settings of a benchmark, for the command line and Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from lightm_unet.errors import UsageError
from lightm_unet.networks.image_sizes import PAPER_SIZE
from lightm_unet.system.values import listed, text, whole_number

Engine = Literal["torch", "onnxruntime", "onnxruntime-basic"]
Allocator = Literal["default", "kept"]
Job = Literal["forward", "train"]
ENGINES, ALLOCATORS, JOBS = map(get_args, (Engine, Allocator, Job))

DEFAULT_NETWORKS = ("lightm-unet", "nnu-net")


@dataclass(frozen=True)
class BenchSettings:
    """Settings of a benchmark. If settings have several values, every combination is measured."""

    what: Sequence[Job] = ("forward",)
    """What to time: forward is one inference; train is one training step with the
    network's own recipe. In Python one of them alone may be a text."""
    sizes: Sequence[tuple[int, ...]] = (PAPER_SIZE[2],)
    """Size of the images in pixels or voxels, in 2D or 3D."""
    engines: Sequence[Engine] = ("torch",)
    """Program that runs the networks; onnxruntime does inference on the CPU only. onnxruntime-basic
    runs the form with the selective scan of basic operators, as export --operators basic."""
    devices: Sequence[str] = ("cpu",)
    """Device that runs the networks: cpu, cuda, cuda:N or mps; auto is a GPU if there is one."""
    threads: Sequence[int] | None = None
    """Number of CPU threads; by default torch's own number."""
    allocators: Sequence[Allocator] | None = None
    """Memory allocator: the system's default, or kept, where the C library keeps freed memory; by
    default both where the system has both."""
    rounds: int = 5
    """Number of turns of each network."""
    batch: int = 1
    """Number of images in one pass."""
    in_channels: int | None = None
    """Number of channels of the images; by default 3 in 2D and 1 in 3D."""
    out_channels: int | None = None
    """Number of classes, background included; by default 2 in 2D and 3 in 3D."""

    def __post_init__(self) -> None:
        if isinstance(self.what, str):
            object.__setattr__(self, "what", (self.what,))
        for name, example in (
            ("what", "['forward']"),
            ("sizes", "[(512, 512)]"),
            ("engines", "['torch']"),
            ("devices", "['cpu']"),
            ("threads", "[1, 2]"),
            ("allocators", "['default']"),
        ):
            given = getattr(self, name)
            if given is not None or name not in ("threads", "allocators"):
                object.__setattr__(self, name, listed(name, given, example))
        for device in self.devices:
            text("devices", device, "'cpu'")
        for size in self.sizes:
            for each in listed("sizes", size, "(512, 512)"):
                whole_number("sizes", each, 1)
        for count in self.threads or ():
            whole_number("threads", count, 1)
        for name in ("rounds", "batch", "in_channels", "out_channels"):
            given = getattr(self, name)
            if given is not None or name in ("rounds", "batch"):
                whole_number(name, given, 1)


def make_settings(given: Mapping[str, Any]) -> BenchSettings:
    """Settings from keyword arguments.

    Raises:
        UsageError: a setting does not exist, or is of another kind.
    """
    names = {field.name for field in dataclasses.fields(BenchSettings)}
    if unknown := sorted(set(given) - names):
        raise UsageError(
            f"bench has no setting {', '.join(unknown)}; it has {', '.join(sorted(names))}"
        )
    return BenchSettings(**given)
