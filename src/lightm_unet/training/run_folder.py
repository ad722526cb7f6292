"""A run's folder: checks before the start, the records in it, and reading them to resume.

At the end it contains:

    run.json            settings, versions, and after the run the best score and the duration
    split.json          the training, validation and test cases
    log.csv             a row for each epoch
    tensorboard/        the same for TensorBoard
    checkpoints/        last.ckpt to resume from, best.ckpt
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
"""Format of run.json. In format 1 the network had two entries, its name and its options."""


@dataclass(frozen=True)
class RunRecord:
    """The content of run.json."""

    lightm_unet: str
    """Version of this package; the next two fields are the versions of the packages they name."""
    torch: str
    python: str
    dataset: Path
    """The data set's folder."""
    dataset_name: str
    settings: TrainingSettings
    preprocessing: Preprocessing
    best_dice: float | None = None
    """The best validation Dice; None until the run has ended."""
    seconds: float | None = None
    """Duration of all epochs, before and after interruptions; None until the run has ended."""


class RunPlan(NamedTuple):
    """Everything that determines a run."""

    settings: TrainingSettings
    data: Dataset
    split: Split
    preprocessing: Preprocessing


def is_first_process() -> bool:
    """Whether this process, of all that train together, is the one that writes files.

    The processes are started by Lightning, torchrun or SLURM.
    """
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in ranks)


def refuse_used_folder(folder: Path) -> None:
    """Reject a folder that is not empty, before a new run starts.

    Prepared cases from an interrupted start are allowed; they are reused.

    Raises:
        UsageError: the folder is not empty.
    """
    if not is_first_process():
        return  # the first process has checked, and may already have written its record
    if (folder / RECORD).exists():
        finished = (folder / LAST).exists()
        advice = "continue it with --resume" if finished else "it has finished no epoch: remove it"
        raise UsageError(f"{folder}: the folder contains a run; {advice}, or choose another folder")
    if folder.exists() and (
        not folder.is_dir() or any(entry.name != PREPARED for entry in folder.iterdir())
    ):
        raise UsageError(f"{folder}: expected a new or empty folder for the run")


@contextmanager
def nothing_left_behind(folder: Path) -> Iterator[None]:
    """If the code in the block fails, restore a new run's folder to its earlier state."""
    existed = folder.exists()
    try:
        yield
    except LightMUNetError:
        if is_first_process():
            shutil.rmtree(folder / PREPARED if existed else folder, ignore_errors=True)
        raise


def begin_run(folder: Path, plan: RunPlan) -> None:
    """Write the records of everything that determines a run."""
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
    """Record the best validation Dice and the duration of all epochs."""
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
        DataError: the file is missing or damaged.
    """
    path = folder / RECORD
    content = read_record(path, FORMAT)
    advice = "use the version of lightm-unet that started the run, or start another run"
    with expect_usable(path, "a record", advice):
        if isinstance(content.get("settings"), dict):
            content["settings"] = join_network(content["settings"])
        return from_json(RunRecord, content)


def find_run(folder: Path, dataset: Path, given: dict[str, Any]) -> RunPlan:
    """Read what determines the run in a folder.

    Args:
        folder: the run's folder.
        dataset: data set folder; it must be the run's.
        given: settings; those that are not None must equal the run's.

    Raises:
        UsageError: there is no checkpoint, or an argument contradicts the run.
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
                "resume it with its own settings, or start another run"
            )
    split = read_split(folder / SPLIT)
    return RunPlan(record.settings, open_dataset(record.dataset), split, record.preprocessing)
