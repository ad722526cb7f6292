"""Images in, masks out, each on its image's own grid."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lightm_unet.errors import DataError, LightMUNetError, UsageError
from lightm_unet.imaging.dicom.segment import SEGMENTATION_TYPES, Algorithm, Segment
from lightm_unet.imaging.dicom.write_segmentation import (
    LEVELS,
    need_segmentations,
    write_segmentation,
)
from lightm_unet.imaging.image import write_labels
from lightm_unet.inference.cases import (
    SEGMENTATION_ENDING,
    VOLUME_ENDING,
    InputCase,
    find_cases,
)
from lightm_unet.inference.output_folder import check_masks_folder, concerns_one_file, unwritable
from lightm_unet.inference.probabilities import FOLDER, warn_of_former, write_probabilities
from lightm_unet.inference.record import CaseResult, write_record
from lightm_unet.inference.segments import algorithm_of, segments_of
from lightm_unet.inference.settings import (
    OUTPUT_FORMATS,
    OutputFormat,
    PredictSettings,
    SegmentationType,
)
from lightm_unet.models.likeness import NOT_COMPARED
from lightm_unet.models.logits import check_overlap
from lightm_unet.models.model_folder import ModelFolder, load_model
from lightm_unet.models.predict_image import ImageLogits, image_logits, judge_image
from lightm_unet.system.choices import check_choice
from lightm_unet.system.device import choose_device, is_out_of_memory
from lightm_unet.system.progress import Progress, track

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
        progress: called with an event for each case.

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
    if any(_is_segmentation(case) for case in cases):
        need_segmentations()
    job = _Job(
        model,
        folder,
        chosen,
        overlap,
        probabilities,
        strict,
        segmentation_type,
        segments_of(model),
        algorithm_of(model),
    )
    check_masks_folder(folder, [case.output.name for case in cases if case.output])
    if not probabilities:
        warn_of_former(folder / FOLDER, [case.output for case in cases if case.output])

    start = time.perf_counter()
    results: list[CaseResult] = []

    def record() -> None:
        if any(result.output for result in results):
            write_record(model, results, folder, str(chosen), time.perf_counter() - start)

    try:
        for case in track(cases, "predict", progress, lambda case: case.name):
            case_start = time.perf_counter()
            warnings: list[str] = []
            error = job.do(case, warnings)
            if error and len(cases) == 1:
                raise error
            results.append(
                CaseResult(
                    name=case.name,
                    input=case.files[0],
                    output=None if error else case.output,
                    # Only its text: a raised error holds what its functions held, images too.
                    error=str(error) if error else None,
                    warnings=tuple(warnings),
                    seconds=time.perf_counter() - case_start,
                )
            )
            del error
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


@dataclass(frozen=True)
class _Job:
    """What the cases of one call have in common."""

    model: ModelFolder
    output: Path
    device: torch.device
    overlap: float
    probabilities: bool
    strict: bool
    segmentation_type: SegmentationType
    segments: tuple[Segment, ...]
    algorithm: Algorithm

    def do(self, case: InputCase, warnings: list[str]) -> LightMUNetError | None:
        """Segment one case and write its files; the error if that fails for this case alone.

        What may be wrong with the mask is added to `warnings`.
        """
        try:
            logits = image_logits(
                self.model,
                case.read(self.model.preprocessing.channels),
                device=self.device,
                overlap=self.overlap,
            )
            self._judge(case, logits, warnings)
            self._write(case, logits)
        except (DataError, UsageError) as error:
            return error
        except OSError as error:
            file = case.output or case.files[0]
            if not concerns_one_file(error):
                raise unwritable(file, error) from error
            return unwritable(file, error)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return _too_large(case, self.device)
        return None

    def _judge(self, case: InputCase, logits: ImageLogits, warnings: list[str]) -> None:
        if self.model.profile is None:
            return
        judgement = judge_image(self.model.profile, logits, self.model.label_names)
        found = NOT_COMPARED if judgement is None else str(judgement)
        if judgement is not None and not judgement.unlike:
            return
        if self.strict:
            raise DataError(
                case.files[0],
                f"an image {found}",
                "one like them",
                "check that it is what the model is for; without strict it is segmented all the "
                "same, with a warning",
            )
        warnings.append(found)
        _logger.warning("%s: %s; check the mask", case.files[0], found)

    def _write(self, case: InputCase, logits: ImageLogits) -> None:
        assert case.output is not None  # `read` raises where there is no image
        if self.probabilities:  # first, so that no mask stands without them
            write_probabilities(logits, self.output / FOLDER, case.output.name)
        if not _is_segmentation(case):
            write_labels(logits.labels, logits.geometry, case.output)
            return
        fractional = self.segmentation_type == "fractional"
        write_segmentation(
            logits.labels,
            logits.geometry,
            case.output,
            self.segments,
            self.algorithm,
            self.segmentation_type,
            logits.probabilities(LEVELS) if fractional else None,
        )


def _is_segmentation(case: InputCase) -> bool:
    return case.output is not None and case.output.suffix == SEGMENTATION_ENDING


def _too_large(case: InputCase, device: torch.device) -> DataError:
    return DataError(
        case.files[0],
        f"an image too large for the memory of {device}",
        "one that fits",
        f"use {'' if device.type == 'cpu' else 'the device cpu, '}a machine with more memory, or a "
        "model trained on patches",
    )


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
