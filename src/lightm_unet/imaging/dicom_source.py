"""Where a DICOM image comes from: files on the disk or in archives, and frames of them.

Files are opened so that a broken length takes no memory.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple, Protocol, cast

from lightm_unet.errors import DataError

DICOM_ENDINGS = (".dcm", ".dicom", ".ima")
"""Endings that say DICOM, in lower case; a file with another one or none is known by content."""
BROKEN = "copy or export the file again"
_MARK_AT = 128
_GROUPS = (0x0002, 0x0008)
"""The groups that a data set can begin with."""
_VALUE_TYPES = (b"UL", b"US", b"OB", b"UI", b"CS", b"DA", b"TM", b"SH", b"LO", b"DT", b"ST", b"UN")
_LONGEST_FIRST_VALUE = 1024


class Archive(Protocol):
    """What holds files and is one itself."""

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """One of its files."""


@dataclass(frozen=True)
class DicomFile:
    """A file on the disk, or one in an archive."""

    path: Path
    """The file or the archive."""
    member: str = ""
    """Its name in the archive."""
    archive: Archive | None = None

    @property
    def shown(self) -> Path:
        """What it is called in messages."""
        return self.path / self.member if self.member else self.path

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The file's bytes, of which no more can be asked for than there are.

        Raises:
            DataError: it cannot be read, or is damaged within its archive.
        """
        if self.archive is not None:
            with self.archive.open(self.member) as stream:
                yield stream
            return
        try:
            with self.path.open("rb") as file:
                yield bounded(file, os.fstat(file.fileno()).st_size)
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataError(
                self.path, f"it cannot be read ({reason})", "a DICOM file", "check it"
            ) from error


class FramePlace(NamedTuple):
    """One frame among the files of an image."""

    file: DicomFile
    number: int
    """From 0, in the order of the file."""


@dataclass(frozen=True)
class Source:
    """The DICOM images that an array was read from."""

    slices: tuple[FramePlace, ...]
    """In the order of the array's third axis; one for a radiograph."""
    frame_of_reference: str = ""
    """UID of the space that positions are given in; empty if the images do not say."""


class _Bounded(io.BufferedIOBase):
    """A stream that never asks for more bytes than its file has.

    A damaged file may state a length of 4 GB for a few bytes; Python would take memory for all.
    """

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream, self._size = stream, size

    def read(self, count: int | None = -1, /) -> bytes:
        left = max(0, self._size - self._stream.tell())
        return self._stream.read(left if count is None or count < 0 else min(count, left))

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def bounded(stream: IO[bytes], size: int) -> BinaryIO:
    """A stream of `size` bytes that cannot be asked for more."""
    return cast("BinaryIO", _Bounded(stream, size))


def looks_like_dicom(start: bytes) -> bool:
    """Whether a file's first 132 bytes are those of DICOM.

    That is "DICM" after 128 bytes; or, in files without this head, a first element that a data set
    can begin with, in either byte order.

    Example:
        >>> looks_like_dicom(bytes(128) + b"DICM")
        True
        >>> looks_like_dicom(b"\\x89PNG\\r\\n\\x1a\\n" + bytes(124))
        False
    """
    if start[_MARK_AT : _MARK_AT + 4] == b"DICM":
        return True
    if len(start) < 16:
        return False
    for order in "<>":
        group, element = struct.unpack_from(f"{order}HH", start)
        if group not in _GROUPS or element > 0x0070:
            continue
        if start[4:6] in _VALUE_TYPES:
            return True
        if struct.unpack_from(f"{order}I", start, 4)[0] <= _LONGEST_FIRST_VALUE:
            return True
    return False


def is_dicom(path: Path) -> bool:
    """Whether a file's content is DICOM; false where it cannot be read."""
    try:
        if not os.path.isfile(path):  # a pipe would wait for somebody who writes into it
            return False
        with path.open("rb") as file:
            return looks_like_dicom(file.read(_MARK_AT + 4))
    except OSError:
        return False


def stem(name: str) -> str:
    """A file name without an ending that says DICOM.

    Example:
        >>> stem("chest.DCM"), stem("CT.1.2.840")
        ('chest', 'CT.1.2.840')
    """
    for ending in DICOM_ENDINGS:
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return name
