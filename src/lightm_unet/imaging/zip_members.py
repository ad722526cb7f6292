"""What a zip archive may hold: one rule for archives that are read where they lie and for uploads.

Names, links, encryption, number and size are checked before anything is taken out. No name becomes
that of a file; archives with names that lead out of a folder are refused all the same: they were
made to do harm, or by a program that should be looked at.
"""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath

MOST_RATIO = 200
"""Images are compressed less; an image of nothing would be compressed 1000-fold."""
_NOT_FOR_US = "__MACOSX"


@dataclass(frozen=True)
class ZipLimits:
    """How much an archive may hold."""

    files: int
    file_bytes: int
    """Of one file, unpacked."""
    sum_bytes: int
    """Of all together, unpacked."""
    harmless_bytes: int
    """Of all together; as far as this an archive may grow by any ratio."""


@dataclass
class RefusedArchive(Exception):
    """Why an archive is not used."""

    found: str
    expected: str
    too_large: bool = False


def usable_members(members: Iterable[zipfile.ZipInfo], limits: ZipLimits) -> list[zipfile.ZipInfo]:
    """The files among an archive's members, but for hidden ones, in the archive's order.

    Raises:
        RefusedArchive: one is encrypted, a link, or has a name that leads out of the archive; there
            are too many or too large ones, or they grow beyond all reason.
    """
    files = [member for member in members if not member.is_dir()]
    if len(files) > limits.files:
        raise RefusedArchive(f"{len(files)} files", f"at most {limits.files}")
    for member in files:
        _check(member, limits)
    size = sum(member.file_size for member in files)
    packed = sum(member.compress_size for member in files)
    if size > limits.sum_bytes:
        raise RefusedArchive(_bytes(size), f"at most {_bytes(limits.sum_bytes)}", too_large=True)
    if size > limits.harmless_bytes and size > MOST_RATIO * packed:
        raise RefusedArchive(
            f"{_bytes(size)} compressed {size // max(packed, 1)}-fold",
            f"images; real ones are compressed less than {MOST_RATIO}-fold",
            too_large=True,
        )
    return [member for member in files if not _is_hidden(member.filename)]


def _check(member: zipfile.ZipInfo, limits: ZipLimits) -> None:
    name = member.orig_filename
    leads_out = any(
        ".." in path.parts or path.is_absolute() or path.drive
        for path in (PurePosixPath(name), PureWindowsPath(name))
    )
    if leads_out or "\0" in name:
        raise RefusedArchive(f"a file named {name!r:.80}", "names within the archive")
    mode = member.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        what = "a link" if stat.S_ISLNK(mode) else "something that is no file"
        raise RefusedArchive(f"{what}, {name!r:.80}", "files only")
    if member.flag_bits & 0x1:
        raise RefusedArchive("encrypted files", "files without a password")
    if member.file_size > limits.file_bytes:
        most = f"at most {_bytes(limits.file_bytes)}"
        raise RefusedArchive(f"a file of {_bytes(member.file_size)}", most, too_large=True)


def _bytes(count: int) -> str:
    if count < 1e9:
        return f"{count / 1e6:.0f} MB"
    return f"{count / 1e9:.1f} GB" if count < 1e10 else f"{count / 1e9:.0f} GB"


def _is_hidden(name: str) -> bool:
    parts = PureWindowsPath(name).parts  # it takes both kinds of slashes
    return _NOT_FOR_US in parts or any(part.startswith(".") for part in parts)
