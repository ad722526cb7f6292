"""A row for each network: scores over its seeds, cost, speed, and a test against the reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightm_unet.benchmark.results import Result
from lightm_unet.comparison.names import family_of
from lightm_unet.comparison.plan import Plan, Run
from lightm_unet.comparison.results import RunResult
from lightm_unet.comparison.statistics import PairedTest, paired_tests
from lightm_unet.costs.counting import NetworkCost
from lightm_unet.evaluation.scores import Evaluation, MetricSummary, summarise
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.reporting import formats
from lightm_unet.reporting.formats import NO_VALUE

SCORES = ("dice", "iou")
"""The two scores of the tables: DSC, and IoU, whose mean over the classes is the mIoU."""
TITLES = {"dice": "DSC", "iou": "IoU"}


@dataclass(frozen=True)
class Row:
    """One network in the tables."""

    network: str
    family: str
    recipe: str
    """Name of the recipe that trained it."""
    seeds: tuple[int, ...]
    """Seeds of its finished runs."""
    missing: tuple[str, ...]
    """Its other runs, one line each with the reason."""
    by_class: Mapping[str, Mapping[str, MetricSummary]]
    """For each score and class: the mean over test cases, summarised over the seeds."""
    mean: Mapping[str, MetricSummary]
    """For each score: the mean over test cases and classes, summarised over the seeds."""
    cost: NetworkCost
    """Cost for one image of the training size."""
    speed: Result | None
    """Latency and memory; None if they were not measured."""
    test: PairedTest | None
    """Test against the first network; None for the first itself, and if no case is shared."""
    training_seconds: float
    """Mean training time of its finished runs."""


def make_rows(
    plan: Plan,
    results: Mapping[Run, RunResult],
    costs: Mapping[NetworkSpec, NetworkCost],
    speeds: Mapping[NetworkSpec, Result],
) -> list[Row]:
    """The rows of all networks of a plan, in the plan's order.

    Args:
        plan: the plan with all requested runs.
        results: the results that exist.
        costs: the cost of every network.
        speeds: the measurements of the networks that were measured.
    """
    done = {
        run: evaluation
        for run, found in results.items()
        if (evaluation := found.evaluation) is not None
    }
    reference = plan.networks[0]
    rows = []
    tests = _tests(plan, done, reference)
    for network in plan.networks:
        own = [run for run in plan.runs if run.network == network]
        evaluations = [done[run] for run in own if run in done]
        rows.append(
            Row(
                network=str(network),
                family=family_of(network),
                recipe=plan.recipe_of(network),
                seeds=tuple(run.seed for run in own if run in done),
                missing=tuple(_missing(run, results.get(run)) for run in own if run not in done),
                by_class={
                    score: {
                        name: summarise([_class_mean(e, name, score) for e in evaluations])
                        for name in plan.label_names[1:]
                    }
                    for score in SCORES
                },
                mean={score: summarise([e.mean(score) for e in evaluations]) for score in SCORES},
                cost=costs[network],
                speed=speeds.get(network),
                test=tests.get(network),
                training_seconds=summarise(
                    [results[run].seconds for run in own if run in done]
                ).mean,
            )
        )
    return rows


def case_scores(evaluations: Sequence[Evaluation]) -> dict[str, float]:
    """Each case's mean Dice over the classes, averaged over evaluations of the same cases.

    `nan` for a case without any class in the masks of all these evaluations.
    """
    values: dict[str, list[float]] = {}
    for evaluation in evaluations:
        for case in evaluation.cases:
            values.setdefault(case.name, []).append(evaluation.case_mean(case, "dice"))
    return {name: summarise(own).mean for name, own in values.items()}


def _tests(
    plan: Plan, done: Mapping[Run, Evaluation], reference: NetworkSpec
) -> dict[NetworkSpec, PairedTest]:
    """Test each network against the reference, over the seeds that both have."""
    seeds = {
        network: {run.seed for run in done if run.network == network} for network in plan.networks
    }
    scores, against = {}, {}
    for network in plan.networks:
        shared = seeds[network] & seeds[reference]
        if network == reference or not shared:
            continue
        own, first = (
            case_scores([done[Run(name, seed)] for seed in sorted(shared)])
            for name in (network, reference)
        )
        scores[network], against[network] = own, first
    return paired_tests(scores, against)


def _class_mean(evaluation: Evaluation, name: str, score: str) -> float:
    label = next((value for value, own in evaluation.label_names.items() if own == name), None)
    return math.nan if label is None else evaluation.summary(label, score).mean


def _missing(run: Run, result: RunResult | None) -> str:
    if result is None:
        return f"seed {run.seed}: not made yet; repeat the command without --part and --report-only"
    return f"seed {run.seed}: {result.status}: {result.error}"


def columns(plan: Plan, rows: Sequence[Row], by_class: bool = True) -> list[str]:
    """Column headings of the table for readers.

    Args:
        plan: the comparison's plan.
        rows: all rows; a quantity that no row has gets no column.
        by_class: whether to add a column for each class if there are several.
    """
    scores = [
        f"{title} {name}".strip()
        for title in TITLES.values()
        for name in (*_shown_classes(plan, by_class), "mean" if len(plan.label_names) > 2 else "")
    ]
    return [
        "network",
        *(("recipe",) if plan.own_recipes else ()),
        *scores,
        "parameters (M)",
        "GMACs",
        "scan (GFLOP)",
        *(("latency (ms)", "peak memory (MB)") if any(row.speed for row in rows) else ()),
        "difference",
        "p (Holm)",
        "seeds",
    ]


def cells(plan: Plan, row: Row, rows: Sequence[Row], by_class: bool = True) -> list[str]:
    """The cells of a row, in the order of `columns`."""
    scores = []
    for score in SCORES:
        summaries = [row.by_class[score][name] for name in _shown_classes(plan, by_class)]
        scores += [formats.mean_and_std(s.mean, s.std) for s in (*summaries, row.mean[score])]
    speed = [NO_VALUE, NO_VALUE]
    if row.speed and not row.speed.error:
        speed = [
            formats.milliseconds(row.speed.latency.median),
            formats.megabytes(row.speed.peak_above_idle),
        ]
    test = row.test
    return [
        row.network,
        *((row.recipe,) if plan.own_recipes else ()),
        *scores,
        formats.millions(row.cost.parameters),
        formats.billions(row.cost.macs),
        formats.billions(row.cost.scan_flops),
        *(speed if any(row.speed for row in rows) else ()),
        f"{test.difference:+.3f}" if test else NO_VALUE,
        formats.p_value(test.p_holm) if test else NO_VALUE,
        str(len(row.seeds)),
    ]


def _shown_classes(plan: Plan, by_class: bool) -> tuple[str, ...]:
    classes = plan.label_names[1:]
    return classes if by_class and len(classes) > 1 else ()
