"""Images in, masks out, each on its image's own grid."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lightm_unet.errors import UsageError
from lightm_unet.imaging.dicom.segment import SEGMENTATION_TYPES
from lightm_unet.imaging.dicom.write_segmentation import need_segmentations
from lightm_unet.inference.cases import (
    SEGMENTATION_ENDING,
    VOLUME_ENDING,
    InputCase,
    find_cases,
)
from lightm_unet.inference.job import CaseAtWork, Job, is_segmentation
from lightm_unet.inference.output_folder import check_masks_folder, unwritable
from lightm_unet.inference.pipeline import Stages, run_pipeline
from lightm_unet.inference.probabilities import FOLDER, warn_of_former
from lightm_unet.inference.record import CaseResult, write_record
from lightm_unet.inference.settings import (
    OUTPUT_FORMATS,
    OutputFormat,
    PredictSettings,
    SegmentationType,
)
from lightm_unet.models.logits import check_overlap
from lightm_unet.models.model_folder import ModelFolder, load_model
from lightm_unet.system.choices import check_choice
from lightm_unet.system.device import choose_device
from lightm_unet.system.progress import Progress, ProgressEvent

_logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    StrPath = str | os.PathLike[str]


def predict(
    model: StrPath | ModelFolder,
    inputs: StrPath | Iterable[StrPath],
    output: StrPath,
    *,
    device: str = PredictSettings.device,
    overlap: float = PredictSettings.overlap,
    strict: bool = PredictSettings.strict,
    probabilities: bool = PredictSettings.probabilities,
    series: str | None = PredictSettings.series,
    output_format: OutputFormat = PredictSettings.output_format,
    segmentation_type: SegmentationType = PredictSettings.segmentation_type,
    progress: Progress | None = None,
) -> list[CaseResult]:
    """Segment image files, and write a mask for each, on the image's own grid.

    The mask is uint8 and has the image's shape and affine; for DICOM it is a DICOM segmentation
    that refers to its images. A case that fails does not stop the others; existing masks are
    replaced. `prediction.json`, beside the masks, records the model, the device and the cases; it
    is written too if the work is stopped. For an image in memory there is
    `load_model(...).predict`.

    Args:
        model: a model folder or a training run's folder, or a model returned by `load_model`.
        inputs: an image file, a folder of images or a zip archive of DICOM, or several of them;
            `find_cases` explains how files become cases.
        output: folder for the masks; made if missing.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        overlap: of neighbouring sliding windows, 0 to below 1; whole-image models ignore it.
        strict: refuse an image that is unlike the model's training images, see `models.likeness`;
            otherwise a warning is logged and stands in the record.
        probabilities: also write the probability of every label to `output/probabilities`;
            `inference.probabilities` describes the files.
        series: number or UID of the DICOM series to segment; None takes the largest series of each
            study in a folder.
        output_format: "same" or "nifti", which writes NIfTI for DICOM images.
        segmentation_type: of DICOM segmentations, "binary", "labelmap" or "fractional".
        progress: called with an event for each case, when it is the network's turn; the case
            before may then still be being written.

    Returns:
        One result per case, in the order of the inputs; inputs without an image come last.

    Raises:
        UsageError: an option cannot be used, or two masks would have the same name.
        DataError: the only input is missing or contains no images; the only case failed; or no
            mask can be written to `output`.
        MissingPartError: the device, or what reads or writes DICOM, is not available.
    """
    check_overlap(overlap)
    check_choice("output_format", output_format, OUTPUT_FORMATS)
    check_choice("segmentation_type", segmentation_type, SEGMENTATION_TYPES)
    chosen = choose_device(device)
    paths = _paths("inputs", [inputs] if isinstance(inputs, (str, os.PathLike)) else inputs)
    (folder,) = _paths("output", [output])
    if not isinstance(model, ModelFolder):
        model = load_model(model)
    cases = find_cases(
        paths,
        folder,
        model.preprocessing.channels,
        series=series,
        dicom_ending=VOLUME_ENDING if output_format == "nifti" else SEGMENTATION_ENDING,
    )
    if any(is_segmentation(case) for case in cases):
        need_segmentations()
    settings = PredictSettings(
        device=str(chosen),
        overlap=overlap,
        strict=strict,
        probabilities=probabilities,
        series=series,
        output_format=output_format,
        segmentation_type=segmentation_type,
    )
    job = Job.of(model, folder, chosen, settings)
    check_masks_folder(folder, [case.output.name for case in cases if case.output])
    if not probabilities:
        warn_of_former(folder / FOLDER, [case.output for case in cases if case.output])

    start = time.perf_counter()
    results: list[CaseResult] = []

    def record() -> None:
        if any(result.output for result in results):
            write_record(model, results, folder, str(chosen), time.perf_counter() - start)

    try:
        _do_cases(job, cases, results, progress)
    except BaseException as stop:  # Ctrl-C, a full disk
        with suppress(OSError):
            record()
        if isinstance(stop, KeyboardInterrupt):
            _logger.warning("stopped after %d of %d images", len(results), len(cases))
        raise
    try:
        record()
    except OSError as error:
        raise unwritable(folder, error) from error
    return results


def _do_cases(
    job: Job, cases: Sequence[InputCase], results: list[CaseResult], progress: Progress | None
) -> None:
    """Do all cases; a result is added as each is finished, in their order."""
    turn = 0

    def begin(work: CaseAtWork) -> None:
        nonlocal turn
        if progress is not None:
            progress(ProgressEvent("predict", turn, len(cases), work.case.name))
        turn += 1

    def done(work: CaseAtWork, error: Exception | None) -> None:
        if error and len(cases) == 1:
            raise error
        # Only its text: a raised error holds what its functions held, images too.
        results.append(work.result(str(error) if error else None))

    run_pipeline(
        [CaseAtWork(case) for case in cases],
        Stages(
            read=job.read,
            compute=job.segment,
            write=job.finish,
            concerns_one=job.error_of,
            is_large=job.is_large,
            begin=begin,
            done=done,
        ),
    )
    if progress is not None:
        progress(ProgressEvent("predict", len(cases), len(cases)))


def _paths(name: str, values: Iterable[StrPath]) -> list[Path]:
    """The paths of an argument; a text is one path, not a path for each letter."""
    try:
        texts = [os.fspath(value) for value in values]
        if all(isinstance(text, str) and text and "\0" not in text for text in texts):
            return [Path(text) for text in texts]
        found: object = texts
    except TypeError:
        found = values
    raise UsageError(f"{name} needs paths, got {found!r:.60}")
