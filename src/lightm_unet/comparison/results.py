"""The result of a run: its scores on the test cases, or the error; one JSON file for each run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from lightm_unet.comparison.names import folder_name
from lightm_unet.comparison.plan import Run
from lightm_unet.evaluation.scores import Evaluation
from lightm_unet.system.json_codec import from_json, to_json
from lightm_unet.system.records import expect_usable, read_record, write_record

DATA = "data"
"""Folder within a comparison's folder: a data set of links to the cases."""
RESULT, MASKS = "result.json", "masks"
"""File and folder names within a run's folder."""
DONE, DIVERGED, FAILED = "done", "diverged", "failed"


@dataclass(frozen=True)
class RunResult:
    """The result of one run."""

    run: Run
    status: str
    """"done"; "diverged", if the training loss became NaN or infinite; or "failed"."""
    error: str | None = None
    """The error of a run that is not done, in one line."""
    best_dice: float = math.nan
    """Mean validation Dice of the selected epoch, on the grid of the network's input."""
    seconds: float = math.nan
    """Duration of the training, including validation."""
    evaluation: Evaluation | None = None
    """Scores of the test cases, on the images' own grids."""

    @property
    def settled(self) -> bool:
        """Whether the run need not be repeated; a diverged run would only diverge again."""
        return self.status in (DONE, DIVERGED)


def run_folder(folder: Path, run: Run) -> Path:
    """The folder of a run of the comparison in `folder`."""
    return folder / "runs" / folder_name(run.network) / f"seed-{run.seed}"


def write_result(result: RunResult, folder: Path) -> None:
    """Write a run's result into the comparison's folder."""
    content = to_json(result)
    content = {**content.pop("run"), **content}
    if content["evaluation"]:
        # Paths of masks and references are not stored: the folder may be moved.
        del content["evaluation"]["predictions"], content["evaluation"]["references"]
    write_record(content, run_folder(folder, result.run) / RESULT)


def read_result(folder: Path, run: Run) -> RunResult | None:
    """Read a run's result; None if it has none yet.

    Raises:
        DataError: the file is damaged.
    """
    path = run_folder(folder, run) / RESULT
    if not path.exists():
        return None
    content = read_record(path)
    content["run"] = {name: content.pop(name, None) for name in ("network", "seed")}
    if isinstance(content.get("evaluation"), dict):
        places = {"predictions": path.parent / MASKS, "references": folder / DATA}
        content["evaluation"] |= to_json(places)
    advice = "remove it and repeat the command, which makes it again from the run"
    with expect_usable(path, "a result", advice):
        result = from_json(RunResult, content)
        if result.run != run:
            raise ValueError(f"it belongs to {result.run}")
        return result
