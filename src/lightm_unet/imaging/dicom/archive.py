"""Zip archives of DICOM files, read where they are: nothing of them is ever written to a disk.

What an archive may hold is said in `imaging/zip_members.py`.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from lightm_unet.errors import DataError
from lightm_unet.imaging.dicom_source import BROKEN, DicomFile, bounded
from lightm_unet.imaging.zip_members import RefusedArchive, ZipLimits, usable_members

_MARKS = (b"PK\x03\x04", b"PK\x05\x06")
LIMITS = ZipLimits(files=100_000, file_bytes=4 * 2**30, sum_bytes=32 * 2**30, harmless_bytes=2**30)


def is_zip(path: Path) -> bool:
    """Whether a file's content is a zip archive; false where it cannot be read."""
    try:
        if not os.path.isfile(path):
            return False
        with path.open("rb") as file:
            return file.read(4) in _MARKS
    except OSError:
        return False


class Archive:
    """A zip archive that is open for reading."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self) -> list[DicomFile]:
        """Its files, but for hidden ones, in the order of their names.

        Raises:
            DataError: it is damaged or encrypted, has a name that leads out of it, a link, too
                many or too large files, or grows beyond all reason.
        """
        try:
            members = usable_members(self._zip.infolist(), LIMITS)
        except RefusedArchive as refused:
            advice = "unpack it with a program that you trust, and give the folder"
            found = f"an archive with {refused.found}"
            raise DataError(self.path, found, refused.expected, advice) from None
        return [
            DicomFile(self.path, name, self) for name in sorted(each.filename for each in members)
        ]

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """One file's bytes.

        Raises:
            DataError: it is damaged.
        """
        path = self.path / name
        try:
            info = self._zip.getinfo(name)
            with self._zip.open(info) as stream:
                yield bounded(stream, info.file_size)
        except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(path, f"a damaged archive ({error})", "a whole one", BROKEN) from error

    @cached_property
    def _zip(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
            raise DataError(
                self.path, f"a damaged archive ({error})", "a whole zip file", BROKEN
            ) from error
