"""The result of each case, and the JSON record that `predict` writes beside its masks."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightm_unet import __version__
from lightm_unet.errors import DataError
from lightm_unet.inference.case_statistics import PartStatistics
from lightm_unet.reporting.palette import Colour, read_colour
from lightm_unet.system import records

if TYPE_CHECKING:
    from lightm_unet.models.model_folder import ModelFolder

RECORD_NAME = "prediction.json"
"""The record's file name, in the output folder."""


@dataclass(frozen=True)
class CaseResult:
    """The result of one case."""

    name: str
    input: Path
    """The image, its first channel's file if there are several."""
    output: Path | None
    """The mask; None if the case failed."""
    error: str | None
    """Why the case failed, in one line; None if it did not."""
    warnings: tuple[str, ...]
    """What may be wrong with the mask, each in one line."""
    seconds: float
    """That reading, the network and writing took, without the time they waited for each other."""
    peak_bytes: int = 0
    """The most memory that the process had held by the time the case was done."""
    statistics: tuple[PartStatistics, ...] = ()
    """Of its mask, if asked for."""
    reused: bool = False
    """Whether the mask was there already, made of the same image by the same model."""


def write_record(
    model: ModelFolder,
    results: Iterable[CaseResult],
    folder: Path,
    device: str,
    seconds: float,
    others: Iterable[ModelFolder] = (),
) -> None:
    """Write the record of one `predict` call.

    Cases that an earlier record names and this call did not have stay in it. Where another model
    made their masks, they say so.

    Args:
        model: the model that made the masks.
        results: the results of all cases, including failed ones.
        folder: the folder with the masks.
        device: the device that ran the network.
        seconds: duration for all cases together.
        others: models that voted with it.
    """
    cases = [
        {
            "name": result.name,
            "input": str(result.input),
            "output": result.output and result.output.name,
            "error": result.error,
            "warnings": list(result.warnings),
            "seconds": round(result.seconds, 3),
        }
        for result in results
    ]
    record = {
        "version": __version__,
        "model": str(model.path),
        **({"ensemble": [str(other.path) for other in others]} if others else {}),
        "label_names": list(model.label_names),
        "label_colours": [list(colour) for colour in model.label_colours],
        "device": device,
        "seconds": round(seconds, 3),
        "cases": _earlier_cases(folder, str(model.path), cases) + cases,
    }
    records.write_record(record, folder / RECORD_NAME)


def _earlier_cases(folder: Path, model: str, new: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cases of the folder's record that are not among the new ones."""
    try:
        record = records.read_record(folder / RECORD_NAME)
        cases = [case for case in record["cases"] if isinstance(case, dict)]
        earlier_model = record["model"]
    except (DataError, KeyError, TypeError):
        return []
    there = {(case["name"], case["output"]) for case in new}
    names = {name for name, _ in there}
    kept = []
    for case in cases:
        name, output = case.get("name"), case.get("output")
        # A case that failed has no mask that could tell two of one name apart.
        if (name, output) in there or (name in names and not output):
            continue
        by = case.get("model", earlier_model)
        rest = {key: value for key, value in case.items() if key != "model"}
        kept.append(rest if by == model else {**rest, "model": by})
    return kept


@dataclass(frozen=True)
class RecordedLabels:
    """The labels of the model that made the masks in a folder; the index is the label's value."""

    names: tuple[str, ...] = ()
    colours: tuple[Colour, ...] = ()


def recorded_labels(folder: Path) -> RecordedLabels:
    """Read the labels from the record beside the masks in a folder.

    Returns:
        Names and colours; each is empty if there is no usable record. The record is optional, so
            an unrelated file of that name causes no error.
    """
    names: tuple[str, ...] = ()
    colours: tuple[Colour, ...] = ()
    with suppress(DataError):
        record = records.read_record(folder / RECORD_NAME)
        found = record.get("label_names")
        if isinstance(found, list) and all(isinstance(name, str) for name in found):
            names = tuple(found)
        with suppress(TypeError, ValueError):
            colours = tuple(map(read_colour, record.get("label_colours", ())))
    return RecordedLabels(names, colours)
