"""A zip of one image's files, taken out under names of our own.

It holds one file, or the channels of one image with nnU-Net's names, `CASE_0000.EXT`,
`CASE_0001.EXT` and so on, or DICOM files.

No member's name becomes the name of a file. What an archive may hold is said in
`imaging/zip_members.py`; sizes are counted again while files are taken out.
"""

from __future__ import annotations

import io
import logging
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath

from lightm_unet.deploy.serve.file_kind import DICOM, ZIP, ending_of
from lightm_unet.deploy.serve.problems import Kind, Problem, found
from lightm_unet.deploy.serve.spool import RequestFolder
from lightm_unet.imaging.dicom.listing import INDEX_NAME
from lightm_unet.imaging.image import split_ending
from lightm_unet.imaging.zip_members import RefusedArchive, ZipLimits, usable_members

MOST_MEMBERS = 5000
"""Of a DICOM series there may be some thousands."""
_HARMLESS_BYTES = 1_000_000
_MOST_DIRECTORY_BYTES = 4_000_000
_CHUNK = 1 << 20
_NUMBERED = re.compile(r".*_(\d{4})")
_log = logging.getLogger(__name__)
_ADVICE = "zip the files of one image only, without folders above them"


def take_out(path: Path, folder: RequestFolder, most_bytes: int) -> list[Path]:
    """The files of a zip: of DICOM in any order, others in the order of their channels.

    Folders, hidden files, what macOS adds and DICOM's own index are passed over, and beside DICOM
    texts and whatever else is no image, as by `predict`.

    Args:
        path: the zip.
        folder: for the files.
        most_bytes: of all of them together.

    Raises:
        Problem: anything else.
    """
    with _opened(path) as archive:
        members = _members(archive, most_bytes)
        files = {
            member: _take_out(archive, member, number, folder)
            for number, member in enumerate(members)
        }
    dicom = [file for file in files.values() if file.suffix == DICOM]
    if dicom:
        others = [file for file in files.values() if file.suffix != DICOM]
        if any(file.suffix for file in others):
            raise _refused("a zip of DICOM and other images", "images of one kind")
        if others:
            _log.info("files in the zip that are no images were passed over: %d", len(others))
        return dicom
    for file in files.values():
        ending_of(file)  # says what it is, if nothing that can be read
    in_order = _in_order(members) if len(members) > 1 else members
    return [_as_channel(files[member], number) for number, member in enumerate(in_order)]


class _Bounded(io.FileIO):
    """A file of which no large piece can be read at once, as a zip's directory would be."""

    def read(self, size: int | None = -1) -> bytes:
        left = os.fstat(self.fileno()).st_size - self.tell()
        if size is None or size < 0 or size > left:
            size = left
        if size > _MOST_DIRECTORY_BYTES:
            raise _refused("a zip with an enormous directory", f"up to {MOST_MEMBERS} files")
        return super().read(size)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with _Bounded(path) as file, zipfile.ZipFile(file) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise _refused("a broken zip", "a whole one", "make or upload it again") from error
    except (NotImplementedError, RuntimeError) as error:  # other packing, or a password
        raise _refused("a zip that is encrypted or packed in a rare way", "a plain one") from error


def _members(archive: zipfile.ZipFile, most_bytes: int) -> list[zipfile.ZipInfo]:
    """The members to take out, checked and in order."""
    limits = ZipLimits(MOST_MEMBERS, most_bytes, most_bytes, _HARMLESS_BYTES)
    try:
        members = usable_members(archive.infolist(), limits)
    except RefusedArchive as refused:
        kind = Kind.TOO_LARGE if refused.too_large else Kind.UNUSABLE_IMAGE
        raise found(kind, f"a zip with {refused.found}", refused.expected, _ADVICE) from None
    members = [each for each in members if PureWindowsPath(each.filename).name != INDEX_NAME]
    if not members:
        raise _refused("a zip without a file", "one with an image")
    return members


def _in_order(members: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """Channels by the number at the end of their names."""
    numbers = {}
    for member in members:
        stem = PureWindowsPath(member.filename).name.partition(".")[0]
        match = _NUMBERED.fullmatch(stem)
        numbers[member] = int(match[1]) if match else -1
    if sorted(numbers.values()) != list(range(len(members))):
        raise _refused(
            f"a zip of {len(members)} files that are not numbered as channels",
            "one image, or its channels CASE_0000.EXT, CASE_0001.EXT and so on",
        )
    return sorted(members, key=lambda member: numbers[member])


def _take_out(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, number: int, folder: RequestFolder
) -> Path:
    written = 0
    with folder.new_file(f"member_{number}") as file, archive.open(member) as source:
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if written > member.file_size:
                raise _refused("a zip whose files are larger than it says", "a whole one")
            file.write(chunk)
    path = folder.path / f"member_{number}"
    try:
        ending = ending_of(path)
    except Problem:  # beside DICOM there may be a text
        return path
    if ending == ZIP:
        raise _refused("a zip within a zip", "images")
    return path.rename(path.with_name(path.name + ending))


def _as_channel(file: Path, number: int) -> Path:
    """The file under a name that says which channel it is, for messages."""
    return file.rename(file.with_name(f"channel_{number:04}{split_ending(file)[1]}"))


def _refused(what: str, expected: str, advice: str = _ADVICE) -> Problem:
    return found(Kind.UNUSABLE_IMAGE, what, expected, advice)
