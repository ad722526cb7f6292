"""The plan of a comparison: data, split, settings and runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from lightm_unet.comparison.settings import OF_A_RUN
from lightm_unet.datasets.dataset import Dataset
from lightm_unet.datasets.splits import Split
from lightm_unet.errors import UsageError
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.preprocessing.preprocessing import Preprocessing, plan_grid
from lightm_unet.system.json_codec import from_json, to_json
from lightm_unet.system.records import expect_usable, read_record, write_record
from lightm_unet.system.values import LARGEST_SEED, listed, text, whole_number
from lightm_unet.training.recipes import AUTO, settle_recipe
from lightm_unet.training.settings import TrainingSettings

PLAN = "plan.json"
"""The plan's file in the comparison's folder."""


@dataclass(frozen=True)
class Run:
    """One training: a network, with its options, and a seed."""

    network: NetworkSpec
    """The network; a text `NAME` or `NAME:option=value` is converted."""
    seed: int
    """Seed of the initial weights, the sample order and the augmentation, but not of the split."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "network", NetworkSpec.parse(self.network))

    def __str__(self) -> str:
        return f"{self.network}, seed {self.seed}"


@dataclass(frozen=True)
class Plan:
    """Everything that the runs of a comparison share, and which runs there are."""

    dataset: str
    """The data set's name."""
    label_names: tuple[str, ...]
    """The index is the label's value; the first is the background."""
    split: Split
    """The training, validation and test cases, the same for all runs."""
    training_cases: int
    """Number of training cases in the data set's split, before `cases` reduced them."""
    channels: int
    """Number of channels of the images."""
    size: tuple[int, ...]
    """Size of the network's input: the whole image or the patch."""
    settings: TrainingSettings
    """Settings of training; the fields in `OF_A_RUN` keep their defaults. With the recipe "auto"
    each network has its own, see `recipes`."""
    runs: tuple[Run, ...] = ()
    """The runs in the order of execution; the first run's network is the reference."""
    recipes: Mapping[str, str] = field(default_factory=dict)
    """The recipe of each network by its text, as settled when the network was added; empty if the
    settings name one recipe for all."""

    @property
    def networks(self) -> tuple[NetworkSpec, ...]:
        """Each network once, in the order of the tables."""
        return tuple(dict.fromkeys(run.network for run in self.runs))

    @property
    def own_recipes(self) -> bool:
        """Whether each network is trained by its own recipe, instead of all by the same."""
        return self.settings.recipe == AUTO

    def recipe_of(self, network: NetworkSpec) -> str:
        """The name of the recipe that trains a network of this plan."""
        if not self.own_recipes:
            return self.settings.recipe
        settled = {NetworkSpec.parse(text): recipe for text, recipe in self.recipes.items()}
        return settled.get(network) or settle_recipe(AUTO, network)

    def with_runs(self, runs: Iterable[Run]) -> Plan:
        """The same comparison with more runs.

        Raises:
            UsageError: a network names a recipe that does not exist.
        """
        more = dataclasses.replace(self, runs=tuple(dict.fromkeys((*self.runs, *runs))))
        if not self.own_recipes:
            return more
        settled = {str(network): settle_recipe(AUTO, network) for network in more.networks}
        return dataclasses.replace(more, recipes={**settled, **self.recipes})

    def to_json_dict(self) -> dict[str, Any]:
        """The plan as stored in plan.json, without the settings that differ from run to run."""
        content = to_json(self)
        for name in OF_A_RUN:
            del content["settings"][name]
        return content


def plan_runs(networks: Sequence[str | NetworkSpec], seeds: Sequence[int]) -> tuple[Run, ...]:
    """Every network with every seed, one seed after the other.
    A comparison that is stopped early then has all networks for the first seeds.

    Raises:
        UsageError: there is no seed, or one is no whole number from 0 up.

    Example:
        >>> [str(run) for run in plan_runs(["a", "b"], [0, 1])]
        ['a, seed 0', 'b, seed 0', 'a, seed 1', 'b, seed 1']
    """
    seeds = [
        whole_number("seeds", seed, 0, LARGEST_SEED) for seed in listed("seeds", seeds, "[0, 1]")
    ]
    specs = [NetworkSpec.parse(network) for network in networks]
    return tuple(Run(spec, seed) for seed in dict.fromkeys(seeds) for spec in specs)


def part_of(runs: Sequence[Run], part: str | None) -> tuple[Run, ...]:
    """The share of the runs that one of several processes or machines makes.

    Args:
        runs: all runs.
        part: "i/N" for the i-th of N parts, counted from 1; None for all runs.

    Raises:
        UsageError: `part` has another form.

    Example:
        >>> part_of("abcde", "1/2"), part_of("abcde", "2/2")
        (('a', 'c', 'e'), ('b', 'd'))
    """
    if part is None:
        return tuple(runs)
    first, _, count = text("part", part, "1/4").partition("/")
    if not (first.isdecimal() and count.isdecimal() and 1 <= int(first) <= int(count)):
        raise UsageError(f"part needs i/N with i from 1 to N, such as 1/4, got {part!r}")
    return tuple(runs[int(first) - 1 :: int(count)])


def image_size(settings: TrainingSettings, spatial_dims: int, channels: int) -> tuple[int, ...]:
    """The size of a network's input in training: of whole images, or of patches.

    Raises:
        UsageError: the settings contradict each other, or do not fit the images.
    """
    grid = plan_grid(spatial_dims, settings.size, settings.patch, settings.spacing_mm)
    fields = cast(dict[str, Any], grid)
    preprocessing = Preprocessing(spatial_dims, channels, **fields)  # same checks as training
    size = preprocessing.size or preprocessing.roi_size
    assert size is not None  # Preprocessing needs one of them
    return size


def make_plan(
    data: Dataset,
    whole: Split,
    split: Split,
    *,
    channels: int,
    spatial_dims: int,
    settings: TrainingSettings,
) -> Plan:
    """The plan of a new comparison, without runs.

    Args:
        data: the data set.
        whole: the split of the whole data set.
        split: the cases that are used.
        channels: number of channels of the images.
        spatial_dims: 2 or 3.
        settings: settings of training.

    Raises:
        UsageError: there is no validation or test case, or a size does not fit.
    """
    for part in ("validation", "test"):
        if not getattr(split, part):
            raise UsageError(
                f"{data.root}: the split has no {part} case; a comparison needs at least one: "
                "use at least three patients or a split.json"
            )
    return Plan(
        dataset=data.name,
        label_names=data.label_names,
        split=split,
        training_cases=len(whole.training),
        channels=channels,
        size=image_size(settings, spatial_dims, channels),
        settings=settings,
    )


def enter_folder(folder: Path, plan: Plan) -> Plan:
    """Store a plan in a folder; add the runs to the plan that is stored there, if any.

    Args:
        folder: a new or empty folder, or a comparison's folder.
        plan: the plan with the requested runs.

    Returns:
        The folder's plan: runs of earlier commands are kept and come first.

    Raises:
        UsageError: the folder contains other files or another comparison.
    """
    if (folder / PLAN).exists():
        known = read_plan(folder)
        if difference := first_difference(known, plan):
            raise UsageError(
                f"{folder}: this comparison has {difference}; use the same settings, or choose "
                "another folder"
            )
        plan = known.with_runs(plan.runs)
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: expected a new or empty folder, or the folder of a comparison")
    write_record(plan.to_json_dict(), folder / PLAN)
    return plan


def read_plan(folder: Path) -> Plan:
    """Read the plan in a folder.

    Raises:
        DataError: the file is missing or damaged.
    """
    content = read_record(folder / PLAN)
    advice = "use the version that started the comparison, or start another one"
    with expect_usable(folder / PLAN, "a plan", advice):
        return from_json(Plan, content)


def first_difference(known: Plan, wanted: Plan) -> str | None:
    """The first difference, such as "epochs 5, not 3"; None if only the runs differ."""
    for (name, own), (_, other) in zip(_matters(known), _matters(wanted), strict=True):
        if own != other:
            return f"{name} {_shown(own)}, not {_shown(other)}"
    return None


def _matters(plan: Plan) -> Iterator[tuple[str, Any]]:
    yield "the data set", plan.dataset
    yield "labels", plan.label_names
    yield from plan.to_json_dict()["settings"].items()
    for part in ("training", "validation", "test"):
        yield f"{part} cases", getattr(plan.split, part)


def _shown(value: Any) -> str:
    if isinstance(value, tuple) and len(value) > 4:
        return f"{', '.join(map(str, value[:3]))} and {len(value) - 3} more"
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value))
    return "the default" if value is None else str(value)
