"""The sentences around the numbers: the settings, the reductions and the limits."""

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
from lightm_unet.training.recipes import Recipe, find_recipe

BY_IMAGE_SIZE = ("nnu-net", "u-mamba", "u-mamba-encoder")
"""Networks whose number of stages depends on the image size."""
SAME_RECIPE = (
    "All networks use the same recipe; a recipe tuned for a network may give better scores."
)
OWN_RECIPES = (
    "Each network is trained by the recipe that suits it among those of this package; learning "
    "rates were not tuned for each network."
)
NOT_CUT = "Nothing was reduced: all training cases, the recipe's epochs and the paper's image size."


@dataclass(frozen=True)
class Remarks:
    """What a reader should know about the numbers."""

    title: str
    made: tuple[str, ...]
    """The settings that all networks share."""
    cut: tuple[str, ...]
    """Reductions of cases, epochs or image size; one sentence if there are none."""
    not_shown: tuple[str, ...]
    """What must not be concluded from the numbers."""
    legend: tuple[str, ...]
    """Meaning of the columns."""


def make_remarks(plan: Plan, rows: Sequence[Row]) -> Remarks:
    """The remarks on a comparison, which may be unfinished."""
    cut = what_was_cut(plan)
    return Remarks(
        title=f"Comparison of {formats.plural(len(rows), 'network')} on {plan.dataset}",
        made=_what_was_made(plan),
        cut=cut or (NOT_CUT,),
        not_shown=_what_is_not_shown(plan, rows, bool(cut)),
        legend=_legend(plan, rows),
    )


def what_was_cut(plan: Plan) -> tuple[str, ...]:
    """Where the runs are smaller than the recipe, the data set or the paper."""
    settings, split = plan.settings, plan.split
    cut = []
    usual = sorted({recipe.epochs for recipe in _recipes(plan).values()})
    if settings.epochs and settings.epochs < usual[-1]:
        whose = "the recipe's" if len(usual) == 1 else "the recipes'"
        cut.append(f"Epochs: {settings.epochs} instead of {whose} {' or '.join(map(str, usual))}.")
    if len(split.training) < plan.training_cases:
        cut.append(
            f"Cases: {len(split.training)} of the {plan.training_cases} training cases, drawn at "
            "random, the same for every network; all validation and test cases are used."
        )
    paper = PAPER_SIZE[len(plan.size)]
    if settings.patch:
        cut.append(f"Size: patches of {formats.size(plan.size)} instead of whole images.")
    elif math.prod(plan.size) < math.prod(paper):
        cut.append(f"Size: images of {formats.size(plan.size)} instead of {formats.size(paper)}.")
    return tuple(cut)


def _what_was_made(plan: Plan) -> tuple[str, ...]:
    settings, split = plan.settings, plan.split
    seeds = sorted({run.seed for run in plan.runs})
    shared = (
        f"augmentation {settings.augmentation}, "
        f"{'patches' if settings.patch else 'images'} of {formats.size(plan.size)}; "
        f"{formats.noun(len(seeds), 'seed')} {', '.join(map(str, seeds))}."
    )
    recipes = [_recipe_in_words(plan, name, recipe) for name, recipe in _recipes(plan).items()]
    if plan.own_recipes:
        lines = (f"Each network by the recipe that it names: {'; '.join(recipes)}. All: {shared}",)
    else:
        lines = (f"Recipe {recipes[0]}, {shared}",)
    return (
        f"{formats.plural(len(split.training), 'training case')}, "
        f"{formats.plural(len(split.validation), 'validation case')} to select the best epoch, "
        f"{formats.plural(len(split.test), 'test case')}; the same for every network and seed.",
        *lines,
    )


def _recipes(plan: Plan) -> dict[str, Recipe]:
    """The recipes of all networks by their names, each once."""
    names = dict.fromkeys(plan.recipe_of(network) for network in plan.networks)
    return {name: find_recipe(name) for name in names}


def _recipe_in_words(plan: Plan, name: str, recipe: Recipe) -> str:
    settings = plan.settings
    batch = settings.batch_size or recipe.batch_size_for(len(plan.size))
    return (
        f"{name!r}: {recipe.optimizer.upper()}, learning rate "
        f"{settings.learning_rate or recipe.learning_rate:g}, batch {batch}, "
        f"{formats.plural(settings.epochs or recipe.epochs, 'epoch')}"
    )


def _what_is_not_shown(plan: Plan, rows: Sequence[Row], is_cut: bool) -> tuple[str, ...]:
    tests = len(plan.split.test)
    notes = []
    if any(row.missing for row in rows):
        notes.append("Some runs are missing; they are listed with the reasons.")
    if is_cut:
        notes.append(
            "After this reduced training, the scores show which networks learn fastest, not "
            "necessarily which are best after full training."
        )
    once = [row.network for row in rows if len(row.seeds) == 1]
    if once:
        several = any(len(row.seeds) > 1 for row in rows)
        who = f" ({', '.join(once)})" if several else ""
        notes.append(
            f"One seed{who}: the random variation of the scores is unknown. Another seed can "
            "change the order of networks with similar scores."
        )
    family = sum(row.test is not None for row in rows)
    if family and min(1.0, family * smallest_p(tests)) > 0.05:
        notes.append(
            f"{formats.plural(tests, 'test case')} and {formats.plural(family, 'test')}: no "
            "difference, however large, can be significant at 0.05."
        )
    names = [row.network for row in rows]
    staged = [name for name in names if NetworkSpec.parse(name).name in BY_IMAGE_SIZE]
    if staged and math.prod(plan.size) < math.prod(PAPER_SIZE[len(plan.size)]):
        notes.append(
            f"{' and '.join(staged)}: {'has' if len(staged) == 1 else 'have'} fewer stages on "
            "small images; the parameters are counted for this size."
        )
    notes += [
        OWN_RECIPES if plan.own_recipes else SAME_RECIPE,
        "The statistical test covers cases of the same kind, not other hospitals, machines or "
        "diseases.",
        "All weights start at random: networks that are usually pre-trained may perform better "
        "with pre-training.",
    ]
    if "phantom" in plan.dataset.lower():
        notes.append("The images are artificial: the results do not apply to patients.")
    return tuple(notes)


def _legend(plan: Plan, rows: Sequence[Row]) -> tuple[str, ...]:
    size = formats.size(plan.size)
    spread = " ± standard deviation over the seeds" if any(len(r.seeds) > 1 for r in rows) else ""
    lines = [
        f"DSC (Dice) and IoU measure the overlap with the reference, from 0 (none) to 1 "
        f"(identical): mean over the {len(plan.split.test)} test cases on the images' own grids, "
        f"then over the classes without the background{spread}. A class that neither the reference "
        "nor the prediction of a case has is left out there. The mean IoU is the mIoU.",
        f"GMACs: billions of multiply-adds for one image of {size}; the selective scans' "
        "operations are listed separately.",
    ]
    if measured := [row.speed for row in rows if row.speed and not row.speed.error]:
        who = measured[0].case
        threads = formats.plural(who.threads, "thread")
        lines.append(
            f"Latency: median time of one inference of one image of {size} on {who.device}"
            f"{f' with {threads}' if who.device == 'cpu' else ''}, the networks measured in turns. "
            "Peak memory: the process's memory above its idle state, in the same passes."
        )
    lines.append(
        f"Difference: mean DSC of each case minus that of {plan.networks[0]}, over the seeds that "
        "both have. p: how probable a difference as large would be by chance alone, by the "
        "two-sided Wilcoxon signed-rank test with Holm's correction for all networks."
    )
    return tuple(lines)
