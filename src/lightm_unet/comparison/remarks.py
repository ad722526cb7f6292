"""The sentences around the numbers: what was done, what the budget cut, what is not shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lightm_unet.comparison.plan import Plan
from lightm_unet.comparison.statistics import smallest_p
from lightm_unet.comparison.table import Row
from lightm_unet.networks.image_sizes import PAPER_SIZE
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.reporting import formats
from lightm_unet.training.recipes import find_recipe

BY_IMAGE_SIZE = ("nnu-net", "u-mamba", "u-mamba-encoder")
"""Networks whose number of stages follows from the image."""
NOT_CUT = "Nothing was cut: every training case, the recipe's epochs, and the paper's image size."


@dataclass(frozen=True)
class Remarks:
    """What a reader should know beside the numbers."""

    title: str
    made: tuple[str, ...]
    """What all networks had in common."""
    cut: tuple[str, ...]
    """What the budget left out; one sentence says so where it left out nothing."""
    not_shown: tuple[str, ...]
    """What must not be read into the numbers."""
    legend: tuple[str, ...]
    """What the columns mean."""


def make_remarks(plan: Plan, rows: Sequence[Row]) -> Remarks:
    """The remarks on a comparison as far as it has come."""
    cut = what_was_cut(plan)
    return Remarks(
        title=f"Comparison of {formats.plural(len(rows), 'network')} on {plan.dataset}",
        made=_what_was_made(plan),
        cut=cut or (NOT_CUT,),
        not_shown=_what_is_not_shown(plan, rows, bool(cut)),
        legend=_legend(plan, rows),
    )


def what_was_cut(plan: Plan) -> tuple[str, ...]:
    """Where the run is smaller than the recipe, the data set or the paper would have it."""
    settings, split = plan.settings, plan.split
    recipe = find_recipe(settings.recipe)
    cut = []
    if settings.epochs and settings.epochs < recipe.epochs:
        cut.append(f"Epochs: {settings.epochs} instead of the recipe's {recipe.epochs}.")
    if len(split.training) < plan.training_cases:
        cut.append(
            f"Cases: {len(split.training)} of the {plan.training_cases} training cases, drawn at "
            "random, the same for every network; validation and test are whole."
        )
    paper = PAPER_SIZE[len(plan.size)]
    if settings.patch:
        cut.append(f"Size: patches of {formats.size(plan.size)} instead of whole images.")
    elif math.prod(plan.size) < math.prod(paper):
        cut.append(f"Size: images of {formats.size(plan.size)} instead of {formats.size(paper)}.")
    return tuple(cut)


def _what_was_made(plan: Plan) -> tuple[str, ...]:
    settings, split = plan.settings, plan.split
    recipe = find_recipe(settings.recipe)
    seeds = sorted({run.seed for run in plan.runs})
    batch = settings.batch_size or recipe.batch_size_for(len(plan.size))
    epochs = settings.epochs or recipe.epochs
    return (
        f"{len(split.training)} cases train, {len(split.validation)} choose the epoch, "
        f"{len(split.test)} test; the same for every network and seed.",
        f"Recipe {settings.recipe!r}: {recipe.optimizer.upper()}, learning rate "
        f"{settings.learning_rate or recipe.learning_rate:g}, batch {batch}, "
        f"{formats.plural(epochs, 'epoch')}, augmentation {settings.augmentation}, "
        f"{'patches' if settings.patch else 'images'} of {formats.size(plan.size)}; "
        f"{formats.noun(len(seeds), 'seed')} {', '.join(map(str, seeds))}.",
    )


def _what_is_not_shown(plan: Plan, rows: Sequence[Row], is_cut: bool) -> tuple[str, ...]:
    tests = len(plan.split.test)
    notes = []
    if any(row.missing for row in rows):
        notes.append("Some runs are missing; they are named with their reasons.")
    if is_cut:
        notes.append(
            "With less than the whole budget this tells who learns sooner, which need not be who "
            "is better in the end."
        )
    once = [row.network for row in rows if len(row.seeds) == 1]
    if once:
        several = any(len(row.seeds) > 1 for row in rows)
        who = f" ({', '.join(once)})" if several else ""
        notes.append(
            f"One seed{who}: how far chance alone moves a score is not known. Another seed can "
            "change the order of networks that are close."
        )
    family = sum(row.test is not None for row in rows)
    if family and min(1.0, family * smallest_p(tests)) > 0.05:
        notes.append(
            f"{formats.plural(tests, 'test case')} and {formats.plural(family, 'test')}: no "
            "difference, however large, could become significant at 0.05."
        )
    names = [row.network for row in rows]
    staged = [name for name in names if NetworkSpec.parse(name).name in BY_IMAGE_SIZE]
    if staged and math.prod(plan.size) < math.prod(PAPER_SIZE[len(plan.size)]):
        notes.append(
            f"{' and '.join(staged)}: {'has' if len(staged) == 1 else 'have'} fewer stages on "
            "small images; the parameters are those of this size."
        )
    notes += [
        "One recipe for all: a network may do better with one that was tuned for it.",
        "The test speaks of these cases as a sample of their kind, not of other hospitals, "
        "machines or diseases.",
        "Weights start at random: networks that are usually pre-trained are not shown at their "
        "best.",
    ]
    if "phantom" in plan.dataset.lower():
        notes.append("The images are artificial: they say nothing about patients.")
    return tuple(notes)


def _legend(plan: Plan, rows: Sequence[Row]) -> tuple[str, ...]:
    size = formats.size(plan.size)
    spread = " ± standard deviation over the seeds" if any(len(r.seeds) > 1 for r in rows) else ""
    lines = [
        f"DSC and IoU: mean over the {len(plan.split.test)} test cases on the images' own grids, "
        f"then over the classes without the background{spread}. The mean IoU is the mIoU.",
        f"GMACs: billions of multiply-adds for one image of {size}; the selective scans' "
        "operations, which are none, stand beside them.",
    ]
    if measured := [row.speed for row in rows if row.speed and not row.speed.error]:
        who = measured[0].case
        threads = formats.plural(who.threads, "thread")
        lines.append(
            f"Latency: median time of one inference of one image of {size} on {who.device}"
            f"{f' with {threads}' if who.device == 'cpu' else ''}, the networks taking turns. Peak "
            "memory: the process's above its idle state, in the same passes."
        )
    lines.append(
        f"Difference and p: mean DSC of each case less that of {plan.networks[0]}, over the seeds "
        "that both have; two-sided Wilcoxon signed-rank test, corrected by Holm for all networks."
    )
    return tuple(lines)
