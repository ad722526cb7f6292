"""The settings of a prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from lightm_unet.imaging.dicom.segment import SegmentationType

OutputFormat = Literal["same", "nifti"]
OUTPUT_FORMATS = get_args(OutputFormat)
Part = Literal["training", "validation", "test"]
PARTS = get_args(Part)
"""Parts of a training run's split."""


@dataclass(frozen=True)
class PredictSettings:
    """Settings of a prediction."""

    device: str = "auto"
    """Device that runs the network: auto, cpu, cuda, cuda:N (GPU number N, from 0) or mps; auto
    is a GPU if there is one."""
    overlap: float = 0.5
    """Overlap of neighbouring sliding windows, from 0 to below 1; whole-image models ignore it."""
    strict: bool = False
    """Refuse an image that is unlike the model's training images; otherwise a line tells of it."""
    probabilities: bool = False
    """Also write the probability of every label, one file for each, to OUTPUT/probabilities."""
    series: str | None = None
    """DICOM: number or UID of the series to segment; without it the largest series of each study
    in a folder."""
    output_format: OutputFormat = "same"
    """Format of masks: same is the image's kind, for DICOM a DICOM segmentation; nifti writes NIfTI
    for DICOM too."""
    segmentation_type: SegmentationType = "binary"
    """DICOM segmentations: binary has a bit for each label, labelmap one number for all of them,
    fractional the probability of each label."""
