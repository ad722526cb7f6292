"""The measurements, and the numbers computed from them."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from lightm_unet.benchmark.bench_case import BenchCase
from lightm_unet.reporting.formats import plural
from lightm_unet.system.json_codec import from_json, to_json
from lightm_unet.system.records import expect_usable, read_record

JOB_NAMES = {"forward": "inference", "train": "training step"}
ENGINE_NAMES = {
    "torch": "torch",
    "onnxruntime": "ONNX Runtime",
    "onnxruntime-basic": "ONNX Runtime (basic operators)",
}


@dataclass(frozen=True)
class Spread:
    """Median and range of some numbers."""

    median: float
    """The median."""
    min: float
    """The smallest."""
    max: float
    """The largest."""


def spread_of(values: Sequence[float]) -> Spread:
    """Median, smallest and largest.

    Example:
        >>> spread_of([3.0, 1.0, 2.0])
        Spread(median=2.0, min=1.0, max=3.0)
    """
    return Spread(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Result:
    """The measurement of one case; a failed case has only `error`."""

    case: BenchCase
    """Who."""
    error: str | None = None
    """Why the case failed, or None."""
    parameters: int = 0
    """Number of the network's parameters; shared ones count once."""
    seconds: tuple[float, ...] = ()
    """Seconds of a pass, one number for each round: the median of that turn's passes."""
    first_seconds: float = 0.0
    """Seconds of the first pass, which warms up and is not in `seconds`."""
    idle_bytes: int = 0
    """Memory of the process with the network built, before the first pass."""
    peak_bytes: int = 0
    """Peak memory of the process."""
    session: int = 0
    """Number of the session; cases of the same session were measured in turns."""
    first_of_session: tuple[float, ...] = field(default=(), repr=False)
    """`seconds` of the group's first case, for each round; empty if it failed."""
    flops: int | None = None
    """Operations of a pass, see `count_pass`; None where they cannot be counted."""
    flops_limit: float | None = None
    """Operations per second that the multiply-add units of the machine allow with this number of
    threads, measured in the same run; None on other devices than the CPU."""

    @property
    def latency(self) -> Spread:
        """Seconds of one pass over the rounds."""
        return spread_of(self.seconds)

    @property
    def images_per_second(self) -> float:
        """At the median latency."""
        return self.case.batch / self.latency.median

    @property
    def voxels_per_second(self) -> float:
        """At the median latency."""
        return self.images_per_second * self.case.voxels

    @property
    def peak_above_idle(self) -> int:
        """Bytes that the passes needed beyond the idle process."""
        return self.peak_bytes - self.idle_bytes

    @property
    def ratio(self) -> Spread | None:
        """This time / the first case's, taken round by round: above 1 is slower."""
        if self.error or not self.first_of_session:
            return None
        return spread_of(round_ratios(self.seconds, self.first_of_session))

    @property
    def share_of_limit(self) -> float | None:
        """At the median latency, the operations per second as a share of what is possible."""
        if self.error or self.flops is None or self.flops_limit is None:
            return None
        return self.flops / self.latency.median / self.flops_limit

    def to_json(self) -> dict[str, Any]:
        """The measurement and the numbers computed from it."""
        who = to_json(self.case)
        if self.error:
            return {**who, "error": self.error}
        return {
            **who,
            "error": None,
            "parameters": self.parameters,
            "seconds": list(self.seconds),
            "first_seconds": self.first_seconds,
            "latency": asdict(self.latency),
            "images_per_second": self.images_per_second,
            "voxels_per_second": self.voxels_per_second,
            "idle_bytes": self.idle_bytes,
            "peak_bytes": self.peak_bytes,
            "peak_above_idle": self.peak_above_idle,
            "ratio_to_first": asdict(self.ratio) if self.ratio else None,
            "session": self.session,
            "flops": self.flops,
            "flops_limit": self.flops_limit,
            "share_of_limit": self.share_of_limit,
        }


def read_results(path: Path) -> tuple[Result, ...]:
    """The results that a bench.json holds; without `first_of_session`, which it does not hold.

    Raises:
        DataError: the file is missing or damaged.
    """
    content = read_record(path)
    with expect_usable(path, "a report of `bench`", "remove it, and measure again"):
        entries = from_json(list[dict[str, Any]], content.get("results"), "results")
        return tuple(map(_read_result, entries))


def _read_result(entry: dict[str, Any]) -> Result:
    """A result from its measured entries; computed entries are ignored."""
    who = {f.name: entry[f.name] for f in fields(BenchCase) if f.name in entry}
    own = {f.name: entry[f.name] for f in fields(Result) if f.name in entry}
    return from_json(Result, {"case": who, **own})


def round_ratios(times: Sequence[float], first: Sequence[float]) -> list[float]:
    """Each round's time over the first case's in the same round.

    A slowdown of the machine during a round affects both times, but hardly their ratio.

    Example:
        >>> round_ratios([2.0, 6.0], [1.0, 2.0])
        [2.0, 3.0]
    """
    return [own / other for own, other in zip(times, first, strict=True)]


def time_at_twice_the_voxels(voxels: tuple[int, int], seconds: tuple[float, float]) -> float:
    """By which factor time grows when voxels double, from two sizes; 2 is linear growth.

    Between the sizes, time is assumed to be a power of the number of voxels.

    Example:
        >>> time_at_twice_the_voxels((100, 400), (1.0, 4.0))  # 4x voxels, 4x time
        2.0
        >>> time_at_twice_the_voxels((100, 400), (1.0, 16.0))
        4.0
    """
    power = math.log(seconds[1] / seconds[0]) / math.log(voxels[1] / voxels[0])
    return 2.0**power


@dataclass(frozen=True)
class Growth:
    """How the time of one series grows from size to size."""

    name: str
    """The series."""
    sizes: tuple[tuple[int, ...], ...]
    """The sizes, from the smallest."""
    steps: tuple[float, ...]
    """Time at twice the voxels / time, between neighbouring sizes."""
    overall: float
    """The same between the smallest and the largest."""

    def to_json(self) -> dict[str, Any]:
        """All of it, the sizes as the command line takes them."""
        return {**asdict(self), "sizes": ["x".join(map(str, size)) for size in self.sizes]}


def growths(results: Sequence[Result]) -> list[Growth]:
    """The growth of each series that was measured at two or more sizes."""
    found = []
    for members in series(results).values():
        voxels = [r.case.voxels for r in members]
        if len(set(voxels)) < 2:
            continue
        points = [(r.case.voxels, r.latency.median) for r in members]
        steps = tuple(
            time_at_twice_the_voxels((v0, v1), (t0, t1))
            for (v0, t0), (v1, t1) in itertools.pairwise(points)
            if v1 > v0
        )
        (v0, t0), (v1, t1) = points[0], points[-1]
        found.append(
            Growth(
                series_name(members[0].case, results),
                tuple(r.case.size for r in members),
                steps,
                time_at_twice_the_voxels((v0, v1), (t0, t1)),
            )
        )
    return found


def series(results: Sequence[Result]) -> dict[tuple, list[Result]]:
    """Measured results that differ in size alone, the smallest first."""
    lines: dict[tuple, list[Result]] = {}
    for result in results:
        if not result.error:
            lines.setdefault(result.case.series, []).append(result)
    return {k: sorted(v, key=lambda r: r.case.voxels) for k, v in lines.items()}


def series_name(case: BenchCase, among: Sequence[Result], without: Collection[str] = ()) -> str:
    """The network, and of the settings those that tell cases apart; some may be left out."""
    everyone = [r.case for r in among]
    parts = [str(case.network)]
    for name, text in (
        ("job", JOB_NAMES[case.job]),
        ("engine", ENGINE_NAMES[case.engine]),
        ("threads", plural(case.threads, "thread")),
        ("allocator", f"{case.allocator} memory"),
        ("device", case.device),
    ):
        if name not in without and len({getattr(other, name) for other in everyone}) > 1:
            parts.append(text)
    return ", ".join(parts)
