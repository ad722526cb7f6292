"""Probabilities as files: one for each label, beside the masks.

For the mask `CASE.nii.gz` they are `probabilities/CASE_0.nii.gz`, `CASE_1.nii.gz` and so on:
float32 from 0 to 1, on the image's grid; for the DICOM segmentation `CASE.dcm` they are the same.
For the mask `CASE.png` they are 16-bit grey pictures `probabilities/CASE_0.png`, ..., in which
65535 stands for 1. Label 0 is the background. At each voxel the largest belongs to the mask's
label, and all together are 1 but for rounding.

One file for each label opens in every viewer, and one map at a time is in memory.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from lightm_unet.imaging.image import has_spacing, split_ending, write_map
from lightm_unet.inference.cases import SEGMENTATION_ENDING, VOLUME_ENDING
from lightm_unet.models.ensemble import EnsembleLogits
from lightm_unet.models.predict_image import ImageLogits

_log = logging.getLogger(__name__)

FOLDER = "probabilities"
"""In the output folder: `evaluate` takes the folder itself, where only masks may lie."""
LEVELS = 65535
"""The grey level of a picture that stands for a probability of 1."""


def warn_of_former(folder: Path, masks: Iterable[Path]) -> None:
    """Log a line if maps of an earlier call lie beside masks that will be written anew.

    They stay, for nothing is deleted that the user may need.
    """
    former = [mask for mask in masks if (folder / map_name(mask.name, 0)).exists()]
    if former:
        _log.warning(
            "%s holds probabilities of an earlier call for %d of the images; they stay, and need "
            "not fit the new masks: remove them, or give --probabilities to write them anew",
            folder,
            len(former),
        )


def map_name(mask: str, label: int) -> str:
    """The name of a label's map, made from the name of the mask."""
    stem, ending = split_ending(mask)
    return f"{stem}_{label}{VOLUME_ENDING if ending == SEGMENTATION_ENDING else ending}"


def write_probabilities(logits: ImageLogits | EnsembleLogits, folder: Path, mask: str) -> None:
    """Write the probabilities of every label, each file in one step.

    Args:
        logits: of one image.
        folder: made where missing.
        mask: name of the image's mask, from which the names are made.
    """
    levels = None if has_spacing(mask) else LEVELS
    for label, values in enumerate(logits.probabilities(levels)):
        write_map(values, logits.geometry, folder / map_name(mask, label))
