"""What became of a run: its scores on the test cases, or why there are none; one JSON file each."""

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
    content = to_json(result)
    content = {**content.pop("run"), **content}
    if content["evaluation"]:
        # Where masks and references lie follows from the folder, which may be moved.
        del content["evaluation"]["predictions"], content["evaluation"]["references"]
    write_record(content, run_folder(folder, result.run) / RESULT)


def read_result(folder: Path, run: Run) -> RunResult | None:
    """A run's result, or None where it has none yet.

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
    advice = "remove it: the same command makes it again from the run"
    with expect_usable(path, "a result", advice):
        result = from_json(RunResult, content)
        if result.run != run:
            raise ValueError(f"it is that of {result.run}")
        return result
