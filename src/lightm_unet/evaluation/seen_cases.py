"""Whether a model is scored on cases that it was trained on.

Such scores are too good, and nothing in the masks tells. What can be known cheaply is: the record
beside predicted masks names the model and the images, a training run has its split beside its
model, and a data set may have a stored split.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from lightm_unet.datasets.splits import SPLIT_FILE, read_split
from lightm_unet.errors import DataError
from lightm_unet.inference.record import RECORD_NAME
from lightm_unet.system.files import read_json


def warn_of_seen_cases(predictions: Path, references: Path, names: Collection[str]) -> str:
    """A line for readers if scored cases trained or selected the model, or may have; or empty.

    Args:
        predictions: the folder of the masks.
        references: the reference masks; perhaps a data set.
        names: of the scored masks.
    """
    run = _run_of(predictions)
    if run is not None:
        seen = _seen_by_run(run, predictions) & set(names)
        if not seen:
            return ""
        return (
            f"{len(seen)} of {len(names)} cases trained or selected this model, so the scores are "
            f"too good; `lightm-unet predict {run} --part test` gives masks of unseen cases"
        )
    seen = _trained_or_selected(references / SPLIT_FILE) & set(names)
    if not seen:
        return ""
    return (
        f"{len(seen)} of {len(names)} cases are in the training or validation part of "
        f"{references / SPLIT_FILE}: scores of a model that was trained on them are too good"
    )


def _run_of(predictions: Path) -> Path | None:
    """The folder of the run whose model made the masks; None if it is unknown or gone."""
    with suppress(DataError, TypeError, KeyError):
        model = Path(read_json(predictions / RECORD_NAME)["model"])
        for folder in (model, model.parent):
            if (folder / "run.json").is_file() and (folder / SPLIT_FILE).is_file():
                return folder
    return None


def _seen_by_run(run: Path, predictions: Path) -> set[str]:
    """The predicted cases of the run's own data set that trained or selected its model."""
    seen = _trained_or_selected(run / SPLIT_FILE)
    with suppress(DataError, TypeError, KeyError):
        images = (Path(read_json(run / "run.json")["dataset"]) / "imagesTr").resolve()
        cases = read_json(predictions / RECORD_NAME)["cases"]
        return {
            case["name"]
            for case in cases
            if case["name"] in seen and Path(case["input"]).resolve().parent == images
        }
    return set()


def _trained_or_selected(split: Path) -> set[str]:
    with suppress(DataError):
        parts = read_split(split)
        return {*parts.training, *parts.validation}
    return set()
