"""This machine's limits, measured: what no network can exceed here.

    multiply-adds, exponentials    in registers, by kernels of the package's own instruction set
    memory                         two buffers that no cache holds, one read and one written
    products of matrices           by torch: a large one, and one as narrow as the networks have

All are float32. `bench` measures the first one beside every network too.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lightm_unet.benchmark.report import REST_SECONDS
from lightm_unet.benchmark.settings import BenchSettings
from lightm_unet.diagnosis import doctor
from lightm_unet.errors import UsageError
from lightm_unet.ops import limits as kernels
from lightm_unet.ops.dispatch import native
from lightm_unet.system.files import new_folder, write_bytes
from lightm_unet.system.records import write_record
from lightm_unet.system.values import listed, path, whole_number

_log = logging.getLogger(__name__)

PROBE_SECONDS = 0.01
"""A measurement takes at least so long: a thread needs some 0.05 ms to wake up."""
STREAM_FLOATS = 2**26
"""Numbers in each of the two buffers of the memory's limit: 268 MB, beyond all caches."""
PRODUCTS = ((1024, 1024, 1024), (65_536, 32, 64))
"""Rows of the left matrix, its columns, and columns of the right one."""

Work = Callable[[int], int]
"""Repeats something so many times and returns how much it did."""


@dataclass(frozen=True)
class Limit:
    """What one part of the machine can do."""

    name: str
    """The work."""
    unit: str
    """Of `rates`."""
    rates: dict[int, float]
    """For each number of threads the best rate over the rounds; none where the work needs the
    native kernels, which are not built."""


@dataclass(frozen=True)
class LimitsReport:
    """The result of one run of `bench_limits`."""

    machine: dict[str, Any]
    """Description of the machine, as in `doctor`."""
    rounds: int
    """Number of measurements of which the best one counts."""
    threads: tuple[int, ...]
    """Numbers of threads, the smallest first."""
    limits: tuple[Limit, ...]
    """Every limit."""

    def to_json(self) -> dict[str, Any]:
        """The report as stored in bench.json."""
        return {
            "machine": self.machine,
            "rounds": self.rounds,
            "threads": list(self.threads),
            "limits": [asdict(limit) for limit in self.limits],
        }


def multiply_add_limit(threads: int) -> float:
    """Operations per second that the multiply-add units allow; takes about 20 ms.

    More threads than the machine has cores have no more units to work with.
    """
    return measure_rate(partial(kernels.multiply_adds, threads=min(threads, _cores())))


def measure_rate(work: Work, clock: Callable[[], float] = time.perf_counter) -> float:
    """How much is done in a second, measured over `PROBE_SECONDS` or more.

    Example:
        >>> ticks = iter([0, 0.006, 1, 1.012])  # once takes 6 ms, twice 12 ms
        >>> round(measure_rate(lambda times: 6 * times, lambda: next(ticks)))
        1000
    """
    times = 1
    while True:
        start = clock()
        amount = work(times)
        seconds = clock() - start
        if seconds >= PROBE_SECONDS:
            return amount / seconds
        times *= 2


def bench_limits(
    output: str | Path | None = None,
    *,
    threads: Sequence[int] | None = None,
    rounds: int = BenchSettings.rounds,
    rest: Callable[[float], object] = time.sleep,
) -> LimitsReport:
    """Measure this machine's limits, with one thread and with the wanted numbers of threads.

    The measurements take turns, round by round, and the best of each counts: another program that
    runs can only take away.

    Args:
        output: a new folder for bench.json and table.md.
        threads: by default torch's own number; 1 is always measured too.
        rounds: number of turns.
        rest: waits so many seconds, for tests.

    Raises:
        UsageError: threads beyond the machine's cores, an argument of another kind, or `output` is
            not a new folder.
    """
    from lightm_unet.benchmark.limits_table import markdown

    output = None if output is None else path("output", output)
    rounds = whole_number("rounds", rounds, 1)
    wanted = (torch.get_num_threads(),) if threads is None else listed("threads", threads, "[2]")
    counts = tuple(sorted({1, *(whole_number("threads", count, 1) for count in wanted)}))
    if counts[-1] > _cores():
        raise UsageError(
            f"threads needs at most {_cores()}, the cores of this machine, got {counts[-1]}"
        )
    with ExitStack() as stack:
        folder = stack.enter_context(new_folder(output)) if output is not None else None
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        report = LimitsReport(asdict(doctor()), rounds, counts, _measure(counts, rounds, rest))
        if folder is not None:
            write_record(report.to_json(), folder / "bench.json")
            write_bytes(markdown(report).encode(), folder / "table.md")
    return report


def _measure(
    counts: Sequence[int], rounds: int, rest: Callable[[float], object]
) -> tuple[Limit, ...]:
    probes = {count: _probes(count) for count in counts}
    limits = {name: Limit(name, unit, {}) for name, (unit, _) in probes[1].items()}
    for number in range(1, rounds + 1):
        for count in counts:
            torch.set_num_threads(count)
            for name, (_, work) in probes[count].items():
                if work is None:
                    continue
                rest(REST_SECONDS)  # threads of the last one are still awake
                rates = limits[name].rates
                rates[count] = max(rates.get(count, 0.0), measure_rate(work))
        _log.info(f"limits: round {number} of {rounds}")
    return tuple(limits.values())


def _probes(threads: int) -> dict[str, tuple[str, Work | None]]:
    """Each limit's unit and work; no work where it needs the native kernels, and they are missing.

    A unit's billions are left to the reader: rates are per second.
    """
    stream = torch.ones(STREAM_FLOATS), torch.ones(STREAM_FLOATS)

    def copy(times: int) -> int:
        return sum(kernels.double_stream(*stream, threads) for _ in range(times))

    works: dict[str, tuple[str, Work | None]] = {
        "multiply-adds in registers": ("FLOP/s", partial(kernels.multiply_adds, threads=threads)),
        "exponentials in registers": ("exp/s", partial(kernels.exponentials, threads=threads)),
        "memory, read and written": ("B/s", copy),
    }
    if native is None:
        works = {name: (unit, None) for name, (unit, _) in works.items()}
    for rows, inner, columns in PRODUCTS:
        name = f"torch's product of {rows}x{inner} and {inner}x{columns}"
        works[name] = "FLOP/s", _product(rows, inner, columns)
    return works


def _product(rows: int, inner: int, columns: int) -> Work:
    left, right = torch.ones(rows, inner), torch.ones(inner, columns)
    out = torch.empty(rows, columns)

    def multiply(times: int) -> int:
        for _ in range(times):
            torch.mm(left, right, out=out)
        return times * 2 * rows * inner * columns

    return multiply


def _cores() -> int:
    return os.cpu_count() or 1
