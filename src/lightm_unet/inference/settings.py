"""The settings of a prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from lightm_unet.imaging.dicom.segment import SegmentationType

OutputFormat = Literal["same", "nifti"]
OUTPUT_FORMATS = get_args(OutputFormat)
Engine = Literal["local", "ray"]
ENGINES = get_args(Engine)
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
    ensemble: Sequence[Path] = ()
    """Folder of a further model of the same labels and channels, whose probabilities are averaged
    with those of MODEL."""
    mirror: bool = False
    """Look at mirror images too and average: along the axes along which the training images were
    mirrored, never one along which labels have sides. Each axis doubles the time."""
    largest_component: Sequence[str] = ()
    """Label of which only the largest connected part is kept."""
    minimum_size: Sequence[str] = ()
    """Label and size, such as liver=500, below which its connected parts are removed: in mm3, for
    flat images in mm2."""
    fill_holes: Sequence[str] = ()
    """Label whose holes are filled: background that it encloses."""
    nan_as: float | None = None
    """Intensity that NaN and infinite voxels are given; without it such images are refused."""
    isolate: bool = False
    """Read DICOM in a process of its own, with a limit on its memory and time: for files of
    unknown origin."""
    statistics: bool = False
    """Also write OUTPUT/statistics.csv and .json: volume or area, extent, place and mean intensity
    of each label and of its largest connected parts."""
    preview: bool = False
    """Also write a picture of each mask on its image to OUTPUT/previews."""
    report: Path | None = None
    """JSON file for a report of the run: version, model, device, seconds, memory, and the outcome
    and warnings of each case, without any name of a file."""
    keep_ids: bool = False
    """Name files and cases in the report; their names may be patients' names or numbers."""
    manifest: Path | None = None
    """Table of cases instead of INPUTS, CSV or Parquet: a column image (or path), and where wanted
    name and series; or a listing from idc-index."""
    shard: str | None = None
    """Do part i of N of the cases, such as 2/8. In an array job of SLURM, an indexed job of
    Kubernetes and a job of Cloud Run the part is known by itself; none turns that off."""
    engine: Engine = "local"
    """What runs the cases: local, this process; ray, processes of a Ray cluster."""
    ray_address: str | None = None
    """Address of a running Ray cluster, such as ray://head:10001; without it one is started on
    this machine."""
    ray_workers: int | None = None
    """Processes on the Ray cluster; without it one for each GPU, or one for each two cores."""
