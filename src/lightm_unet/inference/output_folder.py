"""The folder for masks, tried before the work: an hour's masks must have a place to go."""

from __future__ import annotations

import errno
import logging
import secrets
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from lightm_unet.errors import DataError, UsageError
from lightm_unet.inference.preview import PREVIEWS
from lightm_unet.inference.probabilities import FOLDER
from lightm_unet.inference.record import RECORD_NAME

_logger = logging.getLogger(__name__)

_OF_THE_NAME = {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.EISDIR, errno.EEXIST}
"""Errors of one file's name; with any other, such as a full disk, the next file would fail too."""


def check_masks_folder(folder: Path, names: Iterable[str]) -> None:
    """Refuse a folder that cannot take files of these names. Nothing is left there.

    A folder that does not exist yet is not made: the nearest one above it is tried. Names that
    differ only in capitals or in the form of accents are refused where the file system takes them
    for one, and warned of elsewhere.

    Args:
        folder: for the masks.
        names: of the files that will be written.

    Raises:
        UsageError: it is no folder, or would take two names for one.
        DataError: no file can be written there.
    """
    try:
        there = folder
        while not there.exists():
            if there.is_symlink():
                raise UsageError(f"{there} is a link to nothing; expected a folder for the masks")
            there = there.parent
        if not there.is_dir():
            raise UsageError(f"{there} is a file; expected a folder for the masks")
        if (folder / RECORD_NAME).is_dir():
            raise UsageError(f"{folder / RECORD_NAME} is a folder; expected to write a file there")
        for inner, what in ((FOLDER, "probabilities"), (PREVIEWS, "previews")):
            if (folder / inner).exists() and not (folder / inner).is_dir():
                raise UsageError(f"{folder / inner} is a file; expected a folder for {what}")
        ignores_capitals = _try(there)
    except OSError as error:
        raise unwritable(folder, error) from error
    first_like: dict[str, str] = {}
    for name in names:
        other = first_like.setdefault(_folded(name), name)
        if other == name:
            continue
        if ignores_capitals:
            raise UsageError(
                f"{folder}: the file system takes {other!r} and {name!r} for one name; rename an "
                "image, or predict them into different folders"
            )
        _logger.warning(
            "the masks %r and %r differ only in capitals or accents: copied to Windows, macOS or a "
            "USB stick, one would replace the other",
            other,
            name,
        )


def concerns_one_file(error: OSError) -> bool:
    """Whether other files can still be written after this error."""
    return error.errno in _OF_THE_NAME


def unwritable(path: Path, error: OSError) -> DataError:
    """The error for a file or folder that the system does not let us write."""
    return DataError(
        path,
        f"that it cannot be written ({error.strerror or error})",
        "a folder with free space that you may write to",
        "free space, or choose another output folder",
    )


def _try(folder: Path) -> bool:
    """Write a file and remove it; whether the file system ignores capitals."""
    probe = folder / f".lightm-unet-{secrets.token_hex(8)}"
    try:
        probe.write_bytes(bytes(4096))  # an empty file would fit on a full disk
        return probe.with_name(probe.name.upper()).exists()
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def _folded(name: str) -> str:
    """What a name is where capitals and the form of accents do not count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
