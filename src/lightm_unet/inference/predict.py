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
from lightm_unet.imaging.image import check_nan_as
from lightm_unet.inference.case_keys import settings_key
from lightm_unet.inference.case_statistics import write_statistics
from lightm_unet.inference.cases import (
    SEGMENTATION_ENDING,
    VOLUME_ENDING,
    InputCase,
    find_cases,
)
from lightm_unet.inference.folder_in_use import using_folder
from lightm_unet.inference.job import CaseAtWork, Job, is_segmentation
from lightm_unet.inference.ledger import LEDGER_NAME, Ledger
from lightm_unet.inference.manifest import find_manifest_cases, read_manifest
from lightm_unet.inference.output_folder import check_masks_folder, unwritable
from lightm_unet.inference.pipeline import Stages, run_pipeline
from lightm_unet.inference.probabilities import FOLDER, warn_of_former
from lightm_unet.inference.record import CaseResult, write_record
from lightm_unet.inference.resuming import ResumableJob, name_in_ledger
from lightm_unet.inference.run_report import write_report
from lightm_unet.inference.settings import (
    ENGINES,
    OUTPUT_FORMATS,
    Engine,
    OutputFormat,
    PredictSettings,
    SegmentationType,
)
from lightm_unet.inference.shards import choose_shard
from lightm_unet.models.logits import check_overlap
from lightm_unet.models.model_folder import ModelFolder, load_model
from lightm_unet.system.choices import check_choice
from lightm_unet.system.device import choose_device
from lightm_unet.system.files import check_output_folder
from lightm_unet.system.progress import Progress, ProgressEvent

_logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    StrPath = str | os.PathLike[str]


def predict(
    model: StrPath | ModelFolder,
    inputs: StrPath | Iterable[StrPath] | None,
    output: StrPath,
    *,
    device: str = PredictSettings.device,
    overlap: float = PredictSettings.overlap,
    strict: bool = PredictSettings.strict,
    probabilities: bool = PredictSettings.probabilities,
    series: str | None = PredictSettings.series,
    output_format: OutputFormat = PredictSettings.output_format,
    segmentation_type: SegmentationType = PredictSettings.segmentation_type,
    ensemble: StrPath | ModelFolder | Sequence[StrPath | ModelFolder] = PredictSettings.ensemble,
    mirror: bool = PredictSettings.mirror,
    largest_component: str | Sequence[str] = PredictSettings.largest_component,
    minimum_size: str | Sequence[str] = PredictSettings.minimum_size,
    fill_holes: str | Sequence[str] = PredictSettings.fill_holes,
    nan_as: float | None = PredictSettings.nan_as,
    isolate: bool = PredictSettings.isolate,
    statistics: bool = PredictSettings.statistics,
    preview: bool = PredictSettings.preview,
    report: StrPath | None = PredictSettings.report,
    keep_ids: bool = PredictSettings.keep_ids,
    manifest: StrPath | None = PredictSettings.manifest,
    shard: str | None = PredictSettings.shard,
    engine: Engine = PredictSettings.engine,
    ray_address: str | None = PredictSettings.ray_address,
    ray_workers: int | None = PredictSettings.ray_workers,
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
        ensemble: further models of the same labels and channels, whose probabilities are averaged
            with the first one's, see `models.ensemble`.
        mirror: look at mirror images too, see `models.mirroring`.
        largest_component: labels of which only the largest connected part is kept; this and the
            next two are applied in this order, see `inference.cleaning`. Probabilities stay as the
            networks gave them.
        minimum_size: labels with the size in mm3 (flat: mm2) below which parts are removed, such
            as "liver=500".
        fill_holes: labels whose holes are filled.
        nan_as: the intensity that NaN and infinite voxels are given; None refuses such images.
        isolate: read DICOM in a process of its own, see `inference.isolated`.
        statistics: also write `statistics.csv` and `statistics.json`, see
            `inference.case_statistics`.
        preview: also write a picture of each mask to `output/previews`.
        report: JSON file for a report of the run, see `inference.run_report`.
        keep_ids: name cases and files in the report and the ledger.
        manifest: a table of cases instead of `inputs`, see `inference.manifest`.
        shard: "i/N", the part of the cases to do, see `inference.shards`; None does the part that
            a scheduler says, "none" all of them.
        engine: "local" or "ray", see `inference.ray_engine`.
        ray_address: of a running Ray cluster; None starts one on this machine.
        ray_workers: processes on the cluster; None chooses.
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
    check_choice("engine", engine, ENGINES)
    if (inputs is None) == (manifest is None):
        raise UsageError(
            "predict needs either inputs or a manifest, to know which images to segment"
        )
    part = choose_shard(shard)
    (folder,) = _paths("output", [output])
    if not isinstance(model, ModelFolder):
        model = load_model(model)
    others = _models(ensemble)
    report_file = None if report is None else _paths("report", [report])[0]
    ending = VOLUME_ENDING if output_format == "nifti" else SEGMENTATION_ENDING
    channels = model.preprocessing.channels
    if inputs is None:
        assert manifest is not None  # as checked above
        rows = read_manifest(_paths("manifest", [manifest])[0])
        cases = find_manifest_cases(
            rows, folder, channels, series=series, dicom_ending=ending, shard=part
        )
        total = len(rows)
    else:
        paths = _paths("inputs", [inputs] if isinstance(inputs, (str, os.PathLike)) else inputs)
        cases = find_cases(paths, folder, channels, series=series, dicom_ending=ending)
        total = len(cases)
        if part is not None and (shard is not None or total > 1):
            cases = [case for case in cases if part.holds(name_in_ledger(case))]
        else:
            part = None  # a scheduler's task that is given one image means this one
    if part is not None:
        _logger.info("%s: %d of %d cases", part, len(cases), total)
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
        ensemble=tuple(other.path for other in others),
        mirror=mirror,
        largest_component=_words(largest_component),
        minimum_size=_words(minimum_size),
        fill_holes=_words(fill_holes),
        nan_as=nan_as,
        isolate=isolate,
        statistics=statistics,
        preview=preview,
        report=report_file,
        keep_ids=keep_ids,
        manifest=None if manifest is None else Path(manifest),
        shard=shard,
        engine=engine,
        ray_address=ray_address,
        ray_workers=ray_workers,
    )
    if nan_as is not None:
        check_nan_as(nan_as)
    job = Job.of(model, folder, chosen, settings, others)
    if report_file is not None:
        check_output_folder(report_file.parent, [report_file.name])
    check_masks_folder(folder, [case.output.name for case in cases if case.output])
    if not probabilities:
        warn_of_former(folder / FOLDER, [case.output for case in cases if case.output])

    ledger = Ledger(folder / LEDGER_NAME)
    stages: Job | ResumableJob = job
    if key := settings_key(job.members, settings):
        stages = ResumableJob(job, ledger, key)
    start = time.perf_counter()
    results: list[CaseResult] = []

    def record() -> None:
        seconds = time.perf_counter() - start
        if report_file is not None:
            write_report(report_file, job.members, cases, results, settings, seconds)
        if not any(result.output for result in results):
            return
        with ledger.locked():  # other processes may write into this folder too
            write_record(model, results, folder, str(chosen), seconds, others)
        if statistics:
            write_statistics(
                {result.name: result.statistics for result in results if result.output}, folder
            )

    with using_folder(folder):
        try:
            if engine == "ray":
                _do_cases_on_ray(job, cases, results, progress)
            else:
                _do_cases(stages, cases, results, progress, alone=len(cases) == total == 1)
        except BaseException as stop:  # Ctrl-C, a full disk
            with suppress(OSError):
                record()
            if isinstance(stop, KeyboardInterrupt):
                _logger.warning("stopped after %d of %d images", len(results), len(cases))
            elif len(cases) == total == 1:
                ledger.remove_if_new()  # one image that fails leaves nothing behind
            raise
        finally:
            job.close()
            with suppress(OSError):
                ledger.close()
        try:
            record()
        except OSError as error:
            raise unwritable(folder, error) from error
    return results


def _do_cases(
    job: Job | ResumableJob,
    cases: Sequence[InputCase],
    results: list[CaseResult],
    progress: Progress | None,
    *,
    alone: bool,
) -> None:
    """Do all cases; a result is added as each is finished, in their order.

    The error of a case that was asked for alone is raised.
    """
    turn = 0

    def begin(work: CaseAtWork) -> None:
        nonlocal turn
        if progress is not None:
            progress(ProgressEvent("predict", turn, len(cases), work.case.name))
        turn += 1

    def done(work: CaseAtWork, error: Exception | None) -> None:
        # Only its text: a raised error holds what its functions held, images too.
        results.append(work.result(str(error) if error else None))
        if error and alone:
            raise error

    works = [CaseAtWork(case) for case in cases]
    run_pipeline(
        works,
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
    _say_what_was_reused(results)


def _do_cases_on_ray(
    job: Job, cases: Sequence[InputCase], results: list[CaseResult], progress: Progress | None
) -> None:
    """Do all cases on a Ray cluster; results are in the order of the cases."""
    from lightm_unet.inference.ray_engine import run_on_ray

    found: dict[int, CaseResult] = {}

    def done(place: int, result: CaseResult) -> None:
        found[place] = result
        if progress is not None:
            name = "" if len(found) == len(cases) else result.name
            progress(ProgressEvent("predict", len(found), len(cases), name))

    try:
        run_on_ray(job, cases, done)
    finally:
        results.extend(result for _, result in sorted(found.items()))
    _say_what_was_reused(results)


def _say_what_was_reused(results: Sequence[CaseResult]) -> None:
    if reused := sum(result.reused for result in results):
        _logger.info(
            "%d of %d masks were there already, made of the same images by the same model with the "
            "same settings",
            reused,
            len(results),
        )


def _models(given: StrPath | ModelFolder | Sequence[StrPath | ModelFolder]) -> list[ModelFolder]:
    """The models of an ensemble, loaded."""
    several = [given] if isinstance(given, (str, os.PathLike, ModelFolder)) else given
    return [
        each if isinstance(each, ModelFolder) else load_model(_paths("ensemble", [each])[0])
        for each in several
    ]


def _words(given: str | Sequence[str]) -> tuple[str, ...]:
    """Words of an argument; a text is one word."""
    return (given,) if isinstance(given, str) else tuple(given)


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
