"""What a comparison is determined by, and the runs it consists of."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightm_unet.comparison.settings import OF_A_RUN
from lightm_unet.datasets.dataset import Dataset
from lightm_unet.datasets.splits import Split
from lightm_unet.errors import UsageError
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.preprocessing.preprocessing import Preprocessing, plan_grid
from lightm_unet.system.json_codec import from_json, to_json
from lightm_unet.system.records import expect_usable, read_record, write_record
from lightm_unet.training.settings import TrainingSettings

PLAN = "plan.json"
"""The plan's file in the comparison's folder."""


@dataclass(frozen=True)
class Run:
    """One training: a network, with its options, and a seed."""

    network: NetworkSpec
    """A text will do: `NAME` or `NAME:option=value`."""
    seed: int
    """Of the first weights, the order of samples and every random change; the split has its own."""

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
    """The cases of all runs."""
    training_cases: int
    """Of the data set's whole split, before `cases` left some out."""
    channels: int
    """Of the images."""
    size: tuple[int, ...]
    """What a network sees: the whole image's size, or the patch's."""
    settings: TrainingSettings
    """Those of training; of `OF_A_RUN` it holds no more than the defaults."""
    runs: tuple[Run, ...] = ()
    """In the order in which they are made; the first run's network is the reference."""

    @property
    def networks(self) -> tuple[NetworkSpec, ...]:
        """Each once, in the order of tables."""
        return tuple(dict.fromkeys(run.network for run in self.runs))

    def with_runs(self, runs: Iterable[Run]) -> Plan:
        """The same comparison with more runs."""
        return dataclasses.replace(self, runs=tuple(dict.fromkeys((*self.runs, *runs))))

    def to_json_dict(self) -> dict[str, Any]:
        """The plan as plan.json holds it, without the settings of single runs."""
        content = to_json(self)
        for name in OF_A_RUN:
            del content["settings"][name]
        return content


def plan_runs(networks: Sequence[str | NetworkSpec], seeds: Sequence[int]) -> tuple[Run, ...]:
    """Every network with every seed, seed by seed: what is stopped early has whole rounds.

    Raises:
        UsageError: no seed, or one below 0.

    Example:
        >>> [str(run) for run in plan_runs(["a", "b"], [0, 1])]
        ['a, seed 0', 'b, seed 0', 'a, seed 1', 'b, seed 1']
    """
    if not seeds or min(seeds) < 0:
        raise UsageError(f"seeds needs whole numbers from 0 up, got {list(seeds)}")
    specs = [NetworkSpec.parse(network) for network in networks]
    return tuple(Run(spec, seed) for seed in dict.fromkeys(seeds) for spec in specs)


def part_of(runs: Sequence[Run], part: str | None) -> tuple[Run, ...]:
    """The runs of one process or machine of several.

    Args:
        runs: all of them.
        part: "i/N", the i-th of N parts, i from 1; None for all.

    Raises:
        UsageError: something else.

    Example:
        >>> part_of("abcde", "1/2"), part_of("abcde", "2/2")
        (('a', 'c', 'e'), ('b', 'd'))
    """
    if part is None:
        return tuple(runs)
    first, _, count = part.partition("/")
    if not (first.isdecimal() and count.isdecimal() and 1 <= int(first) <= int(count)):
        raise UsageError(f"part needs i/N with i from 1 to N, such as 1/4, got {part!r}")
    return tuple(runs[int(first) - 1 :: int(count)])


def image_size(settings: TrainingSettings, spatial_dims: int, channels: int) -> tuple[int, ...]:
    """What a network sees in training: the size of whole images, or of patches.

    Raises:
        UsageError: settings of the grid that contradict each other, or do not fit the images.
    """
    grid = plan_grid(spatial_dims, settings.size, settings.patch, settings.spacing_mm)
    preprocessing = Preprocessing(spatial_dims, channels, **grid)  # refuses what training would
    return preprocessing.size or preprocessing.roi_size


def make_plan(
    data: Dataset,
    whole: Split,
    split: Split,
    *,
    channels: int,
    spatial_dims: int,
    settings: TrainingSettings,
) -> Plan:
    """The plan of a new comparison, without any run yet.

    Args:
        data: the data set.
        whole: its split.
        split: the part of it that is used.
        channels: of the images.
        spatial_dims: 2 or 3.
        settings: of training.

    Raises:
        UsageError: no case to validate or to test with, or a size that does not fit.
    """
    for part in ("validation", "test"):
        if not getattr(split, part):
            raise UsageError(
                f"{data.root}: the split leaves no case for {part}; a comparison needs one at "
                "least, from three patients or a split.json"
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
    """Note a plan in a folder; one that is noted there already is added to.

    Args:
        folder: new or empty, or a comparison's.
        plan: with the runs that are wanted.

    Returns:
        The folder's plan: runs of earlier commands stay, and come first.

    Raises:
        UsageError: the folder holds something else, or another comparison.
    """
    if (folder / PLAN).exists():
        known = read_plan(folder)
        if difference := first_difference(known, plan):
            raise UsageError(
                f"{folder}: this comparison has {difference}; go on with what it has, or choose "
                "another folder"
            )
        plan = known.with_runs(plan.runs)
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: expected a new or an empty folder, or that of a comparison")
    write_record(plan.to_json_dict(), folder / PLAN)
    return plan


def read_plan(folder: Path) -> Plan:
    """The plan noted in a folder.

    Raises:
        DataError: there is none, or it is damaged.
    """
    content = read_record(folder / PLAN)
    advice = "go on with the version that began the comparison, or begin another"
    with expect_usable(folder / PLAN, "a plan", advice):
        return from_json(Plan, content)


def first_difference(known: Plan, wanted: Plan) -> str | None:
    """What two comparisons differ in, such as "epochs 5, not 3"; None if only in their runs."""
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
    return "as the recipe or the data say" if value is None else str(value)
