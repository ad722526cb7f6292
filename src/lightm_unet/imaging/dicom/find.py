"""Which DICOM files form one image: slices of a series, a multi-frame object, a radiograph.

Files are sorted by folder and study. Of each study in a folder one image is taken: the series that
was asked for, or the one with most voxels. Only headers are read. A study of pictures alone, such
as radiographs, gives one image for each file.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from lightm_unet.errors import DataError
from lightm_unet.imaging.dicom.frames import kind
from lightm_unet.imaging.dicom.parse import count, number, read_header, text
from lightm_unet.imaging.dicom.read import is_image
from lightm_unet.imaging.dicom_source import (
    BROKEN,
    DICOM_ENDINGS,
    DicomFile,
    looks_like_dicom,
    stem,
)
from lightm_unet.system.logs import log_once

_log = logging.getLogger(__name__)

_TAGS = (
    "SOPClassUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "Modality",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "ImagePositionPatient",
)
_MANY = 2000
"""From so many files on a line says that headers are read."""


@dataclass(frozen=True)
class DicomImage:
    """The files of one image."""

    name: str
    """Made of names of folders and files on the disk, and of numbers; never of what a DICOM file
    or an archive says."""
    place: Path
    """The file, folder or archive, for messages."""
    files: tuple[DicomFile, ...]
    problem: DataError | None = None
    """Why it cannot be read."""
    voxels: int = 0
    """Of all files together; 0 where it cannot be read."""


@dataclass(frozen=True)
class _Header:
    """What the choice depends on."""

    file: DicomFile
    study: str
    series: str
    number: int | None
    modality: str
    rows: int
    columns: int
    frames: int
    placed: bool
    """Whether it lies somewhere in the patient; a multi-frame object may say so for each frame."""

    @property
    def voxels(self) -> int:
        return self.rows * self.columns * self.frames


@dataclass(frozen=True)
class _Series:
    """Files of one series that form one image."""

    headers: tuple[_Header, ...]

    @property
    def voxels(self) -> int:
        return sum(header.voxels for header in self.headers)

    def __str__(self) -> str:
        first = self.headers[0]
        label = "series" if first.number is None else f"series {first.number}"
        images = sum(header.frames for header in self.headers)
        return (
            f"{label} ({first.modality or 'no modality'}, {images} "
            f"image{'' if images == 1 else 's'} of {first.columns}x{first.rows}, {first.series})"
        )

    def is_called(self, wanted: str) -> bool:
        first = self.headers[0]
        return wanted in (first.series, str(first.number))


def is_dicom_name(name: str) -> bool:
    """Whether a file's ending says DICOM."""
    return name.lower().endswith(DICOM_ENDINGS)


def find_images(
    files: Iterable[DicomFile],
    place: Path,
    name: str,
    series: str | None = None,
    prefix: str = "",
) -> list[DicomImage]:
    """The images among files of one folder or archive.

    What cannot be read is an image with a problem; objects that are no images are counted in a
    line of the log. Where files hold nothing but such objects, that is a problem.

    Args:
        files: DICOM files by content or name.
        place: the folder or archive that they are in.
        name: for an image of several files, or from an archive; others are named after their file.
        prefix: before the names of files.
        series: number or UID of the series to take; None takes the largest.
    """
    files, names = list(files), _Names(name, prefix)
    if len(files) >= _MANY:
        _log.info("%s: reading the headers of %d DICOM files", place, len(files))
    found: list[DicomImage] = []
    others: Counter[str] = Counter()
    studies: dict[tuple[PurePosixPath, str], list[_Header]] = defaultdict(list)
    for file in files:
        try:
            header = _read(file)
        except DataError as problem:
            found.append(DicomImage(names.of((file,)), file.path, (file,), problem))
            continue
        if isinstance(header, str):
            others[header] += 1
        else:
            studies[PurePosixPath(file.member).parent, header.study].append(header)
    if others:
        kinds = ", ".join(f"{times} {what}" for what, times in sorted(others.items()))
        if studies:
            _log.info("%s: passed over DICOM objects that are no images: %s", place, kinds)
        else:
            path = files[0].shown if len(files) == 1 else place
            found.append(DicomImage(names.of(files), path, (files[0],), _no_image(path, kinds)))
    images: list[DicomImage] = []
    for _, headers in sorted(studies.items(), key=lambda item: item[0]):
        images += _of_study(headers, place, names, series)
    return _numbered(images) + found


def no_dicom(path: Path) -> DataError:
    """The error for a file whose name alone says DICOM."""
    return DataError(path, "content that is no DICOM", "a DICOM file", BROKEN)


def _read(file: DicomFile) -> _Header | str:
    """A file's header; or what it is, if it is no image."""
    with file.open() as stream:
        start = stream.read(132)
    if not start:
        raise DataError(file.shown, "an empty file", "a DICOM file", BROKEN)
    if not looks_like_dicom(start):
        raise no_dicom(file.shown)
    header = read_header(file, _TAGS)
    if not is_image(header):
        return kind(header)
    frames = count(header, "NumberOfFrames", file, default=1)
    series_number = number(header, "SeriesNumber", file, default=-1)
    return _Header(
        file,
        text(header, "StudyInstanceUID"),
        text(header, "SeriesInstanceUID"),
        None if series_number < 0 else int(series_number),
        text(header, "Modality"),
        count(header, "Rows", file),
        count(header, "Columns", file),
        frames,
        placed=frames > 1 or text(header, "ImagePositionPatient") not in ("", "None"),
    )


@dataclass(frozen=True)
class _Names:
    """What images are called."""

    several: str
    prefix: str

    def of(self, files: Sequence[DicomFile]) -> str:
        """The name of an image; nothing in an archive gives one."""
        if len(files) > 1 or files[0].member:
            return self.several
        return self.prefix + stem(files[0].path.name)


def _no_image(path: Path, kinds: str) -> DataError:
    return DataError(
        path,
        f"DICOM objects that are no images ({kinds})",
        "images, such as CT, MR or radiographs",
        "choose the images' own files",
    )


def _of_study(
    headers: Sequence[_Header], place: Path, names: _Names, wanted: str | None
) -> list[DicomImage]:
    """The images of one study in one folder."""
    volumes, pictures = _sorted_series(headers)
    every = sorted(volumes + pictures, key=lambda each: -each.voxels)
    if wanted is not None:
        volumes = [each for each in volumes if each.is_called(wanted)]
        pictures = [each for each in pictures if each.is_called(wanted)]
        if not volumes and not pictures:
            problem = DataError(
                place,
                f"no series {wanted}, but " + _listed(every),
                "the number or the UID of one of them",
                "choose another series",
            )
            return [DicomImage(names.several, place, (headers[0].file,), problem)]
    if not volumes:
        return [_image([header], place, names) for series in pictures for header in series.headers]
    largest = max(volumes, key=lambda each: each.voxels)
    rest = [each for each in every if each is not largest]
    if rest and (wanted is None or len(volumes) > 1):
        line = f"{place}: {largest} is read, the largest; not read: {_listed(rest)}"
        log_once(_log, line, f"{line}; --series takes another by its number or UID")
    return [_image(largest.headers, place, names)]


def _image(headers: Sequence[_Header], place: Path, names: _Names) -> DicomImage:
    files = tuple(header.file for header in headers)
    own_place = files[0].path if len(files) == 1 else place
    voxels = sum(header.voxels for header in headers)
    return DicomImage(names.of(files), own_place, files, voxels=voxels)


def _sorted_series(headers: Sequence[_Header]) -> tuple[list[_Series], list[_Series]]:
    """Volumes, and pictures without a place, each in the order of their numbers."""
    volumes: dict[tuple[str, str], list[_Header]] = defaultdict(list)
    pictures: dict[str, list[_Header]] = defaultdict(list)
    for header in headers:
        if not header.placed and header.modality not in ("CT", "MR", "PT"):
            pictures[header.series].append(header)
        else:  # each multi-frame object is a volume of its own
            alone = str(header.file.shown) if header.frames > 1 else ""
            volumes[header.series, alone].append(header)

    def ordered(groups: Iterable[list[_Header]]) -> list[_Series]:
        return sorted(
            (_Series(tuple(group)) for group in groups),
            key=lambda each: (each.headers[0].number or 0, each.headers[0].series),
        )

    return ordered(volumes.values()), ordered(pictures.values())


def _listed(series: Sequence[_Series], most: int = 10) -> str:
    more = f" and {len(series) - most} more" if len(series) > most else ""
    return ", ".join(map(str, series[:most])) + more


def _numbered(images: list[DicomImage]) -> list[DicomImage]:
    """Number the images that would have one name, and say which is which."""
    alike = Counter(image.name for image in images)
    seen: Counter[str] = Counter()
    numbered = []
    for image in images:
        if alike[image.name] > 1:
            seen[image.name] += 1
            image = replace(image, name=f"{image.name}_{seen[image.name]}")
            _log.info("%s is the image of %s", image.name, image.files[0].shown)
        numbered.append(image)
    return numbered
