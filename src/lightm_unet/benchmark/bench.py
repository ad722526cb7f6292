"""Bench cases of a group take turns, round by round, each in its own process.

    for each group (size, job, threads, allocator, device)
        start its cases, one pass each to warm up
        for each round: for each case: rest, then passes for `TURN_SECONDS`

On the CPU, what its multiply-add units allow is measured before each round, in this process.

A pause precedes each turn: thread pools stay busy for some milliseconds after their last work and
would slow down the next case.

If the memory is too small for all cases of a group at once, the group runs in several sessions. The
first case runs in each session, so that every ratio compares times of the same session.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lightm_unet.benchmark.bench_case import BenchCase, make_cases
from lightm_unet.benchmark.limits import multiply_add_limit
from lightm_unet.benchmark.operations import count_pass
from lightm_unet.benchmark.process import BenchCaseProcess
from lightm_unet.benchmark.ratios import ratios
from lightm_unet.benchmark.report import REST_SECONDS, TURN_SECONDS, BenchReport
from lightm_unet.benchmark.results import JOB_NAMES, Result, growths
from lightm_unet.benchmark.settings import DEFAULT_NETWORKS, make_settings
from lightm_unet.errors import UsageError
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.ops.dispatch import native
from lightm_unet.reporting import formats
from lightm_unet.system.device import choose_device
from lightm_unet.system.extras import require_extra
from lightm_unet.system.files import new_folder
from lightm_unet.system.subprocesses import ChildError, MemoryNeededError
from lightm_unet.system.values import listed, path

_log = logging.getLogger(__name__)


def bench(
    networks: Sequence[str | NetworkSpec] = DEFAULT_NETWORKS,
    output: str | Path | None = None,
    **settings: Any,
) -> BenchReport:
    """Measure latency, throughput and peak memory of networks, in turns, on this machine.

    A line is logged for each network that is ready, and for each round.

    Args:
        networks: names for `build_network`, optionally with options, such as
                `lightm-unet:width=16`. All others are compared with the first.
        output: a new folder for bench.json, table.md, latency.png and latency.svg.
        settings: fields of `BenchSettings`.

    Returns:
        The report, which includes failed cases with the reason.

    Raises:
        UsageError: a network or a setting does not exist, or `output` is not a new folder.
        MissingPartError: a required device or package is not available.
    """
    from lightm_unet.benchmark.tables import write_report
    from lightm_unet.diagnosis import doctor
    from lightm_unet.networks.registry import check_spec

    chosen = make_settings(settings)
    output = None if output is None else path("output", output)
    networks = listed("networks", networks, "['lightm-unet', 'nnu-net']")
    for network in networks:
        check_spec(network)
    if set(chosen.engines) - {"torch"}:
        require_extra("onnx", "measuring under ONNX Runtime", "onnx", "onnxruntime")
    if output is not None:
        require_extra("report", "drawing the latencies", "matplotlib")
    devices = tuple(str(choose_device(name)) for name in chosen.devices)
    cases = make_cases(networks, replace(chosen, devices=devices))
    with ExitStack() as stack:
        folder = stack.enter_context(new_folder(output)) if output is not None else None
        round_robin = RoundRobin(chosen.rounds, probe=multiply_add_limit if native else None)
        for group in dict.fromkeys(c.group for c in cases):
            round_robin.run_group([c for c in cases if c.group == group])
        results, notes = with_limits(cases, round_robin)
        report = BenchReport(
            asdict(doctor()),
            chosen.rounds,
            results,
            (*round_robin.notes, *notes),
            tuple(growths(results)),
            tuple(ratios(results)),
        )
        if folder is not None:
            write_report(report, folder)
    return report


def with_limits(
    cases: Sequence[BenchCase], done: RoundRobin
) -> tuple[tuple[Result, ...], list[str]]:
    """Every result with its operations and the limit, and why some have none."""
    results: list[Result] = []
    notes: dict[str, None] = {}
    for case in cases:
        result = done.results[case]
        flops = None
        if result.error is None:
            try:
                flops = count_pass(case)
            except UsageError as error:
                notes[f"Share of limit: {error}"] = None
            if case.device != "cpu":
                notes["Share of limit: that of the CPU alone is measured"] = None
            elif done.probe is None:
                notes[
                    "Share of limit: not measured without the native kernels; see `lightm-unet "
                    "doctor`"
                ] = None
        limit = done.limits.get(case.threads) if case.device == "cpu" else None
        results.append(replace(result, flops=flops, flops_limit=limit))
    return tuple(results), list(notes)


class RoundRobin:
    """Runs groups of cases and collects their results.

    Args:
        rounds: turns of each case.
        start: starts a case's process, for tests.
        rest: waits so many seconds, for tests.
        probe: measures the operations per second that the CPU allows with so many threads.
    """

    def __init__(
        self,
        rounds: int,
        start: Callable[[BenchCase], BenchCaseProcess] = BenchCaseProcess,
        rest: Callable[[float], object] = time.sleep,
        probe: Callable[[int], float] | None = None,
    ) -> None:
        self.rounds, self.start, self.rest, self.probe = rounds, start, rest, probe
        self.limits: dict[int, float] = {}
        """For each number of threads the best rate that was measured."""
        self.results: dict[BenchCase, Result] = {}
        self.notes: list[str] = []
        self.sessions = 0

    def run_group(self, group: Sequence[BenchCase]) -> None:
        """Measure cases of one group, in as few sessions as memory allows."""
        first, waiting = group[0], list(group)
        while waiting:
            candidates = waiting if first in waiting else [first, *waiting]
            if first in self.results and self.results[first].error:
                candidates = waiting
            ran = self._run_session(candidates, first)
            waiting = [c for c in waiting if c not in ran]
            if waiting:
                self.notes.append(
                    f"{_setting(first)}: memory does not hold all networks at once; "
                    f"{', '.join(_name(c) for c in waiting)} were measured in a later session"
                )
                _log.info(self.notes[-1])

    def _run_session(self, candidates: Sequence[BenchCase], first: BenchCase) -> set[BenchCase]:
        """Measure as many cases in turns as fit into memory; return the finished ones."""
        self.sessions += 1
        ran: set[BenchCase] = set()
        running: dict[BenchCase, tuple[BenchCaseProcess, Result]] = {}
        with ExitStack() as stack:
            for case in candidates:
                process = self.start(case)
                stack.enter_context(process)
                try:
                    result = self._warm_up(process, case)
                except MemoryNeededError as error:
                    # Only the first case runs beside it: a retry would not have more memory.
                    if running.keys() - {first}:
                        break
                    self._fail(case, str(error))
                except ChildError as error:
                    self._fail(case, str(error))
                else:
                    running[case] = process, result
                ran.add(case)
            self._take_turns(running, first)
        return ran

    def _warm_up(self, process: BenchCaseProcess, case: BenchCase) -> Result:
        built = process.build()
        passed = process.turn(0)
        result = Result(
            case,
            parameters=built["parameters"],
            first_seconds=passed["seconds"][0],
            idle_bytes=built["idle_bytes"],
            peak_bytes=passed["peak_bytes"],
            session=self.sessions,
        )
        _log.info(
            f"{_setting(case)}: {_name(case)} is ready, {result.parameters:,} "
            f"parameters, first pass {result.first_seconds:.3f} s"
        )
        return result

    def _take_turns(
        self, running: dict[BenchCase, tuple[BenchCaseProcess, Result]], first: BenchCase
    ) -> None:
        times: dict[BenchCase, list[float]] = {c: [] for c in running}
        peaks: dict[BenchCase, int] = {}
        for number in range(1, self.rounds + 1):
            if times and first.device == "cpu":
                self._measure_limit(first.threads)
            for case, (process, _) in running.items():
                if case not in times:
                    continue
                self.rest(REST_SECONDS)
                try:
                    turn = process.turn(TURN_SECONDS)
                except ChildError as error:
                    self._fail(case, str(error))
                    del times[case]
                    continue
                times[case].append(statistics.median(turn["seconds"]))
                peaks[case] = turn["peak_bytes"]
            if times:
                _log.info(f"{_setting(first)}: round {number} of {self.rounds}")
        for case, seconds in times.items():
            if case in self.results:  # the first, again in a later session
                continue
            self.results[case] = replace(
                running[case][1],
                seconds=tuple(seconds),
                peak_bytes=peaks[case],
                first_of_session=tuple(times.get(first, ())),
            )

    def _measure_limit(self, threads: int) -> None:
        if self.probe is not None:
            self.rest(REST_SECONDS)
            self.limits[threads] = max(self.limits.get(threads, 0.0), self.probe(threads))

    def _fail(self, case: BenchCase, reason: str) -> None:
        _log.warning(f"{_setting(case)}: {_name(case)} failed")  # the report says why, once
        self.results.setdefault(case, Result(case, error=reason))


def _setting(case: BenchCase) -> str:
    size, threads = formats.size(case.size), formats.plural(case.threads, "thread")
    return f"{size}, {JOB_NAMES[case.job]}, {threads}, {case.allocator} memory, {case.device}"


def _name(case: BenchCase) -> str:
    return f"{case.network} ({case.engine})"
