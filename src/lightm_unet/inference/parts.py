"""The cases that a training run kept for validation or for the test."""

from __future__ import annotations

from pathlib import Path

from lightm_unet.datasets.dataset import open_dataset
from lightm_unet.datasets.splits import read_split
from lightm_unet.errors import UsageError
from lightm_unet.inference.settings import PARTS
from lightm_unet.system.choices import check_choice
from lightm_unet.training.run_folder import read_run


def images_of_part(run: Path | str, part: str) -> list[Path]:
    """Image files of one part of the split that a run was trained with.

    Args:
        run: the run's folder, with run.json and split.json.
        part: "training", "validation" or "test".

    Returns:
        Every file of every case, ready for `predict`.

    Raises:
        UsageError: there is no such part, the part is empty, or the folder is not a run's folder.
        DataError: the data set has been moved or lacks one of the cases, or a record is damaged.
    """
    run = Path(run)
    check_choice("part", part, PARTS)
    if not (run / "run.json").is_file() or not (run / "split.json").is_file():
        raise UsageError(
            f"{run}: no run.json and split.json here; a part of the split needs the folder of a "
            "training run, not a model alone"
        )
    data = open_dataset(read_run(run).dataset)
    names = getattr(read_split(run / "split.json"), part)
    if not names:
        raise UsageError(f"{run}: the split has no {part} cases")
    return [file for name in names for file in data.case(name).images]
