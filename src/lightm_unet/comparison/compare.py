"""Train, test and compare any set of networks with one call.

A comparison's folder holds

    plan.json                 data, split, settings and runs
    data/                     the cases, as links, and their split
    prepared/                 preprocessed cases, shared by all runs; may be deleted at the end
    runs/NETWORK/seed-N/      each run: the model, the log, masks/ and result.json
    bench/                    latency and memory

and the files of `report.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightm_unet.comparison.names import find_networks
from lightm_unet.comparison.plan import (
    Plan,
    Run,
    enter_folder,
    make_plan,
    part_of,
    plan_runs,
)
from lightm_unet.comparison.results import DATA, RunResult, read_result
from lightm_unet.comparison.settings import OF_A_RUN, ComparisonSettings
from lightm_unet.comparison.single_run import describe, finish_run, settled_result
from lightm_unet.comparison.speed import find_speeds
from lightm_unet.comparison.subset import choose_cases, link_dataset
from lightm_unet.comparison.table import Row, make_rows
from lightm_unet.costs.counting import NetworkCost
from lightm_unet.datasets.dataset import Dataset, open_case_images, open_dataset, spatial_dims
from lightm_unet.datasets.splits import find_split
from lightm_unet.errors import UsageError
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.system.extras import require_extra
from lightm_unet.system.progress import Progress, track
from lightm_unet.system.values import listed, path, whole_number, yes_or_no
from lightm_unet.training.settings import make_settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Comparison:
    """The state and the results of a comparison."""

    folder: Path
    """Where it is."""
    plan: Plan
    """The data, the split, the settings and the list of runs."""
    rows: tuple[Row, ...]
    """One row for each network, as in the tables."""
    results: Mapping[Run, RunResult]
    """The result of each run that has ended."""

    @property
    def failed(self) -> tuple[RunResult, ...]:
        """The runs that have ended without scores."""
        return tuple(result for result in self.results.values() if result.evaluation is None)


def compare(
    dataset: Path | str,
    output: Path | str,
    networks: Sequence[str | NetworkSpec] = ComparisonSettings.networks,
    *,
    seeds: Sequence[int] = ComparisonSettings.seeds,
    cases: int | None = ComparisonSettings.cases,
    part: str | None = ComparisonSettings.part,
    processes: int = ComparisonSettings.processes,
    bench: bool = ComparisonSettings.bench,
    report_only: bool = ComparisonSettings.report_only,
    progress: Progress | None = None,
    **settings: Any,
) -> Comparison:
    """Train networks on the same cases, test them, and write tables and figures.

    Each network is trained by the recipe that it names, unless `recipe` names one for all; the
    tables say which.

    To continue a comparison that was stopped, repeat the call: finished runs are kept, and the
    interrupted run resumes from its last epoch. A later call may add networks and seeds;
    everything else must stay the same. A run that diverges or fails does not stop the others.
    The progress of every run is logged.

    Args:
        dataset: folder in nnU-Net's raw layout. The split is read from its split.json; without
                one, it is drawn with seed 0, independent of `seeds`.
        output: new or empty folder, or the folder of this comparison.
        networks: names, with options if wanted (`lightm-unet:conv=spatial`), and the groups
            "paper" and "ablations". All others are tested against the first network.
        seeds: seeds of the initial weights, the sample order and the augmentation; each network is
            trained once with each seed.
        cases: number of training cases to use; all validation and test cases are always used.
        part: "i/N": make only the i-th of N parts of the runs. Several parts may run at the same
                time in one folder. They may also run on several machines: then copy their `runs`
                folders together and repeat the call without `part`.
        processes: number of runs at the same time.
        bench: also measure latency and memory after all runs have ended.
        report_only: train nothing; write the report on the existing results.
        progress: called with an event for each run, and with the events of each run's training,
                prediction and evaluation; not called for runs in several processes.
        settings: fields of `TrainingSettings`, except seed, network and teacher.

    Raises:
        UsageError: the settings cannot be used, or the folder belongs to another comparison.
        DataError: the data set cannot be used.
        MissingPartError: a required device or package is not available.
    """
    dataset, folder = path("dataset", dataset), path("output", output)
    networks = listed("networks", networks, "['lightm-unet', 'nnu-net']")
    cases = None if cases is None else whole_number("cases", cases, 1)
    processes = whole_number("processes", processes, 1)
    bench, report_only = yes_or_no("bench", bench), yes_or_no("report_only", report_only)
    if not report_only:
        require_extra("train", "training networks")
    require_extra("report", "a comparison's report")
    runs = plan_runs(find_networks(networks), seeds)
    own = part_of(runs, part)
    data, plan = _plan(dataset, runs, cases, settings)
    # A network that does not accept these images raises its error before anything is written.
    costs = {network: _count(plan, network) for network in plan.networks}
    plan = enter_folder(folder, plan)
    # The folder's plan may list the same options in another order; its text is used.
    known = {run: run for run in plan.runs}
    own = tuple(known[run] for run in own)
    costs |= {network: _count(plan, network) for network in plan.networks if network not in costs}
    link_dataset(data, plan.split, folder / DATA)
    if not report_only:
        _make_runs(folder, plan, own, processes, progress)
    results = {run: result for run in plan.runs if (result := read_result(folder, run))}
    all_over = len(results) == len(plan.runs)
    speeds = find_speeds(folder, plan, may_measure=all_over) if bench else {}
    rows = tuple(make_rows(plan, results, costs, speeds))

    from lightm_unet.comparison.report import write_report

    write_report(folder, plan, rows, results)
    return Comparison(folder, plan, rows, results)


def _plan(
    dataset: Path, runs: Sequence[Run], cases: int | None, given: dict[str, Any]
) -> tuple[Dataset, Plan]:
    """The data set and the plan of the requested runs, both checked."""
    from lightm_unet.training.preflight import check_settings

    if chosen := sorted(set(given) & {*OF_A_RUN, "architecture"}):
        raise UsageError(f"compare has no setting {', '.join(chosen)}; see networks and seeds")
    for network in dict.fromkeys(run.network for run in runs):
        check_settings(make_settings({**given, "network": network}))
    data = open_dataset(dataset)
    whole = find_split(data)
    split = choose_cases(whole, cases)
    first = open_case_images(data, data.case(split.training[0]))
    plan = make_plan(
        data,
        whole,
        split,
        channels=first.array.shape[0],
        spatial_dims=spatial_dims(data),
        settings=make_settings(given),
    )
    return data, plan.with_runs(runs)


def _count(plan: Plan, network: NetworkSpec) -> NetworkCost:
    """The cost of a network for one image, counted on the meta device, without real weights."""
    import torch

    from lightm_unet.costs.counting import count_network
    from lightm_unet.networks.registry import build_network

    shape = len(plan.size), plan.channels, len(plan.label_names)
    with torch.device("meta"):
        built = build_network(network, *shape, image_size=plan.size)
    return count_network(built.eval(), plan.size)


def _make_runs(
    folder: Path, plan: Plan, runs: Sequence[Run], processes: int, progress: Progress | None
) -> None:
    waiting = []
    for run in runs:
        if result := settled_result(folder, run):
            _log.info(f"{run}: kept, {describe(result)}")
        else:
            waiting.append(run)
    if processes > 1:
        from lightm_unet.comparison.processes import finish_in_processes

        finish_in_processes(folder, waiting, processes)
        return
    for run in track(waiting, "compare", progress):
        finish_run(folder, plan, run, progress)
