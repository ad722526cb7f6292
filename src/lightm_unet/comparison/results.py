"""What became of a run: its scores on the test cases, or why there are none; one JSON file each."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightm_unet.comparison.names import folder_name
from lightm_unet.comparison.plan import Run
from lightm_unet.errors import DataError
from lightm_unet.evaluation.scores import CaseScores, Evaluation, FailedCase, LabelScores
from lightm_unet.system.files import read_json, write_json

DATA = "data"
"""Within a comparison's folder: its own data set, links to the cases."""
RESULT, MASKS = "result.json", "masks"
"""Within a run's folder."""
DONE, DIVERGED, FAILED = "done", "diverged", "failed"


@dataclass(frozen=True)
class RunResult:
    """What became of one run."""

    run: Run
    status: str
    """"done"; "diverged", training ended in numbers that are not finite; or "failed"."""
    error: str | None = None
    """Why it is not done, in one line."""
    best_dice: float = math.nan
    """Mean validation Dice of the chosen epoch, on the grid that the network sees."""
    seconds: float = math.nan
    """Of the training, validation included."""
    evaluation: Evaluation | None = None
    """On the test cases, on the images' own grids."""

    @property
    def settled(self) -> bool:
        """Whether the same command need not try again: divergence would only happen again."""
        return self.status in (DONE, DIVERGED)


def run_folder(folder: Path, run: Run) -> Path:
    """Where a run of the comparison in `folder` lives."""
    return folder / "runs" / folder_name(run.network) / f"seed-{run.seed}"


def write_result(result: RunResult, folder: Path) -> None:
    """Write a run's result into the comparison's folder."""
    content = {
        "network": result.run.network,
        "seed": result.run.seed,
        "status": result.status,
        "error": result.error,
        "best_dice": _number(result.best_dice),
        "seconds": _number(result.seconds),
        "evaluation": result.evaluation and _evaluation_to_json(result.evaluation),
    }
    write_json(content, run_folder(folder, result.run) / RESULT)


def read_result(folder: Path, run: Run) -> RunResult | None:
    """A run's result, or None where it has none yet.

    Raises:
        DataError: the file is damaged.
    """
    path = run_folder(folder, run) / RESULT
    if not path.exists():
        return None
    content = read_json(path)
    try:
        found = content["evaluation"]
        return RunResult(
            run,
            content["status"],
            content["error"],
            float(content["best_dice"]),
            float(content["seconds"]),
            None if found is None else _evaluation_from_json(found, path.parent, folder / DATA),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            path,
            f"a result that cannot be used ({error})",
            "one as this version of lightm-unet writes it",
            "remove it: the same command makes it again from the run",
        ) from error


def _evaluation_to_json(evaluation: Evaluation) -> dict[str, Any]:
    cases = [
        {
            "name": case.name,
            "spacing": list(case.spacing),
            "labels": {
                str(label): {name: _number(value) for name, value in asdict(scores).items()}
                for label, scores in case.labels.items()
            },
        }
        for case in evaluation.cases
    ]
    return {
        "label_names": {str(label): name for label, name in evaluation.label_names.items()},
        "cases": cases,
        "failed": [asdict(case) for case in evaluation.failed],
        "unit": evaluation.unit,
        "tolerance": evaluation.tolerance,
        "seconds": round(evaluation.seconds, 3),
    }


def _evaluation_from_json(content: dict[str, Any], folder: Path, references: Path) -> Evaluation:
    def scores(values: dict[str, Any]) -> LabelScores:
        return LabelScores(**{k: v if isinstance(v, int) else float(v) for k, v in values.items()})

    cases = (
        CaseScores(
            case["name"],
            {int(label): scores(values) for label, values in case["labels"].items()},
            tuple(case["spacing"]),
        )
        for case in content["cases"]
    )
    return Evaluation(
        label_names={int(label): name for label, name in content["label_names"].items()},
        cases=tuple(cases),
        failed=tuple(FailedCase(**case) for case in content["failed"]),
        unit=content["unit"],
        tolerance=content["tolerance"],
        predictions=folder / MASKS,
        references=references,
        seconds=content["seconds"],
    )


def _number(value: float) -> float | str:
    """JSON knows no infinity and no NaN: they are written as text, which float() reads."""
    return value if math.isfinite(value) else str(value)
