"""Train, test and compare any set of networks under one roof, top to bottom.

A comparison's folder holds

    plan.json                 data, split, settings and runs
    data/                     the cases, as links, and their split
    prepared/                 preprocessed cases, shared by all runs; may be deleted in the end
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
from lightm_unet.datasets.dataset import Dataset, open_case_images, open_dataset
from lightm_unet.datasets.splits import find_split
from lightm_unet.errors import UsageError
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.system.extras import require_extra
from lightm_unet.system.progress import Progress, track
from lightm_unet.training.settings import make_settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Comparison:
    """What a comparison has found so far."""

    folder: Path
    """Where it is."""
    plan: Plan
    """What it is determined by, and its runs."""
    rows: tuple[Row, ...]
    """One for each network, as in the tables."""
    results: Mapping[Run, RunResult]
    """Of every run that has one."""

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
    """Train networks on the same cases by the same recipe, test them, and write tables and figures.

    A comparison that was stopped goes on with the same call: finished runs are kept, and the one
    that was interrupted goes on from its last epoch. A later call may add networks and seeds;
    everything else must stay as it is. A run that diverges or fails does not stop the others.
    Lines on every run are logged.

    Args:
        dataset: folder in nnU-Net's raw layout. The split is its split.json, or else one drawn
            from seed 0, whatever `seeds` says.
        output: new or empty folder, or that of this comparison.
        networks: names, with options if wanted (`lightm-unet:conv=spatial`), and the groups
            "paper" and "ablations". The first is what the others are tested against.
        seeds: of first weights, order and augmentation; each network is trained with each.
        cases: train on so many of the training cases only; validation and test stay whole.
        part: "i/N": make the i-th of N parts of the runs. Parts may be made at the same time in
            one folder; or on several machines, whose `runs` are then copied together and the call
            repeated without `part`.
        processes: how many runs at once.
        bench: measure latency and memory too, once all runs are over.
        report_only: train nothing, report what is there.
        progress: takes an event for each run, and those of each run's training, prediction and
            evaluation; none where several processes make the runs.
        settings: fields of `TrainingSettings`, but for seed and network.

    Raises:
        UsageError: something that cannot be compared, or a folder of another comparison.
        DataError: a data set that cannot be used.
        MissingPartError: a device or a package that it will need is not here.
    """
    if not report_only:
        require_extra("train", "training networks")
    require_extra("report", "a comparison's report")
    if processes < 1:
        raise UsageError(f"processes needs a number from 1 up, got {processes}")
    dataset, folder = Path(dataset), Path(output)
    runs = plan_runs(find_networks(networks), seeds)
    own = part_of(runs, part)
    data, plan = _plan(dataset, runs, cases, settings)
    # A network that refuses such images is found before anything is written.
    costs = {network: _count(plan, network) for network in plan.networks}
    plan = enter_folder(folder, plan)
    # The folder may know the same network by its options in another order: its text counts.
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
    """The data set and what is asked for, all of it checked."""
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
        spatial_dims=len(first.geometry.shape),
        settings=make_settings(given),
    )
    return data, plan.with_runs(runs)


def _count(plan: Plan, network: NetworkSpec) -> NetworkCost:
    """What a network costs for one image; on the meta device, which holds no numbers."""
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
