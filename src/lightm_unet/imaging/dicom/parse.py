"""DICOM's data sets read by pydicom, with one clear error for whatever is wrong with them.

pydicom parses what it can and raises many kinds of errors for the rest, some of them only when a
value is looked at. All of that passes through this module.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from lightm_unet.errors import DataError, LightMUNetError
from lightm_unet.imaging.dicom_source import BROKEN, DicomFile
from lightm_unet.system.extras import require_extra
from lightm_unet.system.quiet import without_warnings

if TYPE_CHECKING:
    from pydicom import Dataset

DEFLATED = b"1.2.840.10008.1.2.1.99"
_HEAD_LENGTH = 132
_LONG_VALUE_TYPES = (b"OB", b"OW", b"SQ", b"UN", b"UT")
_MOST_INFLATED = 2**31
"""Bytes that a deflated data set may hold."""
_CHUNK = 2**20
_ITEM = b"\xfe\xff\x00\xe0"
"""The tag of a sequence's item, little-endian."""


def need_dicom() -> None:
    """Stop if the packages that read DICOM are missing.

    Raises:
        MissingPartError: they are not installed.
    """
    require_extra("dicom", "reading DICOM", "pydicom")


def read_header(file: DicomFile, tags: tuple[str, ...] | None = None) -> Dataset:
    """Read a data set up to its pixels.

    Args:
        file: the file.
        tags: names of the attributes that are needed; None for all.

    Raises:
        DataError: it is no DICOM file, or a damaged one.
        MissingPartError: pydicom is not installed.
    """
    return _read(file, stop_before_pixels=True, specific_tags=None if tags is None else list(tags))


def read_dataset(file: DicomFile) -> Dataset:
    """Read a whole data set, and check that all of its sequences consist of items.

    Raises:
        DataError, MissingPartError: as `read_header`.
    """
    return _read(file, check_items=True)


@contextmanager
def broken_is_an_error(file: DicomFile) -> Iterator[None]:
    """Turn whatever pydicom raises about a file into one line, and keep it from warning."""
    from pydicom import config

    try:
        with without_warnings(), config.disable_value_validation():
            yield
    except (LightMUNetError, MemoryError):
        raise
    except Exception as error:  # pydicom and its decoders raise many types; the user needs one line
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            file.shown, f"a broken DICOM file ({reason})", "a valid one", BROKEN
        ) from error


def _read(file: DicomFile, check_items: bool = False, **options: Any) -> Dataset:
    need_dicom()
    import pydicom
    from pydicom import uid

    with file.open() as stream, broken_is_an_error(file):
        if stream.read(1) == b"":
            raise DataError(file.shown, "an empty file", "a DICOM file", BROKEN)
        inflated = _inflated(stream, file)
        stream.seek(0)
        dataset = pydicom.dcmread(stream, force=True, **options)
        if not dataset:
            raise DataError(file.shown, "no DICOM attribute", "a DICOM file", BROKEN)
        if check_items:
            _check_items(dataset, inflated or stream, dataset.original_encoding[1] is not False)
        if "TransferSyntaxUID" not in dataset.file_meta:
            implicit, little = dataset.original_encoding
            dataset.file_meta.TransferSyntaxUID = (
                (uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian)
                if little
                else uid.ExplicitVRBigEndian
            )
        return dataset


def _inflated(stream: BinaryIO, file: DicomFile) -> BinaryIO | None:
    """The data set of a deflated file; None for other files.

    Refuses one that grows beyond all reason or is cut off: pydicom inflates all of it at once, and
    no checksum follows.
    """
    if not _deflated_start(stream):
        return None
    inflater, inflated, chunk = zlib.decompressobj(-zlib.MAX_WBITS), io.BytesIO(), b""
    while not inflater.eof and (chunk := inflater.unconsumed_tail or stream.read(_CHUNK)):
        inflated.write(inflater.decompress(chunk, _CHUNK))
        if inflated.tell() > _MOST_INFLATED:
            raise DataError(
                file.shown,
                f"a deflated data set of more than {_MOST_INFLATED / 1e9:.0f} GB",
                "a smaller one",
                "store it without deflating",
            )
    if not inflater.eof:
        raise ValueError("a deflated stream that is cut off")
    return inflated


def _check_items(dataset: Dataset, stream: BinaryIO, little_endian: bool, start: int = 0) -> None:
    """Refuse sequences of anything but items, which pydicom takes as if they were some.

    Args:
        dataset: as it was read; no value was looked at yet.
        stream: the bytes it was read from.
        little_endian: the stream's byte order.
        start: in the stream, of what the data set's positions are counted from.
    """
    from pydicom.datadict import dictionary_has_tag, dictionary_VR
    from pydicom.dataelem import RawDataElement

    item = _ITEM if little_endian else _ITEM[1::-1] + _ITEM[:1:-1]
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        if (element.VR or (dictionary_has_tag(tag) and dictionary_VR(tag))) != "SQ":
            continue
        # One of known length is read from its value alone, and only now.
        within = start + element.value_tell if isinstance(element, RawDataElement) else start
        for part in dataset[tag].value:
            stream.seek(start + part.seq_item_tell)
            if stream.read(len(item)) != item:
                raise ValueError("a sequence without items")
            _check_items(part, stream, little_endian, within)


def _deflated_start(stream: BinaryIO) -> bool:
    """Go to the end of the file's head, group 2; whether a deflated data set follows."""
    stream.seek(_HEAD_LENGTH)
    deflated = False
    while len(start := stream.read(8)) == 8 and start[:2] == b"\x02\0":
        length = int.from_bytes(start[6:8], "little")
        if start[4:6] in _LONG_VALUE_TYPES:
            length = int.from_bytes(stream.read(4), "little")
        value = stream.read(length)
        deflated |= start[2:4] == b"\x10\0" and value.rstrip(b"\0 ") == DEFLATED
    stream.seek(-len(start), 1)
    return deflated


def number(dataset: Dataset, name: str, file: DicomFile, default: float | None = None) -> float:
    """A finite number of a data set.

    Raises:
        DataError: it is missing and has no default, or is no number.
    """
    found = numbers(dataset, name, 1, file)
    if found is not None:
        return found[0]
    if default is None:
        raise DataError(file.shown, f"no {name}", "a number", BROKEN)
    return default


def numbers(dataset: Dataset, name: str, count: int, file: DicomFile) -> tuple[float, ...] | None:
    """Finite numbers of a data set; None where the attribute is missing or empty.

    Raises:
        DataError: another count of values, or some that are no finite numbers.
    """
    try:
        with broken_is_an_error(file):
            value = dataset.get(name)
            if value is None or value == "" or (hasattr(value, "__len__") and len(value) == 0):
                return None
            values = [value] if isinstance(value, (str, int, float)) else list(value)
            found = tuple(float(each) for each in values)
    except DataError:
        values, found = [repr(_text(dataset, name))], ()
    if len(found) != count or not all(math.isfinite(each) for each in found):
        shown = ", ".join(str(each) for each in values)
        expected = "a finite number" if count == 1 else f"{count} finite numbers"
        raise DataError(file.shown, f"the {name} {shown:.80}", expected, BROKEN)
    return found


def count(dataset: Dataset, name: str, file: DicomFile, default: int | None = None) -> int:
    """A whole number above 0 of a data set.

    Raises:
        DataError: it is missing and has no default, or is something else.
    """
    value = number(dataset, name, file, default)
    if value != int(value) or value < 1:
        raise DataError(file.shown, f"the {name} {value:g}", "a whole number above 0", BROKEN)
    return int(value)


def text(dataset: Dataset, name: str) -> str:
    """An attribute as text; empty where it is missing or cannot be read."""
    try:
        with without_warnings():
            value = dataset.get(name)
            return "" if value is None else str(value)
    except Exception:  # a broken value that nothing depends on
        return ""


_text = text
