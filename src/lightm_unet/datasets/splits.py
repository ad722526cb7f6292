"""Which cases train, which choose, which are only looked at in the end."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from lightm_unet.datasets.dataset import Dataset
from lightm_unet.errors import DataError, UsageError
from lightm_unet.system.json_codec import to_json
from lightm_unet.system.records import read_record, write_record

SPLIT_FILE = "split.json"
"""The split's name inside a data set's folder."""


@dataclass(frozen=True)
class Split:
    """Case names in three parts that share no patient, each sorted."""

    training: tuple[str, ...]
    """Cases the network learns from."""
    validation: tuple[str, ...]
    """Cases that choose the best checkpoint."""
    test: tuple[str, ...]
    """Cases that no choice depends on."""
    seed: int
    """Seed of the random order of patients."""

    @property
    def part_of(self) -> dict[str, str]:
        """The part of each case: "training", "validation" or "test"."""
        parts = ("training", "validation", "test")
        return {name: part for part in parts for name in getattr(self, part)}


def make_split(dataset: Dataset, seed: int = 0, ratios: tuple[int, int, int] = (7, 1, 2)) -> Split:
    """Divide a data set's cases at random, patient by patient.

    The ratios are met in patients, as nearly as rounding allows. From three patients on, every
    part with a ratio above 0 gets at least one; two patients give one to training and one to
    validation, a single patient goes to training.

    Args:
        dataset: its training cases are divided.
        seed: the same seed gives the same split, on every platform.
        ratios: training, validation, test; the default is the paper's.

    Raises:
        UsageError: a negative ratio, or none for training.

    Source: Liao et al. 2024, section 3.1.
    """
    if min(ratios) < 0 or ratios[0] == 0:
        raise UsageError(f"split ratios must be at least 0, training above 0, got {ratios}")
    patients = sorted({case.patient for case in dataset.training})
    # random.Random's shuffle has been the same since Python 3.2; NumPy promises less.
    random.Random(seed).shuffle(patients)
    total, count = sum(ratios), len(patients)
    validation, test = (round(count * ratio / total) for ratio in ratios[1:])
    if count >= 2 and ratios[1]:
        validation = max(validation, 1)
    if count >= 3 and ratios[2]:
        test = max(test, 1)
    test = min(test, max(count - validation - 1, 0))
    validation = min(validation, count - test - 1)
    groups = (
        set(patients[validation + test :]),
        set(patients[:validation]),
        set(patients[validation : validation + test]),
    )
    training_names, validation_names, test_names = (
        tuple(case.name for case in dataset.training if case.patient in group) for group in groups
    )
    return Split(training_names, validation_names, test_names, seed)


def write_split(split: Split, path: Path) -> None:
    """Write a split as JSON, in one step."""
    write_record(to_json(split), path)


def read_split(path: Path) -> Split:
    """Read a split; whether it fits a data set is `find_split`'s question.

    Raises:
        DataError: not a split file, or a case in two parts.
    """
    content = read_record(path)
    training, validation, test = (content.get(part) for part in ("training", "validation", "test"))
    seed = content.get("seed", 0)
    if (
        not (_is_names(training) and _is_names(validation) and _is_names(test))
        or not isinstance(seed, int)
        or not training
    ):
        raise DataError(
            path,
            "something else",
            'lists of case names under "training", "validation" and "test", the first not empty',
            "delete the file to get a new random split",
        )
    names = [*training, *validation, *test]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            path, f"{_some(twice)} named twice", "every case in one part", "name it once"
        )
    return Split(tuple(sorted(training)), tuple(sorted(validation)), tuple(sorted(test)), seed)


def find_split(dataset: Dataset, seed: int = 0) -> Split:
    """The split stored with a data set, or else a new random one.

    Args:
        dataset: the split is its folder's split.json, if that is there.
        seed: for a new split; a stored one keeps its own.

    Raises:
        DataError: the stored split names a case that is not there, leaves a case out, or puts
            one patient into two parts.
    """
    path = dataset.root / SPLIT_FILE
    if not path.exists():
        return make_split(dataset, seed)
    split = read_split(path)
    advice = "correct it, or delete it to get a new random split"
    part_of = split.part_of
    present = {case.name for case in dataset.training}
    if gone := sorted(set(part_of) - present):
        raise DataError(path, f"{_some(gone)}, not in imagesTr", "cases of this data set", advice)
    if new := sorted(present - set(part_of)):
        raise DataError(path, f"no part for {_some(new)}", "every case in one part", advice)
    parts_of: dict[str, list[str]] = {}
    for case in dataset.training:
        parts_of.setdefault(case.patient, []).append(part_of[case.name])
    apart = [
        f"{patient} in {' and in '.join(dict.fromkeys(parts))}"
        for patient, parts in parts_of.items()
        if len(set(parts)) > 1
    ]
    if apart:
        found = f"patient {_some(apart)}"
        raise DataError(path, found, "every patient in one part", advice)
    return split


def _is_names(part: object) -> TypeGuard[list[str]]:
    return isinstance(part, list) and all(isinstance(name, str) for name in part)


def _some(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
