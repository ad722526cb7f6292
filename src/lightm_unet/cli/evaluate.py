"""`evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightm_unet.cli.options import NONE_GIVEN, options
from lightm_unet.cli.terminal import complain, progress_bars
from lightm_unet.evaluation.settings import EvaluationSettings

if TYPE_CHECKING:
    Settings = Mapping[str, Any]
else:
    Settings = options(EvaluationSettings)


def evaluate(
    predictions: Path,
    references: Path,
    /,
    *,
    output: Path | None = None,
    settings: Settings = NONE_GIVEN,
) -> int:
    """Compare predicted masks with reference masks: Dice, IoU, HD95 and surface Dice of each class.

    Args:
        predictions: A mask, or a folder of masks.
        references: The reference masks: a file, a folder, or a data set in nnU-Net's raw layout.
        output: Folder for cases.csv, summary.json and report.html, which are replaced if they are
                there; by default no file is written.
    """
    from lightm_unet.evaluation.evaluate import evaluate as run
    from lightm_unet.evaluation.tables import print_evaluation

    with progress_bars() as progress:
        evaluation = run(predictions, references, output, progress=progress, **settings)
    print_evaluation(evaluation)
    for case in evaluation.failed:
        complain(f"{case.name}: {case.error}")
    if output is not None:
        print(f"report: {output / 'report.html'}")
    return 1 if evaluation.failed else 0
