"""The race: contestants of a group take turns, round by round, each in its own process.

    for each group (size, threads, allocator, device)
        start its contestants, one pass each to warm up
        for each round: for each contestant: rest, then passes for `TURN_SECONDS`

A rest precedes each turn: thread pools spin for some milliseconds after their last work, and
would take the cores from the next in turn.

Where the machine's memory does not hold all of a group at once, the group runs in several heats.
The first contestant runs in each of them, so that every ratio is still one of the same minutes.
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

from lightm_unet.benchmark.contestants import Contestant, make_contestants
from lightm_unet.benchmark.process import ContestantProcess
from lightm_unet.benchmark.report import REST_SECONDS, TURN_SECONDS, BenchReport
from lightm_unet.benchmark.results import Result, growths
from lightm_unet.benchmark.settings import DEFAULT_NETWORKS, BenchSettings
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.reporting import formats
from lightm_unet.system.device import choose_device
from lightm_unet.system.extras import require_extra
from lightm_unet.system.files import new_folder
from lightm_unet.system.subprocesses import ChildError, MemoryNeededError

_log = logging.getLogger(__name__)


def bench(
    networks: Sequence[str | NetworkSpec] = DEFAULT_NETWORKS,
    output: str | Path | None = None,
    **settings: Any,
) -> BenchReport:
    """Measure latency, throughput and peak memory of networks that take turns on this machine.

    A line is logged for each network that is ready, and for each round.

    Args:
        networks: names that `build_network` knows, each with options if wanted, such as
            `lightm-unet:width=16`. The first is what the others are compared with.
        output: a new folder for bench.json, table.md, latency.png and latency.svg.
        settings: fields of `BenchSettings`.

    Returns:
        The report. A contestant that failed is in it with its reason.

    Raises:
        UsageError: a network or a setting that does not exist, or `output` is not a new folder.
        MissingPartError: a device is not here, or a package that an engine or the plot needs.
    """
    from lightm_unet.benchmark.tables import write_report
    from lightm_unet.diagnosis import doctor
    from lightm_unet.networks.registry import check_spec

    for network in networks:
        check_spec(network)
    chosen = BenchSettings(**settings)
    if "onnxruntime" in chosen.engines:
        require_extra("onnx", "measuring under ONNX Runtime", "onnx", "onnxruntime")
    if output is not None:
        require_extra("report", "drawing the latencies", "matplotlib")
    devices = tuple(str(choose_device(name)) for name in chosen.devices)
    contestants = make_contestants(networks, replace(chosen, devices=devices))
    with ExitStack() as stack:
        folder = stack.enter_context(new_folder(Path(output))) if output is not None else None
        race = Race(chosen.rounds)
        for group in dict.fromkeys(c.group for c in contestants):
            race.run_group([c for c in contestants if c.group == group])
        results = tuple(race.results[c] for c in contestants)
        report = BenchReport(
            asdict(doctor()), chosen.rounds, results, tuple(race.notes), tuple(growths(results))
        )
        if folder is not None:
            write_report(report, folder)
    return report


class Race:
    """Runs groups of contestants and collects their results.

    Args:
        rounds: turns of each contestant.
        start: starts a contestant's process, for tests.
        rest: waits so many seconds, for tests.
    """

    def __init__(
        self,
        rounds: int,
        start: Callable[[Contestant], ContestantProcess] = ContestantProcess,
        rest: Callable[[float], object] = time.sleep,
    ) -> None:
        self.rounds, self.start, self.rest = rounds, start, rest
        self.results: dict[Contestant, Result] = {}
        self.notes: list[str] = []
        self.heats = 0

    def run_group(self, group: Sequence[Contestant]) -> None:
        """Measure contestants of one group, in as few heats as memory allows."""
        first, waiting = group[0], list(group)
        while waiting:
            entrants = waiting if first in waiting else [first, *waiting]
            if first in self.results and self.results[first].error:
                entrants = waiting
            ran = self._run_heat(entrants, first)
            waiting = [c for c in waiting if c not in ran]
            if waiting:
                self.notes.append(
                    f"{_setting(first)}: memory does not hold all networks at once; "
                    f"{', '.join(_name(c) for c in waiting)} were measured in a later group"
                )
                _log.info(self.notes[-1])

    def _run_heat(self, entrants: Sequence[Contestant], first: Contestant) -> set[Contestant]:
        """Start as many as memory holds and let them take turns; returns those dealt with."""
        self.heats += 1
        ran: set[Contestant] = set()
        running: dict[Contestant, tuple[ContestantProcess, Result]] = {}
        with ExitStack() as stack:
            for contestant in entrants:
                process = stack.enter_context(self.start(contestant))
                try:
                    result = self._warm_up(process, contestant)
                except MemoryNeededError as error:
                    # Beside the first alone it had all the memory that it can get.
                    if running.keys() - {first}:
                        break
                    self._fail(contestant, str(error))
                except ChildError as error:
                    self._fail(contestant, str(error))
                else:
                    running[contestant] = process, result
                ran.add(contestant)
            self._take_turns(running, first)
        return ran

    def _warm_up(self, process: ContestantProcess, contestant: Contestant) -> Result:
        built = process.build()
        passed = process.turn(0)
        result = Result(
            contestant,
            parameters=built["parameters"],
            first_seconds=passed["seconds"][0],
            idle_bytes=built["idle_bytes"],
            peak_bytes=passed["peak_bytes"],
            heat=self.heats,
        )
        _log.info(
            f"{_setting(contestant)}: {_name(contestant)} is ready, {result.parameters:,} "
            f"parameters, first pass {result.first_seconds:.3f} s"
        )
        return result

    def _take_turns(
        self, running: dict[Contestant, tuple[ContestantProcess, Result]], first: Contestant
    ) -> None:
        times: dict[Contestant, list[float]] = {c: [] for c in running}
        peaks: dict[Contestant, int] = {}
        for number in range(1, self.rounds + 1):
            for contestant, (process, _) in running.items():
                if contestant not in times:
                    continue
                self.rest(REST_SECONDS)
                try:
                    turn = process.turn(TURN_SECONDS)
                except ChildError as error:
                    self._fail(contestant, str(error))
                    del times[contestant]
                    continue
                times[contestant].append(statistics.median(turn["seconds"]))
                peaks[contestant] = turn["peak_bytes"]
            if times:
                _log.info(f"{_setting(first)}: round {number} of {self.rounds}")
        for contestant, seconds in times.items():
            if contestant in self.results:  # the first, again in a later heat
                continue
            self.results[contestant] = replace(
                running[contestant][1],
                seconds=tuple(seconds),
                peak_bytes=peaks[contestant],
                first_of_heat=tuple(times.get(first, ())),
            )

    def _fail(self, contestant: Contestant, reason: str) -> None:
        _log.warning(f"{_setting(contestant)}: {_name(contestant)} failed: {reason}")
        self.results.setdefault(contestant, Result(contestant, error=reason))


def _setting(contestant: Contestant) -> str:
    size, threads = formats.size(contestant.size), formats.plural(contestant.threads, "thread")
    return f"{size}, {threads}, {contestant.allocator} memory, {contestant.device}"


def _name(contestant: Contestant) -> str:
    return f"{contestant.network} ({contestant.engine})"
