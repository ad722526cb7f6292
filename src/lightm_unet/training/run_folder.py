"""A run's folder: what may be in it before, what is noted in it, and how a run is found again.

In the end it holds:

    run.json            settings, versions, and in the end the best score and the seconds
    split.json          which cases trained, chose, and are left for the test
    log.csv             a row for each epoch
    tensorboard/        the same for TensorBoard
    checkpoints/        last.ckpt to go on from, best.ckpt
    model/              the best model so far, ready for `predict`
    prepared/           preprocessed cases; may be deleted when the run is over
"""

from __future__ import annotations

import csv
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lightm_unet import __version__
from lightm_unet.datasets.dataset import Dataset, open_dataset
from lightm_unet.datasets.splits import Split, read_split, write_split
from lightm_unet.errors import LightMUNetError, UsageError
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.system.json_codec import from_json, to_json
from lightm_unet.system.records import expect_usable, read_record, write_record
from lightm_unet.training.settings import TrainingSettings, join_network, make_settings

RECORD, SPLIT, LOG = "run.json", "split.json", "log.csv"
TENSORBOARD, MODEL, PREPARED = "tensorboard", "model", "prepared"
LAST, BEST = "checkpoints/last.ckpt", "checkpoints/best.ckpt"
FORMAT = 2
"""Of run.json. In format 1 the network had two entries, its name and its options."""


@dataclass(frozen=True)
class RunRecord:
    """What run.json holds."""

    lightm_unet: str
    """Version of this package, as the next two of theirs."""
    torch: str
    python: str
    dataset: Path
    """The data set's folder."""
    dataset_name: str
    settings: TrainingSettings
    preprocessing: Preprocessing
    best_dice: float | None = None
    """The best validation Dice; None until the run is over."""
    seconds: float | None = None
    """Of all epochs, however often interrupted; None until the run is over."""


class RunPlan(NamedTuple):
    """Everything that a run is determined by."""

    settings: TrainingSettings
    data: Dataset
    split: Split
    preprocessing: Preprocessing


def is_first_process() -> bool:
    """Whether this is the one that writes, of all that train together.

    They are started by Lightning, torchrun or SLURM.
    """
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in ranks)


def refuse_used_folder(folder: Path) -> None:
    """Refuse to start a run in a folder that holds something.

    Prepared cases of a start that was interrupted are no hindrance; they are found again.

    Raises:
        UsageError: there is something.
    """
    if not is_first_process():
        return  # the first process has looked, and may have written its record already
    if (folder / RECORD).exists():
        finished = (folder / LAST).exists()
        advice = "go on with it by --resume" if finished else "it has finished no epoch: remove it"
        raise UsageError(f"{folder}: a run is there already; {advice}, or choose another folder")
    if folder.exists() and (
        not folder.is_dir() or any(entry.name != PREPARED for entry in folder.iterdir())
    ):
        raise UsageError(f"{folder}: expected a new or an empty folder for the run")


@contextmanager
def nothing_left_behind(folder: Path) -> Iterator[None]:
    """When preparing the cases of a new run fails, leave its folder as it was."""
    existed = folder.exists()
    try:
        yield
    except LightMUNetError:
        if is_first_process():
            shutil.rmtree(folder / PREPARED if existed else folder, ignore_errors=True)
        raise


def begin_run(folder: Path, plan: RunPlan) -> None:
    """Note what a run is determined by."""
    write_split(plan.split, folder / SPLIT)
    record = RunRecord(
        lightm_unet=__version__,
        torch=torch.__version__,
        python=platform.python_version(),
        dataset=plan.data.root.resolve(),
        dataset_name=plan.data.name,
        settings=plan.settings,
        preprocessing=plan.preprocessing,
    )
    write_run(record, folder)


def end_run(folder: Path, best_dice: float) -> None:
    """Note the best validation Dice, and the seconds of all epochs."""
    with (folder / LOG).open(newline="") as file:
        seconds = sum(float(row["seconds"]) for row in csv.DictReader(file))
    record = replace(read_run(folder), best_dice=best_dice, seconds=round(seconds, 2))
    write_run(record, folder)


def write_run(record: RunRecord, folder: Path) -> None:
    """Write run.json."""
    write_record(to_json(record), folder / RECORD, FORMAT)


def read_run(folder: Path) -> RunRecord:
    """Read run.json.

    Raises:
        DataError: there is none, or it is damaged.
    """
    path = folder / RECORD
    content = read_record(path, FORMAT)
    advice = "use the version of lightm-unet that started the run, or start another run"
    with expect_usable(path, "a record", advice):
        if isinstance(content.get("settings"), dict):
            content["settings"] = join_network(content["settings"])
        return from_json(RunRecord, content)


def find_run(folder: Path, dataset: Path, given: dict[str, Any]) -> RunPlan:
    """What the run in a folder is determined by.

    Args:
        folder: the run's.
        dataset: must be the run's own.
        given: settings; those that are given, and not None, must be the run's own.

    Raises:
        UsageError: nothing to go on from, or something that contradicts the run.
        DataError: the folder is damaged.
    """
    if not (folder / LAST).is_file():
        raise UsageError(
            f"{folder}: no {LAST} to resume from; the run has not finished its first epoch, so "
            "start it again without --resume in an empty folder"
        )
    record = read_run(folder)
    given = join_network({name: value for name, value in given.items() if value is not None})
    asked = {**to_json(make_settings(given)), "dataset": str(dataset.resolve())}
    own = {**to_json(record.settings), "dataset": str(record.dataset)}
    for name in (*given, "dataset"):
        if asked[name] != own[name]:
            raise UsageError(
                f"{folder}: this run has {name} {own[name]!r}, not {asked[name]!r}; "
                "resume it with what it has, or start another run"
            )
    split = read_split(folder / SPLIT)
    return RunPlan(record.settings, open_dataset(record.dataset), split, record.preprocessing)
