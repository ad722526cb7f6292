"""Files read with one clear error, and written complete or not at all.

A reader never meets a half-written file: everything is written under a temporary name in the
same folder, where a rename is one step for the file system, and renamed when it is whole.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from lightm_unet.errors import DataError, UsageError


def read_bytes(path: Path) -> bytes:
    """All bytes of a file.

    Raises:
        DataError: missing, a folder, not permitted, or empty.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(path, "no such file", "a file", "check the path") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(path, f"it cannot be read ({reason})", "a file", "check it") from error
    if not data:
        raise DataError(path, "an empty file", "a whole one", "copy or export the file again")
    return data


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds one object.

    Raises:
        DataError: missing, unreadable, not JSON, or something other than an object.
    """
    try:
        value = json.loads(read_bytes(path))
    except ValueError as error:  # a syntax error, or bytes that are not text
        raise DataError(path, f"broken JSON ({error})", "JSON", "correct the file") from error
    if not isinstance(value, dict):
        raise DataError(path, f"a JSON {type(value).__name__}", "a JSON object", "correct the file")
    return value


@contextmanager
def open_atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing bytes; it replaces `path` only when the block ends well.

    Args:
        path: the file to make or replace. Its folder is made where it is missing.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "case.bin"
        >>> with open_atomic(path) as file:
        ...     _ = file.write(b"whole")
        >>> path.read_bytes()
        b'whole'
    """
    if path.exists() and not path.is_file():  # a folder, or a device such as /dev/null
        raise UsageError(f"{path} is no regular file; choose another name for the output")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _sibling(path)
    try:
        with temporary.open("xb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(data: bytes, path: Path) -> None:
    """Write bytes to `path` in one step."""
    with open_atomic(path) as file:
        file.write(data)


def write_json(value: Any, path: Path) -> None:
    """Write a JSON file in one step, indented, with a final newline.

    Raises:
        ValueError: the value holds NaN or an infinity, which JSON cannot express.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes((text + "\n").encode(), path)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Fill a folder under a temporary name; it becomes `target` only when the block ends well.

    Args:
        target: must not exist, or be an empty folder.

    Yields:
        The temporary folder, beside `target`.

    Raises:
        UsageError: there is already something at `target`.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(
            f"{target}: found files there already; expected an empty or a new folder; "
            "choose another one or remove this one"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _sibling(target)
    try:
        temporary.mkdir()
        yield temporary
        if target.exists():
            target.rmdir()  # empty: Windows does not rename onto a folder, not even such a one
        os.replace(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _sibling(path: Path) -> Path:
    """A hidden name in the same folder that nobody else uses."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
