"""Where the frames of DICOM images lie: of plain slices, and of enhanced multi-frame objects.

A plain image says it in its own attributes; an enhanced one in functional groups, which either
hold for all of its frames or for a single one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightm_unet.errors import DataError
from lightm_unet.imaging.dicom.parse import broken_is_an_error, count, numbers, text
from lightm_unet.imaging.dicom_source import BROKEN, DicomFile, FramePlace

if TYPE_CHECKING:
    from pydicom import Dataset

FRAME_TAGS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "NumberOfFrames",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
"""What the place of frames depends on."""
_GROUP_OF = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
}


@dataclass(frozen=True)
class Frame:
    """One frame's place in space, as DICOM says it: mm, to the left, to the back, upwards."""

    place: FramePlace
    rows: int
    columns: int
    position: tuple[float, ...] | None
    """Of the centre of the first pixel."""
    orientation: tuple[float, ...] | None
    """Directions in which the column's number and the row's number rise: 6 numbers."""
    spacing: tuple[float, ...] | None
    """Between rows and between columns."""
    thickness: float | None
    """Distance of slices, or thickness of one, where the file states it."""

    @property
    def shown(self) -> str:
        """What it is called in messages."""
        name = self.place.file.shown.name
        return f"frame {self.place.number + 1} of {name}" if self.place.number else name


def frames_of(dataset: Dataset, file: DicomFile) -> list[Frame]:
    """The frames of one file, in its own order.

    Raises:
        DataError: a size or a place is missing, or no such thing.
    """
    total = count(dataset, "NumberOfFrames", file, default=1)
    rows, columns = count(dataset, "Rows", file), count(dataset, "Columns", file)
    groups = functional_groups(dataset, total, file)
    found = []
    for index, attributes in enumerate(groups):
        thickness = (
            attributes.numbers("SpacingBetweenSlices", 1),
            attributes.numbers("SliceThickness", 1),
        )
        found.append(
            Frame(
                FramePlace(file, index),
                rows,
                columns,
                attributes.numbers("ImagePositionPatient", 3),
                attributes.numbers("ImageOrientationPatient", 6),
                attributes.numbers("PixelSpacing", 2),
                next((abs(each[0]) for each in thickness if each and each[0]), None),
            )
        )
    return found


@dataclass(frozen=True)
class Attributes:
    """The attributes of one frame, wherever the object keeps them."""

    dataset: Dataset
    groups: tuple[Dataset, ...]
    """Functional groups, those of the frame first."""
    file: DicomFile

    def numbers(self, name: str, how_many: int) -> tuple[float, ...] | None:
        """Finite numbers; None where the frame has no such attribute.

        Raises:
            DataError: they are no numbers, or too few.
        """
        return numbers(self._holder(name), name, how_many, self.file)

    def _holder(self, name: str) -> Dataset:
        for group in self.groups:
            with broken_is_an_error(self.file):
                items = group.get(_GROUP_OF[name])
                if items and name in items[0]:
                    return items[0]
        return self.dataset


def functional_groups(dataset: Dataset, total: int, file: DicomFile) -> list[Attributes]:
    """The attributes of each frame.

    Raises:
        DataError: there are more frames than descriptions of them, or the other way round.
    """
    with broken_is_an_error(file):
        shared = tuple(dataset.get("SharedFunctionalGroupsSequence") or ())[:1]
        each = list(dataset.get("PerFrameFunctionalGroupsSequence") or ())
    if not each:
        return [Attributes(dataset, shared, file)] * total
    if len(each) != total:
        raise DataError(
            file.shown, f"{total} frames and the places of {len(each)}", "a place for each", BROKEN
        )
    return [Attributes(dataset, (group, *shared), file) for group in each]


def kind(dataset: Dataset) -> str:
    """What an object is, in the words of the standard, such as "RT Plan Storage"."""
    from pydicom.config import IGNORE
    from pydicom.uid import UID

    name = text(dataset, "SOPClassUID")
    return (
        (UID(name, IGNORE).name if name else "") or text(dataset, "Modality") or "an unknown kind"
    )
