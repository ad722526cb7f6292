"""Whether a run can be resumed: its record, its settings and its data are what they were."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lightm_unet import __version__
from lightm_unet.datasets.dataset import Dataset, open_dataset
from lightm_unet.datasets.splits import Split, find_split, read_split
from lightm_unet.errors import DataError, UsageError
from lightm_unet.system.json_codec import to_json
from lightm_unet.system.records import digest, is_as_written
from lightm_unet.training import run_folder
from lightm_unet.training.fingerprint import Fingerprint
from lightm_unet.training.recipes import settle_recipe
from lightm_unet.training.run_folder import (
    RECORD,
    SPLIT,
    RunPlan,
    RunRecord,
    has_checkpoint,
    read_run,
)
from lightm_unet.training.settings import join_network, make_settings

_log = logging.getLogger(__name__)


def find_record(folder: Path, given: dict[str, Any], differences: Differences) -> RunRecord:
    """Read what determines a run that is to be resumed.

    Args:
        folder: the run's folder.
        given: settings; those that are not None must equal the run's.
        differences: told of what speaks against resuming.

    Raises:
        UsageError: a setting contradicts the run, or the run has ended and lost its checkpoints.
        DataError: the record is damaged.
    """
    record = read_run(folder)
    if record.best_dice is not None and not has_checkpoint(folder):
        raise UsageError(
            f"{folder}: no checkpoint to resume from; the run has ended and its checkpoints have "
            "been removed"
        )
    given = join_network({name: value for name, value in given.items() if value is not None})
    if "recipe" in given:
        network = given.get("network", record.settings.network)
        given["recipe"] = settle_recipe(given["recipe"], network)
    asked = make_settings(given)
    for name in given:
        if getattr(asked, name) != getattr(record.settings, name):
            own, other = (to_json(getattr(each, name)) for each in (record.settings, asked))
            raise UsageError(
                f"{folder}: this run has {name} {own!r}, not {other!r}; "
                "resume it with its own settings, or start another run"
            )
    if not is_as_written(folder / RECORD):
        differences.found(folder / RECORD, "a record that was changed after it was written")
    if record.algorithm != run_folder.ALGORITHM:
        differences.found(
            folder / RECORD,
            f"algorithm {record.algorithm} of lightm-unet {record.lightm_unet}; this version, "
            f"{__version__}, has algorithm {run_folder.ALGORITHM}, which trains other weights",
        )
    versions = (record.lightm_unet, record.torch)
    if versions != (__version__, torch.__version__):
        _log.info(
            f"the run began with lightm-unet {versions[0]} and torch {versions[1]}, and goes on "
            f"with {__version__} and {torch.__version__}; last digits may differ"
        )
    return record


def find_plan(folder: Path, record: RunRecord, dataset: Path, differences: Differences) -> RunPlan:
    """The plan of a run that is to be resumed.

    Args:
        folder: the run's folder.
        record: its record.
        dataset: the data set's folder. It may differ from the run's if the data are the same.
        differences: told of what speaks against resuming.

    Raises:
        UsageError: it is another data set.
        DataError: the data set or the split cannot be used.
    """
    here, moved = dataset.resolve(), dataset.resolve() != record.dataset
    if not moved and not here.is_dir():
        raise DataError(
            here,
            "no such folder",
            f"the data set of the run {folder}",
            "if it has been moved, give its new folder together with --resume",
        )
    if moved and record.data is None:
        raise _another_data_set(folder, record, here)
    data = open_dataset(here)
    return RunPlan(
        record.settings, data, _find_split(folder, record, data, differences), record.preprocessing
    )


def compare_data(
    folder: Path, record: RunRecord, data: Dataset, now: Fingerprint, differences: Differences
) -> RunRecord:
    """The record with today's data, which have to be those that the run began with.

    Raises:
        UsageError: it is another data set.
        DataError: the data have changed.
    """
    here = data.root.resolve()
    moved = here != record.dataset
    found = record.data.differences(now) if record.data is not None else []
    if found and moved and not differences.pass_over:
        raise _another_data_set(folder, record, here, found)
    if found:
        differences.found(here, "; ".join(found))
    if moved:
        _log.info(f"the data set of this run has moved from {record.dataset} to {here}")
    return replace(record, dataset=here, data=now)


class Differences:
    """What speaks against resuming a run: an error, or passed over and listed.

    Args:
        pass_over: whether --resume-anyway was given.
    """

    def __init__(self, pass_over: bool) -> None:
        self.pass_over = pass_over
        self.passed_over: list[str] = []

    def found(self, path: Path, what: str) -> None:
        """A difference.

        Raises:
            DataError: unless it is to be passed over.
        """
        if not self.pass_over:
            raise DataError(
                path,
                what,
                "what the run began with",
                "undo the change, start another run, or pass over it with --resume-anyway",
            )
        self.passed_over.append(f"{path.name}: {what}")
        _log.warning(f"passes over: {path}: {what}")


def _find_split(folder: Path, record: RunRecord, data: Dataset, differences: Differences) -> Split:
    """The run's split; one that is damaged is drawn again where that gives the same one."""
    path = folder / SPLIT
    try:
        split = read_split(path)
    except DataError:
        split = find_split(data, record.settings.seed)
        if digest(to_json(split)) != record.split:
            raise
    if record.split in (None, digest(to_json(split))):
        return split
    again = find_split(data, record.settings.seed)
    if digest(to_json(again)) != record.split:
        differences.found(path, "another split")
        return split
    return again


def _another_data_set(
    folder: Path, record: RunRecord, here: Path, found: Sequence[str] = ()
) -> UsageError:
    why = f" ({'; '.join(found)})" if found else ""
    return UsageError(
        f"{folder}: this run has dataset {str(record.dataset)!r}, not {str(here)!r}{why}; "
        "resume it with its own data set, or start another run"
    )
