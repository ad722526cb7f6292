"""`train`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from lightm_unet.cli.options import FLAG, NONE_GIVEN, options
from lightm_unet.cli.terminal import complain, progress_bars
from lightm_unet.training.settings import TrainingSettings

NAMES = {"spacing_mm": "--spacing"}
GROUPS = {
    "Images": (
        "size",
        "patch",
        "spacing_mm",
        "normalization",
        "augmentation",
        "mirror_axes",
        "samples_per_case",
    ),
    "Training": ("recipe", "epochs", "batch_size", "learning_rate", "seed", "teacher"),
    "Network": ("network",),
    "Machine": ("device", "devices", "precision", "workers"),
}
"""Titles in the help, of `train` and of `compare`."""
FORMER = Parameter(show=False)
"""An option under an earlier name: still accepted, and no longer in the help."""
if TYPE_CHECKING:
    Settings = Mapping[str, Any]
else:
    Settings = options(TrainingSettings, names=NAMES, groups=GROUPS)


def train(
    dataset: Path,
    /,
    *,
    output: Path,
    resume: Annotated[bool, FLAG] = False,
    resume_anyway: Annotated[bool, FLAG] = False,
    architecture: Annotated[str | None, FORMER] = None,
    settings: Settings = NONE_GIVEN,
) -> None:
    """Train a network on a data set; the model in OUTPUT/model can then predict.

    Args:
        dataset: Data set in nnU-Net's raw layout.
        output: Folder for the run, new or empty.
        resume: Continue the run in OUTPUT from its last epoch, with its own settings.
        resume_anyway: As --resume, even if the data or the algorithm have changed since.
        architecture: Former name of --network.
    """
    from lightm_unet.training.run_folder import RECORD, is_first_process
    from lightm_unet.training.train import train as run

    try:
        given = {**settings, **({"architecture": architecture} if architecture else {})}
        with progress_bars() as progress:
            done = run(
                dataset,
                output,
                resume=resume,
                resume_anyway=resume_anyway,
                progress=progress,
                **given,
            )
    except KeyboardInterrupt:
        if (output / RECORD).exists():
            complain("lightm-unet: stopped; to continue, repeat the command with --resume")
        raise
    if is_first_process():
        print(f"best validation Dice {done.best_dice:.4f}; the model is in {done.model}")
