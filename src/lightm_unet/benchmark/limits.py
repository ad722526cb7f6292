"""This machine's limits, measured: what no network can exceed here.

    multiply-adds, exponentials    in registers, by kernels of the package's own instruction set
    memory                         two buffers that no cache holds, one read and one written
    products of matrices           by torch: a large one, and one as narrow as the networks have

All are float32. `bench` measures the first one beside every network too.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import torch

from lightm_unet.benchmark.limits_report import (
    PROBE_SECONDS,
    REPEATS,
    STREAM_FLOATS,
    Limit,
    LimitsReport,
)
from lightm_unet.benchmark.limits_table import markdown
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

PRODUCTS = ((1024, 1024, 1024), (65_536, 32, 64))
"""Rows of the left matrix, its columns, and columns of the right one."""

Work = Callable[[int, int], int]
"""Repeats something so many times on so many threads, and returns how much it did."""


def multiply_add_limit(threads: int) -> float:
    """Operations per second that the multiply-add units allow; takes about 50 ms.

    More threads than the machine has cores have no more units to work with.
    """
    return measure_rate(kernels.multiply_adds, min(threads, _cores()))


def measure_rate(
    work: Work,
    threads: int,
    repeats: int = REPEATS,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """How much is done in a second: the best of some measurements of `PROBE_SECONDS` or more.

    Example:
        >>> ticks = iter([0, 0.003, 1, 1.006])  # once takes 3 ms, twice 6 ms
        >>> round(measure_rate(lambda times, _: 3 * times, 1, 1, lambda: next(ticks)))
        1000
    """
    times, rates = 1, list[float]()
    while len(rates) < repeats:
        start = clock()
        amount = work(times, threads)
        seconds = clock() - start
        if seconds < PROBE_SECONDS:
            times *= 2
        else:
            rates.append(amount / seconds)
    return max(rates)


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
    works = _works()
    limits = {name: Limit(name, unit, {}) for name, (unit, _) in works.items()}
    for number in range(1, rounds + 1):
        for count, (name, (_, work)) in itertools.product(counts, works.items()):
            if work is not None:
                rest(REST_SECONDS)  # the threads of the one before are still awake
                rates = limits[name].rates
                rates[count] = max(rates.get(count, 0.0), measure_rate(work, count))
        _log.info(f"limits: round {number} of {rounds}")
    return tuple(limits.values())


def _works() -> dict[str, tuple[str, Work | None]]:
    """Each limit's unit and work; None where the native kernels are needed and not built."""
    source, target = torch.ones(STREAM_FLOATS), torch.ones(STREAM_FLOATS)

    def stream(times: int, threads: int) -> int:
        return sum(kernels.double_stream(source, target, threads) for _ in range(times))

    works: dict[str, tuple[str, Work | None]] = {
        "multiply-adds in registers": ("FLOP/s", kernels.multiply_adds),
        "exponentials in registers": ("exp/s", kernels.exponentials),
        "memory, read and written": ("B/s", stream),
    }
    if native is None:
        works = {name: (unit, None) for name, (unit, _) in works.items()}
    for rows, inner, columns in PRODUCTS:
        name = f"torch: {rows}x{inner} times {inner}x{columns}"
        works[name] = "FLOP/s", _product(rows, inner, columns)
    return works


def _product(rows: int, inner: int, columns: int) -> Work:
    left, right = torch.ones(rows, inner), torch.ones(inner, columns)
    out = torch.empty(rows, columns)

    def multiply(times: int, threads: int) -> int:
        torch.set_num_threads(threads)
        for _ in range(times):
            torch.mm(left, right, out=out)
        return times * 2 * rows * inner * columns

    return multiply


def _cores() -> int:
    return os.cpu_count() or 1
