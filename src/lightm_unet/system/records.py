"""JSON files that are read back later, each with the number of its format.

The number is raised when a file's entries change their meaning. A newer one than this version
knows is refused; a file without a number is of format 1. A record can carry a checksum, which tells
damage and changes by hand from what was written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightm_unet.errors import DataError
from lightm_unet.system.files import read_json, write_json

FORMAT = "format"
"""The entry that holds the number."""
CHECKSUM = "checksum"
"""The entry that holds the SHA-256 of the others, in a record that has one."""


def write_record(
    content: Mapping[str, Any], path: Path, number: int = 1, *, checksum: bool = False
) -> None:
    """Write a record in one step, with the number of its format.

    Args:
        content: JSON's own types.
        path: the file to make or replace.
        number: of the format.
        checksum: whether to add one, for `is_as_written`.
    """
    content = {FORMAT: number, **content}
    write_json({**content, CHECKSUM: digest(content)} if checksum else content, path)


def digest(content: Any) -> str:
    """The SHA-256 of JSON's own types, whatever the order of entries; 64 hexadecimal digits."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def is_as_written(path: Path) -> bool:
    """Whether a record matches its checksum; one without a checksum or a format does.

    Raises:
        DataError: no JSON object.
    """
    content = read_json(path)
    checksum = content.pop(CHECKSUM, None)
    return checksum is None or FORMAT not in content or checksum == digest(content)


def read_record(path: Path, newest: int = 1) -> dict[str, Any]:
    """Read a record; the entries with the number and the checksum are left out.

    Args:
        path: the file.
        newest: number of the newest format that the caller can use.

    Raises:
        DataError: no JSON object, or a newer format.
    """
    content = read_json(path)
    number = content.pop(FORMAT, 1)
    if type(number) is not int or not 1 <= number <= newest:
        expected = "format 1" if newest == 1 else f"format 1 to {newest}"
        raise DataError(path, f"format {number!r}", expected, "upgrade lightm-unet")
    content.pop(CHECKSUM, None)
    return content


@contextmanager
def expect_usable(path: Path, what: str, advice: str) -> Iterator[None]:
    """Name the file where a record's content cannot be used.

    Args:
        path: the record.
        what: it should be, such as "a plan".
        advice: what to do about it.

    Raises:
        DataError: instead of any `ValueError` of the block, as `from_json` raises.
    """
    try:
        yield
    except ValueError as error:
        raise DataError(
            path,
            f"{what} that cannot be used ({error})",
            "one as this version of lightm-unet writes it",
            advice,
        ) from error
