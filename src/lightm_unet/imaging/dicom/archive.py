"""Zip archives of DICOM files, read where they are: nothing of them is ever written to a disk.

So no name in an archive can lead out of a folder. Archives with such names are refused all the
same: they were made to do harm, or by a program that should be looked at.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from lightm_unet.errors import DataError
from lightm_unet.imaging.dicom_source import BROKEN, DicomFile, bounded

_MARKS = (b"PK\x03\x04", b"PK\x05\x06")
MOST_FILES = 100_000
LARGEST_FILE, LARGEST_SUM = 4 * 2**30, 32 * 2**30
"""Bytes of one file, and of all together, when they are unpacked."""
_BOMB_BYTES, _BOMB_RATIO = 2**30, 200
"""An archive that becomes larger than the one and grows more than by the other is refused."""
_NOT_FOR_US = "__MACOSX"


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
        members = [info for info in self._members if not info.is_dir()]
        if len(members) > MOST_FILES:
            raise self._refused(f"{len(members)} files", f"at most {MOST_FILES}")
        for info in members:
            self._check_member(info)
        size, packed = (
            sum(info.file_size for info in members),
            sum(info.compress_size for info in members),
        )
        if size > LARGEST_SUM:
            raise self._refused(f"{size / 1e9:.0f} GB", f"at most {LARGEST_SUM / 1e9:.0f} GB")
        if size > _BOMB_BYTES and size > _BOMB_RATIO * packed:
            raise self._refused(
                f"{size / 1e9:.1f} GB compressed {size // max(packed, 1)}-fold",
                f"images; real ones are compressed less than {_BOMB_RATIO}-fold",
            )
        names = sorted(info.filename for info in members)
        return [DicomFile(self.path, name, self) for name in names if not _is_hidden(name)]

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

    @cached_property
    def _members(self) -> list[zipfile.ZipInfo]:
        return self._zip.infolist()

    def _check_member(self, info: zipfile.ZipInfo) -> None:
        name = info.orig_filename
        leads_out = any(
            ".." in path.parts or path.is_absolute() or path.drive
            for path in (PurePosixPath(name), PureWindowsPath(name))
        )
        if leads_out or "\0" in name:
            raise self._refused(f"a file named {name!r:.80}", "names within the archive")
        mode = info.external_attr >> 16
        if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            what = "a link" if stat.S_ISLNK(mode) else "something that is no file"
            raise self._refused(f"{what}, {name!r:.80}", "files only")
        if info.flag_bits & 0x1:
            raise self._refused("encrypted files", "files without a password")
        if info.file_size > LARGEST_FILE:
            raise self._refused(
                f"a file of {info.file_size / 1e9:.0f} GB", f"at most {LARGEST_FILE / 1e9:.0f} GB"
            )

    def _refused(self, found: str, expected: str) -> DataError:
        advice = "unpack it with a program that you trust, and give the folder"
        return DataError(self.path, f"an archive with {found}", expected, advice)


def _is_hidden(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return _NOT_FOR_US in parts or any(part.startswith(".") for part in parts)
