"""A report of one call of `predict`, as JSON, that can be shown to others.

It says what ran, on what, how long and with which outcome. Names of files and folders are often
patients' names or numbers, so that cases have numbers in it, in the order of the inputs, and names
are taken out of messages; `keep_ids` leaves them.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lightm_unet import __version__
from lightm_unet.inference.cases import InputCase
from lightm_unet.inference.record import CaseResult
from lightm_unet.inference.settings import PredictSettings
from lightm_unet.models.model_folder import ModelFolder
from lightm_unet.system.files import write_json
from lightm_unet.system.memory import peak_bytes

_INSTEAD = "..."
"""What stands for a name."""
_NOT_THERE = ("report", "keep_ids", "ensemble", "series", "manifest", "ray_address")
"""Settings that hold paths or UIDs, or say nothing about the masks."""


def write_report(
    path: Path,
    models: Sequence[ModelFolder],
    cases: Sequence[InputCase],
    results: Sequence[CaseResult],
    settings: PredictSettings,
    seconds: float,
) -> None:
    """Write the report, in one step; an earlier one is replaced.

    Args:
        path: the file.
        models: that made the masks.
        cases: all that were asked for.
        results: of those that were done, in the same order.
        settings: of the call, with the device that was used.
        seconds: that all of them took.

    Raises:
        UsageError: there is something at the path that is no file.
    """
    failed = sum(result.error is not None for result in results)
    report = {
        "lightm_unet": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "models": [_of_model(model, settings.keep_ids) for model in models],
        "settings": _of_settings(settings),
        "seconds": round(seconds, 3),
        "peak_memory_bytes": peak_bytes(),
        "cases": [
            _of_case(number, case, result, settings.keep_ids)
            for number, (case, result) in enumerate(zip(cases, results, strict=False), start=1)
        ],
        "done": len(results) - failed,
        "failed": failed,
        "not_begun": len(cases) - len(results),
    }
    write_json(report, path)


def _of_model(model: ModelFolder, keep_ids: bool) -> dict[str, Any]:
    return {
        **({"path": str(model.path)} if keep_ids else {}),
        "network": model.card.get("network", {}).get("name"),
        "sha256": model.weights_hash or None,
        "labels": list(model.label_names),
    }


def _of_settings(settings: PredictSettings) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(settings).items()
        if name not in _NOT_THERE
    }


def _of_case(number: int, case: InputCase, result: CaseResult, keep_ids: bool) -> dict[str, Any]:
    def shown(text: str) -> str:
        return text if keep_ids else without_names(text, case)

    names = {"name": result.name, "input": str(result.input)} if keep_ids else {}
    return {
        "case": number,
        **names,
        "outcome": "failed" if result.error else "done",
        "error": result.error and shown(result.error),
        "warnings": [shown(text) for text in result.warnings],
        "seconds": round(result.seconds, 3),
        "peak_memory_bytes": result.peak_bytes,
    }


def without_names(text: str, case: InputCase) -> str:
    """A message without the names of a case and of its files and folders.

    Example:
        >>> case = InputCase("DOE", (Path("archive/DOE.nii"),), None)
        >>> without_names("archive/DOE.nii: found shape (1, 2) of DOE; expected 3D", case)
        '...: found shape (1, 2) of ...; expected 3D'
    """
    for name in sorted(_names(case), key=len, reverse=True):
        text = text.replace(name, _INSTEAD)
    return text


def _names(case: InputCase) -> set[str]:
    paths = {*case.files, *(file.shown for file in case.dicom), *(f.path for f in case.dicom)}
    if case.output is not None:
        paths.add(case.output)
    names = {case.name}
    for path in _with_parents(paths):
        names |= {str(path), path.name, path.name.split(".")[0]}
    return {name for name in names if len(name) > 1}


def _with_parents(paths: Iterable[Path]) -> set[Path]:
    return {part for path in paths for part in (path, path.parent) if part.name}
