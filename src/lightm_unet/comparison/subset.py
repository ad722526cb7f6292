"""The cases of a comparison as a data set: links to the files, and one split for all runs.

Every run then has the same training, validation and test cases, whatever its seed. Only training
cases can be left out; all validation and test cases are always used.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from lightm_unet.datasets.dataset import Dataset, open_dataset, write_dataset_json
from lightm_unet.datasets.splits import SPLIT_FILE, Split, write_split
from lightm_unet.errors import UsageError
from lightm_unet.system.files import new_folder


def choose_cases(split: Split, cases: int | None) -> Split:
    """A split with fewer training cases, drawn with the split's own seed.

    The cases drawn for a smaller number are among those drawn for a larger one.

    Args:
        split: the split of all cases.
        cases: number of training cases to keep; None keeps all.

    Raises:
        UsageError: the number is below 1 or above the number of training cases.

    Example:
        >>> split = Split(("a", "b", "c", "d"), ("e",), ("f",), seed=0)
        >>> len(choose_cases(split, 3).training), choose_cases(split, 3).test
        (3, ('f',))
    """
    if cases is None:
        return split
    if not 1 <= cases <= len(split.training):
        raise UsageError(
            f"cases needs a number from 1 to the {len(split.training)} training cases, got {cases}"
        )
    order = list(split.training)
    random.Random(f"cases {split.seed}").shuffle(order)
    return Split(tuple(sorted(order[:cases])), split.validation, split.test, split.seed)


def link_dataset(data: Dataset, split: Split, target: Path) -> Dataset:
    """Make a data set of links to the cases of a split; it is written completely or not at all.

    Args:
        data: the data set with the files.
        split: the cases to link; written as split.json.
        target: folder of the new data set; an existing one is used unchanged.
    """
    if not target.exists():
        try:
            with new_folder(target) as folder:
                _fill(data, split, folder)
        except (UsageError, OSError):
            if not target.is_dir():  # otherwise another process of this comparison has made it
                raise
    return open_dataset(target)


def _fill(data: Dataset, split: Split, folder: Path) -> None:
    names = sorted({*split.training, *split.validation, *split.test})
    for case in map(data.case, names):
        for file in (*case.images, *([case.labels] if case.labels else [])):
            link(file, folder / file.parent.name / file.name)
    write_dataset_json(
        folder,
        name=data.name,
        channel_names=data.channel_names,
        label_names=data.label_names,
        training_cases=len(names),
        file_ending=data.file_ending,
        patients={case.name: case.patient for case in map(data.case, names)},
        source=str(data.root.resolve()),
    )
    write_split(split, folder / SPLIT_FILE)


def link(source: Path, target: Path) -> None:
    """Link to a file, or copy it if the system cannot make links (Windows, some shared disks)."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.symlink(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
