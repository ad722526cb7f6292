"""Labels as a DICOM segmentation that refers to the images they were made from.

One frame for each segment and slice is written, the empty ones too: so the object holds the grid
of the images, and can be read without them. Patient and study are copied from the images, as an
archive files objects by them; docs/formats.md lists what.

UIDs are made from the images' UIDs, the model and the labels: the same mask is the same object.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightm_unet.errors import DataError, LightMUNetError, UsageError
from lightm_unet.imaging.dicom.parse import read_header, text
from lightm_unet.imaging.dicom.segment import Algorithm, Code, Segment, SegmentationType
from lightm_unet.imaging.dicom_source import DicomFile, Source
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.system.extras import require_extra
from lightm_unet.system.files import write_bytes
from lightm_unet.system.quiet import without_warnings

if TYPE_CHECKING:
    from pydicom import Dataset

LEVELS = 255
"""The level of a fractional segmentation that stands for a probability of 1."""
_COPIED = (
    "SpecificCharacterSet",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "StudyInstanceUID",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
)
"""Taken from the images; everything else about the patient stays where it is."""
_NEEDED = (
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "Modality",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "ImageType",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "DimensionOrganizationSequence",
    "DimensionIndexSequence",
    "DimensionOrganizationType",
)
"""Needed to refer to the images and to place the segments as they lie."""
_EMPTY_IF_MISSING = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate"),
    *("StudyTime", "AccessionNumber", "ReferringPhysicianName"),
)
_CLASS_OF = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_OWN_SCHEME = "99LIGHTMUNET"
_LONGEST_NAME = 64
_THICKNESS_MM = 1.0
"""Where nothing says it."""


def need_segmentations() -> None:
    """Stop if the packages that write DICOM segmentations are missing.

    Raises:
        MissingPartError: they are not installed.
    """
    require_extra("dicom", "writing DICOM segmentations", "pydicom", "highdicom")


def write_segmentation(
    labels: np.ndarray,
    geometry: Geometry,
    path: Path,
    segments: Sequence[Segment],
    algorithm: Algorithm,
    kind: SegmentationType = "binary",
    levels: Iterable[np.ndarray] | None = None,
) -> None:
    """Write labels as a DICOM segmentation, in one step.

    Args:
        labels: integers of `geometry.shape`, 0 for the background.
        geometry: of the DICOM image that they belong to.
        path: of the new file.
        segments: what the labels 1, 2, ... are.
        algorithm: what made them.
        kind: how they are stored.
        levels: for `fractional`, the probability of each label, the background's first, as whole
            numbers up to `LEVELS`; each of `geometry.shape`.

    Raises:
        UsageError: labels that do not fit, or a grid that is not DICOM's.
        DataError: the images lack what a segmentation needs of them.
        MissingPartError: highdicom is not installed.
    """
    need_segmentations()
    source = geometry.dicom
    if source is None or labels.shape != geometry.shape:
        raise UsageError(f"labels of shape {labels.shape} do not fit a DICOM grid")
    if labels.max(initial=0) > len(segments) or labels.min(initial=0) < 0:
        raise UsageError(f"labels up to {labels.max()}, but {len(segments)} segments")
    frames = _in_frames(labels.astype(np.uint8), geometry)
    pixels: np.ndarray = frames
    if kind == "fractional":
        if levels is None:
            raise UsageError("a fractional segmentation needs the labels' probabilities")
        stacked = np.stack(
            [_in_frames(each, geometry) for each in list(levels)[1:]], axis=-1, dtype=np.int16
        )
        pixels = _agreeing(stacked, frames).astype(np.float32) / LEVELS
    images = _source_images(source)
    order = _order_in_source(source)
    try:
        with without_warnings():  # about values of the images, which are copied
            spacing = geometry.spacing_mm if geometry.radiograph else None
            entropy = _digest(labels)
            data = _encode(pixels[order], images, segments, algorithm, kind, entropy, spacing)
    except LightMUNetError:
        raise
    except Exception as error:  # highdicom raises many types for what images lack
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            source.slices[0].file.shown,
            f"an image from which no DICOM segmentation can be made ({reason})",
            "one with the attributes that the standard demands",
            "write NIfTI instead: --output-format nifti",
        ) from error
    write_bytes(data, path)


def labels_of_levels(levels: np.ndarray) -> np.ndarray:
    """The likeliest label, from the levels of all segments but the background.

    The background has what the segments leave of `LEVELS`; of equal ones a segment wins, the first.

    Args:
        levels: whole numbers up to `LEVELS`, `(..., segments)`.
    """
    levels = levels.astype(np.int16)
    background = LEVELS - levels.sum(axis=-1, dtype=np.int16)
    best = levels.argmax(axis=-1)
    highest = np.take_along_axis(levels, best[..., None], axis=-1)[..., 0]
    return np.where(highest >= np.maximum(background, 1), best + 1, 0).astype(np.uint8)


def _agreeing(levels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Levels from which `labels_of_levels` gives the labels: rounding may have hidden the largest.

    A level changes by one step at a time, where and as long as it is needed.
    """
    for _ in range(LEVELS):
        wrong = np.nonzero(labels_of_levels(levels) != labels)
        if not wrong[0].size:
            break
        wanted = labels[wrong].astype(np.intp)
        inside = wanted > 0
        rise = tuple(axis[inside] for axis in wrong)
        levels[(*rise, wanted[inside] - 1)] += 1
        fall = tuple(axis[~inside] for axis in wrong)
        levels[(*fall, levels[fall].argmax(axis=-1))] -= 1
    return levels.clip(0, LEVELS)


def _in_frames(array: np.ndarray, geometry: Geometry) -> np.ndarray:
    """`(slices, rows, columns)` in the order of the grid."""
    if geometry.is_picture:
        return array[None]
    return array.reshape(geometry.stored_shape).transpose(2, 1, 0)


def _order_in_source(source: Source) -> list[int]:
    """For each frame of the images, in their own order, the slice that it is."""
    return sorted(range(len(source.slices)), key=lambda index: source.slices[index].number)


def _source_images(source: Source) -> list[Dataset]:
    """The images' headers, in the order of the slices; one for a multi-frame object."""
    return [_completed(file) for file in dict.fromkeys(place.file for place in source.slices)]


def _completed(file: DicomFile) -> Dataset:
    """An image's header with what a reference to it needs, and nothing else."""
    from pydicom.uid import generate_uid

    header = read_header(file, (*_COPIED, *_NEEDED))
    for name in _EMPTY_IF_MISSING:
        if name not in header:
            setattr(header, name, "")
    modality = text(header, "Modality") or "OT"
    defaults = {
        "Modality": modality,
        "SOPClassUID": text(header.file_meta, "MediaStorageSOPClassUID")
        or _CLASS_OF.get(modality, _SECONDARY_CAPTURE),
        "SOPInstanceUID": text(header.file_meta, "MediaStorageSOPInstanceUID")
        or generate_uid(entropy_srcs=[str(file.shown)]),
        "SeriesInstanceUID": generate_uid(entropy_srcs=["series", str(file.shown.parent)]),
        "StudyInstanceUID": generate_uid(entropy_srcs=["study", str(file.shown.parent)]),
        "FrameOfReferenceUID": generate_uid(
            entropy_srcs=["space", text(header, "SeriesInstanceUID") or str(file.shown.parent)]
        ),
    }
    for name, value in defaults.items():
        if not text(header, name):
            setattr(header, name, value)
    if "SharedFunctionalGroupsSequence" not in header and not text(header, "SliceThickness"):
        header.SliceThickness = _THICKNESS_MM
    if not text(header, "SpecificCharacterSet"):
        header.pop("SpecificCharacterSet", None)
    return header


def _digest(labels: np.ndarray) -> str:
    return hashlib.sha256(labels.tobytes()).hexdigest()


def _encode(
    pixels: np.ndarray,
    images: Sequence[Dataset],
    segments: Sequence[Segment],
    algorithm: Algorithm,
    kind: SegmentationType,
    digest: str,
    spacing: tuple[float, ...] | None,
) -> bytes:
    """The bytes of the file; `spacing` where the images keep their pixel size in another place."""
    import highdicom
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    identification = highdicom.AlgorithmIdentificationSequence(
        name=algorithm.name,
        family=codes.DCM.ArtificialIntelligence,
        version=algorithm.version,
        source=algorithm.name,
        parameters=algorithm.parameters,
    )
    entropy = [
        *(str(image.SOPInstanceUID) for image in images),
        *(algorithm.version, repr(sorted(algorithm.parameters.items())), kind, digest),
    ]
    first = images[0]
    number = first.get("SeriesNumber")
    # A projection has no thickness, but readers ask for one.
    measures = None if spacing is None else highdicom.PixelMeasuresSequence(spacing, _THICKNESS_MM)
    segmentation = highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=pixels,
        segmentation_type=kind.upper(),
        segment_descriptions=[
            _description(index, segment, identification)
            for index, segment in enumerate(segments, start=1)
        ],
        series_instance_uid=generate_uid(entropy_srcs=["series", *entropy]),
        series_number=1000 + (int(number) if number is not None else 0),
        sop_instance_uid=generate_uid(entropy_srcs=["instance", *entropy]),
        instance_number=1,
        manufacturer=algorithm.name,
        manufacturer_model_name=algorithm.name,
        software_versions=algorithm.version,
        device_serial_number=algorithm.parameters.get("model", algorithm.version)[:_LONGEST_NAME],
        pixel_measures=measures,
        max_fractional_value=LEVELS,
        content_label="SEGMENTATION",
        content_description=f"Automatic segmentation by {algorithm.name}",
        series_description=f"{algorithm.name} segmentation",
        omit_empty_frames=False,
    )
    file = io.BytesIO()
    segmentation.save_as(file)
    return file.getvalue()


def _description(number: int, segment: Segment, identification: Any) -> Any:
    import highdicom
    from highdicom.color import CIELabColor

    name = segment.name.replace("\\", "/")[:_LONGEST_NAME]
    if segment.code is None:
        kind = highdicom.sr.CodedConcept(f"label-{number}", _OWN_SCHEME, name)
        category = highdicom.sr.CodedConcept("label", _OWN_SCHEME, "Label of a model")
    else:
        kind, category = _snomed(segment.code), _snomed(segment.category)
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type="AUTOMATIC",
        algorithm_identification=identification,
        display_color=CIELabColor.from_rgb(*segment.colour),
    )


def _snomed(code: Code) -> Any:
    import highdicom

    return highdicom.sr.CodedConcept(code.value, "SCT", code.meaning)
