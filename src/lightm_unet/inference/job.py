"""What is done with one case: read, segment, judge, write.

Each step is a method of its own, and the steps of different cases run in different threads at the
same time: a step changes nothing but the case's own `warnings`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from lightm_unet.errors import DataError, NotFiniteError, UsageError
from lightm_unet.imaging.dicom.segment import Algorithm, Segment
from lightm_unet.imaging.dicom.write_segmentation import LEVELS, write_segmentation
from lightm_unet.imaging.image import NIFTI_ENDINGS, Image, write_labels
from lightm_unet.imaging.nifti import read_nifti_shape
from lightm_unet.inference.case_statistics import PartStatistics, measure_case
from lightm_unet.inference.cases import SEGMENTATION_ENDING, InputCase
from lightm_unet.inference.cleaning import Cleaning
from lightm_unet.inference.isolated import IsolatedReader
from lightm_unet.inference.output_folder import concerns_one_file, unwritable
from lightm_unet.inference.preview import PREVIEWS, write_preview
from lightm_unet.inference.probabilities import FOLDER, write_probabilities
from lightm_unet.inference.record import CaseResult
from lightm_unet.inference.segments import algorithm_of, segments_of
from lightm_unet.inference.settings import PredictSettings
from lightm_unet.models.ensemble import EnsembleLogits, check_members
from lightm_unet.models.likeness import NOT_COMPARED
from lightm_unet.models.mirroring import axes_to_mirror
from lightm_unet.models.model_folder import ModelFolder
from lightm_unet.models.predict_image import (
    ImageLogits,
    PreparedImage,
    judge_image,
    prepare_image,
    prepared_logits,
)
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.system.device import is_out_of_memory
from lightm_unet.system.logs import log_once
from lightm_unet.system.memory import free_bytes, peak_bytes

_log = logging.getLogger(__name__)

_BYTES_PER_VALUE = 8
"""While an image is read: as it is stored, and as float32."""
_VALUES_PER_BYTE = 50
"""Of a picture's file, packed well."""
_SHARE_OF_FREE = 0.25
"""Of the free memory that an image read ahead may take."""


@dataclass(eq=False)
class CaseAtWork:
    """A case on its way, with what is found out about it."""

    case: InputCase
    warnings: list[str] = field(default_factory=list)
    """What may be wrong with the mask, each in one line."""
    seconds: float = 0.0
    """That its steps have taken so far, without waiting for each other."""
    statistics: tuple[PartStatistics, ...] = ()
    """Of its mask, if asked for."""
    key: str = ""
    """Of its files, the model and the settings, see `case_keys`."""
    reused: bool = False
    """Whether its mask was there already."""
    set_aside: bool = False
    """Whether it has ended the process too often."""

    def result(self, error: str | None) -> CaseResult:
        """The result, once the case is finished."""
        return CaseResult(
            name=self.case.name,
            input=self.case.files[0],
            output=None if error else self.case.output,
            error=error,
            warnings=tuple(self.warnings),
            seconds=self.seconds,
            peak_bytes=peak_bytes(),
            statistics=() if error else self.statistics,
            reused=self.reused,
        )

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the block's time."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start


@dataclass(frozen=True)
class ReadCase:
    """A case's image as each model sees it."""

    prepared: tuple[PreparedImage, ...]
    """One for each model."""
    image: Image | None
    """As it was read, where it is needed again for statistics or a preview."""


@dataclass(frozen=True)
class SegmentedCase:
    """What the models make of a case."""

    logits: ImageLogits | EnsembleLogits
    image: Image | None
    """As in `ReadCase`."""


@dataclass(frozen=True)
class Job:
    """What the cases of one call have in common.

    Example: `write(work, segment(work, read(work)))` does one case; `error_of` says what an
    exception means.
    """

    model: ModelFolder
    output: Path
    """Folder for the masks."""
    device: torch.device
    settings: PredictSettings
    segments: tuple[Segment, ...]
    algorithm: Algorithm
    cleaning: Cleaning
    members: tuple[ModelFolder, ...]
    """The model, and those that vote with it."""
    mirror_axes: tuple[tuple[int, ...], ...]
    """Of each member."""
    reader: IsolatedReader | None
    """Reads DICOM in a process of its own; to be closed."""

    @classmethod
    def of(
        cls,
        model: ModelFolder,
        output: Path,
        device: torch.device,
        settings: PredictSettings,
        others: Sequence[ModelFolder] = (),
    ) -> Job:
        """A job with what the model says of its labels.

        Args:
            model: makes the masks, with the others.
            output: folder for the masks.
            device: runs the networks.
            settings: of the call.
            others: models that vote with the first.

        Raises:
            DataError: the model's labels have codes that are none.
            UsageError: a rule names no label of the model, or the others have other labels.
        """
        members = (model, *others)
        check_members(members)
        cleaning = Cleaning.of(settings, model.label_names)
        if cleaning and settings.segmentation_type == "fractional":
            raise UsageError(
                "segmentation_type fractional stores the networks' probabilities, which "
                "largest_component, minimum_size and fill_holes do not change; use binary or "
                "labelmap"
            )
        return cls(
            model,
            output,
            device,
            settings,
            segments_of(model),
            algorithm_of(model, others),
            cleaning,
            members,
            tuple(axes_to_mirror(each) if settings.mirror else () for each in members),
            IsolatedReader() if settings.isolate else None,
        )

    def close(self) -> None:
        """End what runs for the job."""
        if self.reader is not None:
            self.reader.close()

    def read(self, work: CaseAtWork) -> ReadCase:
        """Read a case's image and prepare it for the networks."""
        with work.timed():
            image = self._read(work.case)
            made: dict[Preprocessing, PreparedImage] = {}
            for member in self.members:
                if member.preprocessing not in made:
                    made[member.preprocessing] = prepare_image(member, image)
            keep = self.settings.statistics or self.settings.preview
            prepared = tuple(made[member.preprocessing] for member in self.members)
            return ReadCase(prepared, image if keep else None)

    def _read(self, case: InputCase) -> Image:
        channels, nan_as = self.model.preprocessing.channels, self.settings.nan_as
        if self.reader is not None and case.dicom and not case.problem:
            return self.reader.read(case.dicom, channels, nan_as)
        try:
            return case.read(channels, nan_as)
        except NotFiniteError as error:
            advice = f"{error.advice}, or give that value as nan_as (--nan-as)"
            raise DataError(error.path, error.found, error.expected, advice) from error

    def segment(self, work: CaseAtWork, case: ReadCase) -> SegmentedCase:
        """Run the networks."""
        with work.timed():
            logits = tuple(
                prepared_logits(
                    member,
                    prepared,
                    device=self.device,
                    overlap=self.settings.overlap,
                    mirror_axes=axes,
                )
                for member, prepared, axes in zip(
                    self.members, case.prepared, self.mirror_axes, strict=True
                )
            )
            return SegmentedCase(
                logits[0] if len(logits) == 1 else EnsembleLogits(logits), case.image
            )

    def finish(self, work: CaseAtWork, case: SegmentedCase) -> None:
        """Judge a case and write its files."""
        with work.timed():
            logits = case.logits
            self.judge(work, logits if isinstance(logits, ImageLogits) else logits.members[0])
            self.write(work, case)

    def judge(self, work: CaseAtWork, logits: ImageLogits) -> None:
        """Compare the image with those that the model was trained on.

        Raises:
            DataError: it is unlike them, and the settings are strict.
        """
        if self.model.profile is None:
            return
        judgement = judge_image(self.model.profile, logits, self.model.label_names)
        found = NOT_COMPARED if judgement is None else str(judgement)
        if judgement is not None and not judgement.unlike:
            return
        file = work.case.files[0]
        if self.settings.strict:
            raise DataError(
                file,
                f"an image {found}",
                "one like them",
                "check that it is what the model is for; without strict it is segmented all the "
                "same, with a warning",
            )
        work.warnings.append(found)
        _log.warning("%s: %s; check the mask", file, found)

    def write(self, work: CaseAtWork, case: SegmentedCase) -> None:
        """Write the mask, and what else is asked for; the mask last, so that it stands for all."""
        output, logits, settings = work.case.output, case.logits, self.settings
        assert output is not None  # `read` raises where there is no image
        labels = self.cleaning.apply(logits.labels, logits.geometry, str(work.case.files[0]))
        if settings.probabilities:
            write_probabilities(logits, self.output / FOLDER, output.name)
        if case.image is not None and settings.statistics:
            work.statistics = tuple(measure_case(labels, case.image, self.model.label_names))
        if case.image is not None and settings.preview:
            write_preview(case.image, labels, self.model, self.output / PREVIEWS, output.name)
        if not is_segmentation(work.case):
            write_labels(labels, logits.geometry, output)
            return
        fractional = settings.segmentation_type == "fractional"
        write_segmentation(
            labels,
            logits.geometry,
            output,
            self.segments,
            self.algorithm,
            settings.segmentation_type,
            logits.probabilities(LEVELS) if fractional else None,
        )

    def error_of(self, work: CaseAtWork, error: Exception) -> Exception:
        """The error of this case alone.

        Raises:
            DataError: nothing more can be written.
            Exception: the error itself, where it is nothing that an image can cause.
        """
        case = work.case
        if isinstance(error, (DataError, UsageError)):
            return error
        if isinstance(error, OSError):
            told = unwritable(case.output or case.files[0], error)
            if concerns_one_file(error):
                return told
            raise told from error
        if is_out_of_memory(error):
            return _too_large(case, self.device)
        raise error

    def is_large(self, work: CaseAtWork) -> bool:
        """Whether there is too little memory to hold another image beside this one."""
        values = _values(work.case)
        if _BYTES_PER_VALUE * values <= _SHARE_OF_FREE * free_bytes():
            return False
        log_once(
            _log,
            "large images one at a time",
            f"{work.case.files[0]}: {values / 1e6:,.0f} million voxels, which is much for the free "
            "memory: such images are read one after the other, none ahead (said once)",
        )
        return True


def is_segmentation(case: InputCase) -> bool:
    """Whether the mask is a DICOM segmentation."""
    return case.output is not None and case.output.suffix == SEGMENTATION_ENDING


def _values(case: InputCase) -> int:
    """Voxels times channels, as far as they can be known before the image is read."""
    if case.problem:
        return 0
    if case.dicom:
        return case.dicom_voxels
    try:
        return sum(
            math.prod(read_nifti_shape(file))
            if file.name.lower().endswith(NIFTI_ENDINGS)
            else file.stat().st_size * _VALUES_PER_BYTE
            for file in case.files
        )
    except (DataError, OSError):  # reading it will tell
        return 0


def _too_large(case: InputCase, device: torch.device) -> DataError:
    return DataError(
        case.files[0],
        f"an image too large for the memory of {device}",
        "one that fits",
        f"use {'' if device.type == 'cpu' else 'the device cpu, '}a machine with more memory, or a "
        "model trained on patches",
    )
