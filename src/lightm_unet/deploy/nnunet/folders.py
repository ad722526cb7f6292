"""Where nnU-Net keeps things: its variables, its data sets, and the folder of our trainers."""

from __future__ import annotations

import os
import re
from pathlib import Path

from lightm_unet.errors import UsageError

PREPROCESSED, RESULTS = "nnUNet_preprocessed", "nnUNet_results"
"""nnU-Net's variables for the folders of prepared images with their plans, and of models."""
TRAINERS = "nnUNet_extTrainer"
"""nnU-Net's variable for folders of trainers; several are joined as in PATH."""
OUR_TRAINERS = Path(__file__).with_name("trainers")
"""The folder of our trainers. nnU-Net imports what lies in it, and nothing else has to."""


def folder_of(variable: str) -> Path:
    """The folder that one of nnU-Net's variables names.

    Raises:
        UsageError: it is unset, or names no folder.
    """
    value = os.environ.get(variable)
    if not value:
        raise UsageError(
            f"{variable} is not set; let it name nnU-Net's folder, such as "
            f"export {variable}=/data/{variable}"
        )
    if not Path(value).is_dir():
        raise UsageError(f"{variable} is {value}, which is no folder; make it or correct the path")
    return Path(value)


def find_dataset(dataset: str, variable: str = PREPROCESSED) -> Path:
    """A data set's folder by its number or its name, such as 4 or Dataset004_Hippocampus.

    Raises:
        UsageError: the variable is unset, there is no such data set, or there are several.
    """
    folder = folder_of(variable)
    there = sorted(path.name for path in folder.glob("Dataset[0-9][0-9][0-9]*_*") if path.is_dir())
    if re.fullmatch("[0-9]+", dataset):
        found = [name for name in there if name.startswith(f"Dataset{int(dataset):03d}_")]
    else:
        found = [name for name in there if name == dataset]
    if not found:
        raise UsageError(
            f"no data set {dataset} in {variable}={folder}, which holds "
            f"{', '.join(there) or 'none'}; give one of these, or prepare it first: "
            "nnUNetv2_plan_and_preprocess -d NUMBER"
        )
    if len(found) > 1:
        raise UsageError(f"data set {dataset} is ambiguous: {', '.join(found)}; give the name")
    return folder / found[0]


def trainers_path() -> str:
    """The value of nnUNet_extTrainer with our folder in it, behind those that it has.

    Example:
        >>> OUR_TRAINERS.name in trainers_path()
        True
    """
    others = [each for each in os.environ.get(TRAINERS, "").split(os.pathsep) if each]
    ours = str(OUR_TRAINERS)
    return os.pathsep.join([each for each in others if each != ours] + [ours])
