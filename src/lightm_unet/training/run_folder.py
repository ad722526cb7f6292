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
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lightm_unet import __version__
from lightm_unet.datasets.dataset import Dataset, open_dataset
from lightm_unet.datasets.splits import Split, read_split, write_split
from lightm_unet.errors import DataError, LightMUNetError, UsageError
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.system.files import read_json, write_json
from lightm_unet.training.settings import TrainingSettings, make_settings

RECORD, SPLIT, LOG = "run.json", "split.json", "log.csv"
TENSORBOARD, MODEL, PREPARED = "tensorboard", "model", "prepared"
LAST, BEST = "checkpoints/last.ckpt", "checkpoints/best.ckpt"


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


def write_record(folder: Path, plan: RunPlan) -> None:
    """Note what a run is determined by."""
    write_split(plan.split, folder / SPLIT)
    record = {
        "lightm_unet": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "dataset": str(plan.data.root.resolve()),
        "dataset_name": plan.data.name,
        "settings": plan.settings.to_json_dict(),
        "preprocessing": plan.preprocessing.to_json_dict(),
    }
    write_json(record, folder / RECORD)


def complete_record(folder: Path, best_dice: float) -> None:
    """Add the best validation Dice, and the seconds of all epochs, however often interrupted."""
    with (folder / LOG).open(newline="") as file:
        seconds = sum(float(row["seconds"]) for row in csv.DictReader(file))
    record = read_json(folder / RECORD)
    write_json({**record, "best_dice": best_dice, "seconds": round(seconds, 2)}, folder / RECORD)


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
    record = read_json(folder / RECORD)
    try:
        stored = TrainingSettings.from_json_dict(record["settings"])
        preprocessing = Preprocessing.from_json_dict(record["preprocessing"])
        root = Path(record["dataset"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            folder / RECORD,
            f"a record that cannot be used ({error})",
            "one as this version of lightm-unet writes it",
            "resume with the version that started the run, or start another run",
        ) from error
    asked = {**make_settings(given).to_json_dict(), "dataset": str(dataset.resolve())}
    own = {**stored.to_json_dict(), "dataset": str(root)}
    for name in (*(name for name, value in given.items() if value is not None), "dataset"):
        if asked[name] != own[name]:
            raise UsageError(
                f"{folder}: this run has {name} {own[name]!r}, not {asked[name]!r}; "
                "resume it with what it has, or start another run"
            )
    return RunPlan(stored, open_dataset(root), read_split(folder / SPLIT), preprocessing)
