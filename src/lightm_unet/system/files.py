"""Files read with one clear error, and written complete or not at all.

A reader never meets a half-written file: everything is written under a temporary name in the
same folder, where a rename is one step for the file system, and renamed when it is whole and has
reached the disk, so that a power failure leaves the old file or the new one.

A sealed file ends with the SHA-256 of what comes before. Readers that know where their data end,
such as `np.load` and `torch.load`, can read it as it is.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from lightm_unet.errors import DataError, UsageError

MAX_DEPTH = 50
"""Lists and objects within each other that a JSON file may hold; ours hold fewer than ten."""
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_bytes(path: Path, most: int = -1) -> bytes:
    """All bytes of a file, or the first ones.

    Args:
        path: the file.
        most: how many bytes to read at most; below 0 all.

    Raises:
        DataError: missing, not permitted, empty, or no regular file. A pipe is not opened: that
            would wait for somebody who writes into it.
    """
    try:
        kind = _KINDS.get(stat.S_IFMT(path.stat().st_mode))
        if kind:
            raise DataError(path, kind, "a regular file", "check the path")
        with path.open("rb") as file:
            data = file.read(most)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            found = "a link to a file that is gone" if path.is_symlink() else "no such file"
            raise DataError(path, found, "a file", "check the path") from error
        reason = error.strerror or str(error)
        raise DataError(path, f"it cannot be read ({reason})", "a file", "check it") from error
    if not data:
        raise DataError(path, "an empty file", "a whole one", "copy or export the file again")
    return data


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds one object.

    Raises:
        DataError: missing, unreadable, not JSON, nested more than `MAX_DEPTH` deep, something other
            than an object, or an object that gives one key two values.
    """

    def unambiguous(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in items:
            if key in found and found[key] != value:
                raise DataError(
                    path,
                    f"two values for the key {json.dumps(key)}",
                    "each key once",
                    "remove the wrong one, or correct its key",
                )
            found[key] = value
        return found

    try:
        value = json.loads(read_bytes(path), object_pairs_hook=unambiguous)
        too_deep = _is_deeper(value, MAX_DEPTH)
    except RecursionError:
        too_deep = True
    except ValueError as error:  # a syntax error, or bytes that are not text
        raise DataError(path, f"broken JSON ({error})", "JSON", "correct the file") from error
    if too_deep:
        found = f"lists and objects within each other, more than {MAX_DEPTH} deep"
        raise DataError(path, found, "a JSON object as this program writes it", "correct the file")
    if not isinstance(value, dict):
        raise DataError(path, f"a JSON {type(value).__name__}", "a JSON object", "correct the file")
    return value


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether JSON's lists and objects are nested more than `depth` times."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(depth + 1):
        inner = (item.values() if isinstance(item, dict) else item for item in level)
        level = [each for items in inner for each in items if isinstance(each, (dict, list))]
        if not level:
            return False
    return True


@contextmanager
def open_atomic(path: Path, keep: Path | None = None) -> Iterator[BinaryIO]:
    """Open a file for writing bytes; it replaces `path` only when the block ends well.

    Args:
        path: the file to make or replace. Its folder is made where it is missing.
        keep: another name in the same folder, which the file that was at `path` gets.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "case.bin"
        >>> with open_atomic(path) as file:
        ...     _ = file.write(b"whole")
        >>> path.read_bytes()
        b'whole'
    """
    _expect_replaceable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _sibling(path)
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):  # where it could not be made, it cannot be removed either
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(temporary)):
            error.filename, error.filename2 = str(path), None  # the name that the user knows
        raise


def write_bytes(data: bytes, path: Path) -> None:
    """Write bytes to `path` in one step."""
    with open_atomic(path) as file:
        file.write(data)


def write_json(value: Any, path: Path) -> None:
    """Write a JSON file in one step, indented, with a final newline.

    Bytes of a file name that are no UTF-8, which Python holds as lone surrogates, are written as
    JSON's escapes, so that `read_json` gives the same name again.

    Raises:
        ValueError: the value holds NaN or an infinity, which JSON cannot express.
    """
    write_bytes(encode_json(value), path)


def encode_json(value: Any) -> bytes:
    """The bytes that `write_json` writes."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return encode_text(text + "\n")


def encode_text(text: str) -> bytes:
    r"""UTF-8; a byte of a file's name that is no text becomes an escape, which JSON reads back.

    Example:
        >>> encode_text("Größe \udcff")
        b'Gr\xc3\xb6\xc3\x9fe \\udcff'
    """
    return text.encode("utf-8", "backslashreplace")


def write_together(files: Mapping[str, bytes], folder: Path) -> None:
    """Write several files, all or none: earlier ones are replaced only when all are on the disk.

    Args:
        files: content by name.
        folder: is made where it is missing.

    Raises:
        UsageError: one cannot be written; the earlier files are as they were.
    """
    temporary = {name: _sibling(folder / name) for name in files}
    with _unwritable(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, data in files.items():
                _expect_replaceable(folder / name)
                with temporary[name].open("xb") as file:
                    file.write(data)
            for name in files:
                os.replace(temporary[name], folder / name)
        finally:
            for path in temporary.values():
                with suppress(OSError):
                    path.unlink()


def check_output_folder(folder: Path, names: Iterable[str]) -> None:
    """Find out before a long computation whether files can be written into a folder.

    The folder is made and a file is written in it, as will be later; then both are removed again.

    Args:
        folder: may be missing, with folders above it.
        names: of the files that will be written.

    Raises:
        UsageError: they cannot be written.
    """
    with _unwritable(folder):
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file; expected a folder for the output")
        missing = [part for part in (folder, *folder.parents) if not part.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in names:
                _expect_replaceable(folder / name)
            probe = _sibling(folder / "probe")
            try:
                probe.write_bytes(b"probe")
            finally:
                probe.unlink(missing_ok=True)
        finally:
            for part in missing:
                with suppress(OSError):
                    part.rmdir()


@contextmanager
def _unwritable(folder: Path) -> Iterator[None]:
    """Turn what the operating system says against writing into one line."""
    try:
        yield
    except UsageError:  # which is a ValueError too
        raise
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        reason = getattr(error, "strerror", None) or error
        message = f"{folder}: the output cannot be written ({reason}); choose another folder"
        raise UsageError(message) from error


def _expect_replaceable(path: Path) -> None:
    if path.exists() and not path.is_file():  # a folder, or a device such as /dev/null
        raise UsageError(f"{path} is no regular file; choose another name for the output")


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
    refuse_used(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _sibling(target)
    try:
        temporary.mkdir()
        yield temporary
        if target.exists():
            target.rmdir()  # empty: Windows does not rename onto a folder, not even such a one
        os.replace(temporary, target)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError) and error.filename:
            file = Path(error.filename)
            if file.is_relative_to(temporary):  # the name that the user knows
                error.filename, error.filename2 = str(target / file.relative_to(temporary)), None
        raise


def refuse_used(target: Path) -> None:
    """Refuse a folder for new files that is not empty.

    Raises:
        UsageError: there is already something at `target`.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(
            f"{target}: found files there already; expected an empty or a new folder; "
            "choose another one or remove this one"
        )


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits.

    Raises:
        DataError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(path, f"it cannot be read ({reason})", "a file", "check it") from error
    return digest.hexdigest()


class _Sealing:
    """Passes bytes on to a file and digests them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest = file, hashlib.sha256()

    def write(self, data: Any) -> int:
        self._digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def seal(self) -> None:
        self._file.write(_SEAL + self._digest.hexdigest().encode())


@contextmanager
def open_sealed(path: Path, keep: Path | None = None) -> Iterator[Any]:
    """As `open_atomic`, for a sealed file; what is opened can be written to from start to end."""
    with open_atomic(path, keep) as file:
        sealing = _Sealing(file)
        yield sealing
        sealing.seal()


def seal_holds(path: Path) -> bool | None:
    """Whether a file is as it was sealed; None if it has no seal or is not there."""
    length = len(_SEAL) + 64
    try:
        with path.open("rb") as file:
            left = max(os.fstat(file.fileno()).st_size - length, 0)
            digest = hashlib.sha256()
            while left and (block := file.read(min(left, _BLOCK))):
                digest.update(block)
                left -= len(block)
            end = file.read()
    except OSError:
        return None
    return end == _SEAL + digest.hexdigest().encode() if end.startswith(_SEAL) else None


def remove_temporary_files(folder: Path) -> list[str]:
    """Remove what writers that were killed have left in a folder; the folders in it are kept.

    Only for a folder that no other process is writing to.

    Returns:
        The names of what was removed.
    """
    if not folder.is_dir():
        return []
    removed = []
    for entry in sorted(folder.iterdir()):
        if _TEMPORARY.fullmatch(entry.name) and not entry.is_symlink() and entry.is_file():
            entry.unlink(missing_ok=True)
            removed.append(entry.name)
    return removed


_BLOCK = 1 << 20
_SEAL = b"\nsha256:"
_TEMPORARY = re.compile(r"\.lightm-unet-[0-9a-f]{16}\.tmp")


def _sync_folder(folder: Path) -> None:
    """Make a rename in a folder survive a power failure, where the system can."""
    with suppress(OSError):  # Windows opens no folders, some network disks cannot
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sibling(path: Path) -> Path:
    """A hidden name in the same folder that nobody else uses.

    It does not contain the name itself, which may be as long as the file system allows.
    """
    return path.with_name(f".lightm-unet-{secrets.token_hex(8)}.tmp")
