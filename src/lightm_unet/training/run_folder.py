"""A run's folder: checks before the start, and the records in it; `resuming.py` compares them.

At the end it contains:

    run.json            settings, versions, and after the run the best score and the duration
    split.json          the training, validation and test cases
    log.csv             a row for each epoch
    tensorboard/        the same for TensorBoard
    checkpoints/        last.ckpt to resume from, best.ckpt; until the end, previous.ckpt
    model/              the best model so far, ready for `predict`
    prepared/           preprocessed cases; may be deleted when the run is over

While a process trains there, lock.json names it, see `run_lock.py`.
"""

from __future__ import annotations

import csv
import logging
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from lightm_unet import __version__
from lightm_unet.datasets.dataset import Dataset
from lightm_unet.datasets.splits import Split, read_split, write_split
from lightm_unet.errors import DataError, LightMUNetError, UsageError
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.system.files import remove_temporary_files
from lightm_unet.system.json_codec import from_json, to_json
from lightm_unet.system.records import (
    digest,
    expect_usable,
    read_record,
    write_record,
)
from lightm_unet.training.fingerprint import Fingerprint
from lightm_unet.training.run_lock import LOCK
from lightm_unet.training.settings import TrainingSettings, join_network

RECORD, SPLIT, LOG = "run.json", "split.json", "log.csv"
TENSORBOARD, MODEL, PREPARED = "tensorboard", "model", "prepared"
LAST, BEST = "checkpoints/last.ckpt", "checkpoints/best.ckpt"
PREVIOUS = "checkpoints/previous.ckpt"
FORMAT = 2
"""Format of run.json. In format 1 the network had two entries, its name and its options."""
ALGORITHM = 3
"""Raised when the same settings and data would train other weights: samples, loss, optimizer."""

_log = logging.getLogger(__name__)


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
    algorithm: int = 1
    """`ALGORITHM` of the version that started the run."""
    split: str | None = None
    """SHA-256 of the content of split.json."""
    data: Fingerprint | None = None
    """What the data were; None until all cases have been prepared."""
    passed_over: tuple[str, ...] = ()
    """Differences that --resume-anyway has passed over."""
    teacher_sha256: str | None = None
    """SHA-256 of the teacher's description and weights; None without a teacher."""


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


def refuse_foreign_folder(folder: Path) -> None:
    """Reject a folder that holds something else than a run, before anything is written into it.

    Prepared cases and temporary files from an interrupted start are allowed.

    Raises:
        UsageError: the folder is not empty.
    """
    if not is_first_process() or not folder.exists() or (folder / RECORD).exists():
        return
    if not folder.is_dir() or any(
        entry.name not in (PREPARED, LOCK) and not entry.name.endswith(".tmp")
        for entry in folder.iterdir()
    ):
        raise UsageError(f"{folder}: expected a new or empty folder for the run")


def refuse_used_folder(folder: Path) -> None:
    """Reject a folder that holds a run, before a new one starts.

    Raises:
        UsageError: there is a run.
    """
    # The first process has checked, and may already have written its record.
    if is_first_process() and (folder / RECORD).exists():
        raise UsageError(
            f"{folder}: the folder contains a run; continue it with --resume, or choose another "
            "folder"
        )


def refuse_missing_run(folder: Path) -> None:
    """Reject a folder that holds no run, before one is resumed.

    Raises:
        UsageError: there is no run.
    """
    if not folder.is_dir():
        raise UsageError(
            f"{folder}: no such folder, so there is no run to resume from; check the path, or "
            "start the run without --resume"
        )
    if not (folder / RECORD).exists():
        raise UsageError(
            f"{folder}: no {RECORD}, so there is no run to resume from; if the run was stopped "
            "before it began, start it again without --resume"
        )


def tidy(folder: Path) -> None:
    """Remove what a run that was killed while it wrote has left. No other process may write here.

    Prepared cases that several runs share are left alone.
    """
    if _processes() > 1:
        return  # others of this run may be writing already
    folders = [folder, folder / MODEL, (folder / LAST).parent, folder / PREPARED]
    removed = [
        name for each in folders if not each.is_symlink() for name in remove_temporary_files(each)
    ]
    if removed:
        _log.info(f"{folder}: removed {len(removed)} unfinished file(s) of a process that ended")


def _processes() -> int:
    """The number of processes that torchrun or SLURM has started for this run."""
    number = os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS") or "1"
    return int(number) if number.isdecimal() else 1


@contextmanager
def nothing_left_behind(folder: Path) -> Iterator[None]:
    """If the code in the block fails, remove what it has put into a new run's folder."""
    try:
        yield
    except LightMUNetError:
        if is_first_process():
            shutil.rmtree(folder / PREPARED, ignore_errors=True)
            for name in (RECORD, SPLIT):
                (folder / name).unlink(missing_ok=True)
        raise


@contextmanager
def removed_if_empty(folder: Path) -> Iterator[None]:
    """Remove a folder, and those above it, that the block has made and left empty."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        yield
    finally:
        with suppress(OSError):  # not empty
            for each in missing:
                each.rmdir()


def begin_run(folder: Path, plan: RunPlan, teacher_sha256: str | None = None) -> RunRecord:
    """Write the records of everything that determines a run, before its cases are prepared."""
    record = RunRecord(
        lightm_unet=__version__,
        torch=torch.__version__,
        python=platform.python_version(),
        dataset=plan.data.root.resolve(),
        dataset_name=plan.data.name,
        settings=plan.settings,
        preprocessing=plan.preprocessing,
        algorithm=ALGORITHM,
        split=digest(to_json(plan.split)),
        teacher_sha256=teacher_sha256,
    )
    write_run(record, folder)  # first: a folder with the split alone would not be a run's
    write_split(plan.split, folder / SPLIT)
    return record


def update_run(folder: Path, record: RunRecord, plan: RunPlan) -> None:
    """Write the records of a resumed run where they differ from what is there."""
    try:
        same = read_split(folder / SPLIT) == plan.split
    except DataError:
        same = False
    if not same:
        _log.warning(f"{folder / SPLIT}: found another file; wrote the run's own split again")
        write_split(plan.split, folder / SPLIT)
    if read_run(folder) != record:
        write_run(record, folder)


def end_run(folder: Path, best_dice: float) -> None:
    """Record the best validation Dice and the duration of all epochs."""
    with (folder / LOG).open(newline="") as file:
        seconds = sum(float(row["seconds"]) for row in csv.DictReader(file))
    record = replace(read_run(folder), best_dice=best_dice, seconds=round(seconds, 2))
    write_run(record, folder)
    (folder / PREVIOUS).unlink(missing_ok=True)


def write_run(record: RunRecord, folder: Path) -> None:
    """Write run.json."""
    write_record(to_json(record), folder / RECORD, FORMAT, checksum=True)


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


def has_checkpoint(folder: Path) -> bool:
    """Whether a run has finished an epoch; its checkpoints may be damaged."""
    return any((folder / name).exists() for name in (LAST, PREVIOUS, BEST))
