"""The DICOM images at a path: in a file, a folder, the folders below it, or a zip archive."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from lightm_unet.errors import DataError
from lightm_unet.imaging.dicom.archive import Archive, is_zip
from lightm_unet.imaging.dicom.find import DicomImage, find_images, is_dicom_name
from lightm_unet.imaging.dicom_source import DICOM_ENDINGS, DicomFile, is_dicom, looks_like_dicom

INDEX_NAME = "DICOMDIR"
"""The list of files on a disk of DICOM images; it is DICOM itself, but no image."""
ZIP_ENDING = ".zip"
DEEPEST = 16
"""Folders within each other that are searched."""


def is_dicom_file(path: Path) -> bool:
    """Whether a file is DICOM by its name or its content."""
    return os.path.isfile(path) and (is_dicom_name(path.name) or is_dicom(path))


def images_in_folder(
    folder: Path,
    series: str | None = None,
    not_dicom: Collection[str] = (),
    below: bool = True,
) -> list[DicomImage]:
    """The DICOM images and archives in a folder; where it has none, those in folders below it.

    Links to folders are not followed, and hidden files and folders passed over.

    Args:
        folder: to search.
        series: number or UID of the series to take of each study; None takes the largest.
        not_dicom: endings, in lower case, of files that need not be looked at.
        below: whether to search folders below it.

    Raises:
        DataError: the folder cannot be read.
    """
    endings = tuple(not_dicom)
    folder = folder.absolute()
    direct = _images_of(folder, folder.name or "dicom", series, endings)
    if not below or any(image.problem is None for image in direct):
        return direct
    found = list(direct)
    for inner in _folders_below(folder):
        name = "_".join(inner.relative_to(folder).parts)
        found += _images_of(inner, name, series, endings, prefix=f"{name}_")
    return found


def has_dicom(folder: Path, not_dicom: Collection[str] = ()) -> bool:
    """Whether there is a DICOM file or an archive in a folder or below it; the first one ends the
    search."""
    return any(
        next(_candidates(each, tuple(not_dicom)), None) is not None
        for each in (folder, *_folders_below(folder))
    )


def images_in_archive(path: Path, series: str | None = None, prefix: str = "") -> list[DicomImage]:
    """The DICOM images in a zip archive, or one with a problem; named after the archive."""
    path = path.absolute()
    name = prefix + (path.name.removesuffix(path.suffix) or path.name)
    try:
        files = []
        for file in Archive(path).files():
            if is_dicom_name(file.member) or _is_dicom_member(file):
                files.append(file)
        if not files:
            raise DataError(
                path,
                "an archive without DICOM",
                "DICOM images",
                "unpack it, and give the folder of images",
            )
    except DataError as problem:
        return [DicomImage(name, path, (DicomFile(path),), problem)]
    return find_images(files, path, name, series)


def _images_of(
    folder: Path, name: str, series: str | None, endings: tuple[str, ...], prefix: str = ""
) -> list[DicomImage]:
    files: list[Path] = []
    archives: list[Path] = []
    for path in _candidates(folder, endings):
        (archives if path.name.lower().endswith(ZIP_ENDING) else files).append(path)
    found = find_images([DicomFile(path) for path in files], folder, name, series, prefix)
    for path in archives:
        found += images_in_archive(path, series, prefix)
    return found


def _candidates(folder: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    """Files that are DICOM by name or content, and zip archives, sorted by name."""
    for path in sorted(_entries(folder)):
        name = path.name.lower()
        if name.startswith(".") or path.name == INDEX_NAME or name.endswith(endings):
            continue
        if name.endswith(DICOM_ENDINGS):
            if not os.path.isdir(path):
                yield path
        elif is_zip(path) if name.endswith(ZIP_ENDING) else is_dicom(path):
            yield path


def _folders_below(folder: Path, depth: int = DEEPEST) -> Iterator[Path]:
    """All folders below one, sorted, but for links and hidden ones."""
    if depth == 0:
        return
    for path in sorted(_entries(folder)):
        if not path.name.startswith(".") and path.is_dir() and not path.is_symlink():
            yield path
            yield from _folders_below(path, depth - 1)


def _entries(folder: Path) -> list[Path]:
    try:
        return [Path(entry) for entry in os.scandir(folder)]
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(folder, f"it cannot be read ({reason})", "a folder", "check it") from error


def _is_dicom_member(file: DicomFile) -> bool:
    if Path(file.member).name == INDEX_NAME:
        return False
    with file.open() as stream:
        return looks_like_dicom(stream.read(132))
