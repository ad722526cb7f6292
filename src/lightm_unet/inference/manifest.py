"""A table of cases: one row for each, as CSV or Parquet.

Columns: `image` or `path`, the file, folder or archive, relative to the table's folder or absolute;
and, where wanted, `name` of the mask without its ending, and `series`, the number or UID of a DICOM
series. Other columns are passed over.

A listing from idc-index is understood too: a row has `SeriesInstanceUID` and no path, and the
series is looked for where `idc download` has put it, below the listing's folder.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightm_unet.errors import DataError
from lightm_unet.imaging.dicom_source import stem
from lightm_unet.imaging.image import is_image_name, split_ending
from lightm_unet.inference.cases import SEGMENTATION_ENDING, InputCase, check_outputs, find_cases
from lightm_unet.inference.shards import Shard
from lightm_unet.system.extras import require_extra
from lightm_unet.system.files import read_bytes

PATH_COLUMNS = ("image", "path")
UID_COLUMN = "SeriesInstanceUID"
_IDC_FOLDERS = ("collection_id", "PatientID", "StudyInstanceUID")
_LONGEST_NAME = 200
_EXPECTED = "a table with a column image (or path), or a listing from idc-index"


@dataclass(frozen=True)
class ManifestRow:
    """One case of a table."""

    path: Path
    """The image."""
    name: str | None
    """Of the mask; None for the image's own name."""
    series: str | None
    identity: str
    """What tells it from other rows, and decides which part it is in."""
    number: int
    """In the table, from 1."""


def read_manifest(path: Path) -> list[ManifestRow]:
    """Read a table of cases; no image is looked at.

    Raises:
        DataError: no such table, a row without an image, a name that is no file name, or two rows
            for one case.
        MissingPartError: Parquet, and pyarrow is not installed.
    """
    rows = list(_rows(path))
    columns = set(rows[0]) if rows else set()
    column = next((name for name in PATH_COLUMNS if name in columns), None)
    if column is None and UID_COLUMN not in columns:
        found = f"the columns {', '.join(sorted(map(str, columns)))[:200]}" if rows else "no rows"
        raise DataError(path, found, _EXPECTED, "name the column with the images so")
    made = [_row(path, number, row, column) for number, row in enumerate(rows, start=1)]
    _refuse_twice(path, made, lambda row: row.identity, "one image", "remove one of the rows")
    # Here and not with the masks: other rows may be other processes' work.
    advice = "give the table a column name that tells them apart"
    _refuse_twice(path, made, mask_stem, "one name", advice)
    return made


def _refuse_twice(
    table: Path,
    rows: Iterable[ManifestRow],
    key: Callable[[ManifestRow], str],
    what: str,
    advice: str,
) -> None:
    first: dict[str, int] = {}
    for row in rows:
        other = first.setdefault(key(row), row.number)
        if other != row.number:
            raise DataError(
                table,
                f"{what} in the rows {other} and {row.number}: {key(row)!r:.80}",
                "one for each case",
                advice,
            )


def mask_stem(row: ManifestRow) -> str:
    """The name of a row's mask without its ending."""
    if row.name is not None:
        return row.name
    return split_ending(row.path)[0] if is_image_name(row.path) else stem(row.path.name)


def find_manifest_cases(
    rows: Sequence[ManifestRow],
    output: Path,
    channels: int,
    *,
    series: str | None = None,
    dicom_ending: str = SEGMENTATION_ENDING,
    shard: Shard | None = None,
) -> list[InputCase]:
    """The cases of a table's rows; a row without an image is a case with a problem.

    Arguments are those of `find_cases`; of a shard, only its rows are looked at.

    Raises:
        UsageError: two masks would have one name, or a mask would replace an input.
        MissingPartError: there is DICOM, and the packages that read it are missing.
    """
    cases: list[InputCase] = []
    for row in rows:
        if shard is not None and not shard.holds(row.identity):
            continue
        try:
            found = find_cases(
                [row.path],
                output,
                channels,
                series=row.series or series,
                dicom_ending=dicom_ending,
            )
        except DataError as problem:
            cases.append(InputCase(row.name or row.path.name, (row.path,), None, problem))
            continue
        cases += [_named(case, row, len(found), place) for place, case in enumerate(found, 1)]
    files = [file for case in cases for file in case.files]
    check_outputs(cases, [*files, *(file.path for case in cases for file in case.dicom)])
    return cases


def _named(case: InputCase, row: ManifestRow, count: int, place: int) -> InputCase:
    if row.name is None:
        return case
    name = row.name if count == 1 else f"{row.name}_{place}"
    if case.output is None:
        return replace(case, name=name)
    ending = case.output.name.removeprefix(case.name)
    return replace(case, name=name, output=case.output.with_name(name + ending))


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.name.lower().endswith(".parquet"):
        yield from _parquet_rows(path)
        return
    try:
        text = read_bytes(path).decode("utf-8-sig")
        dialect = csv.excel_tab if "\t" in text.partition("\n")[0] else csv.excel
        reader = csv.DictReader(io.StringIO(text, newline=""), dialect=dialect, strict=True)
        for row in reader:
            if None in row or None in row.values():
                raise DataError(
                    path,
                    f"a line of other length than the first (line {reader.line_num})",
                    "as many values in each line as there are columns",
                    "correct the line; a value with a comma stands in quotes",
                )
            yield row
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            path, f"no table ({error})", "CSV in UTF-8, or Parquet", "export the table again"
        ) from error


def _parquet_rows(path: Path) -> list[dict[str, Any]]:
    require_extra("tables", "reading Parquet", "pyarrow")
    read_bytes(path, 1)  # missing, empty or no file
    import pyarrow
    import pyarrow.parquet

    wanted = {*PATH_COLUMNS, "name", "series", UID_COLUMN, "Modality", *_IDC_FOLDERS}
    try:
        file = pyarrow.parquet.ParquetFile(path)
        columns = [name for name in file.schema_arrow.names if name in wanted]
        if not columns:
            found = f"the columns {', '.join(file.schema_arrow.names)[:200]}"
            raise DataError(path, found, _EXPECTED, "name the column with the images so")
        return file.read(columns=columns).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            path, f"no Parquet table ({reason})", "CSV in UTF-8, or Parquet", "export it again"
        ) from error


def _row(table: Path, number: int, row: Mapping[str, Any], column: str | None) -> ManifestRow:
    def text(name: str) -> str:
        value = row.get(name)
        return "" if value is None else str(value).strip()

    name = _checked_name(table, number, text("name"))
    if column is not None:
        image = text(column)
        if not image or "\0" in image:
            raise DataError(
                table, f"no {column} in row {number}", "a path in each row", "correct the row"
            )
        series = text("series") or None
        identity = f"{image}\n{series}" if series else image
        return ManifestRow(table.parent / image, name, series, identity, number)
    uid = text(UID_COLUMN)
    if not uid or not all(part.isdigit() for part in uid.split(".")):
        raise DataError(
            table, f"the {UID_COLUMN} {uid!r:.80} in row {number}", "a UID", "correct the row"
        )
    # A UID is an identifier, so the mask is not named after it.
    own_name = name or f"series_{hashlib.sha256(uid.encode()).hexdigest()[:16]}"
    return ManifestRow(_idc_folder(table.parent, row, uid), own_name, uid, uid, number)


def _checked_name(table: Path, number: int, name: str) -> str | None:
    if not name:
        return None
    is_plain = name.isprintable() and name == Path(name).name and not name.startswith(".")
    if not is_plain or "\\" in name or len(name.encode()) > _LONGEST_NAME:
        raise DataError(
            table,
            f"the name {name!r:.80} in row {number}",
            f"a file name without folders, of at most {_LONGEST_NAME} bytes",
            "correct the row",
        )
    return name


def _idc_folder(root: Path, row: Mapping[str, Any], uid: str) -> Path:
    """Where idc-index's own template for folders puts a series; else a folder of its UID."""
    parts = [str(row.get(name) or "") for name in _IDC_FOLDERS]
    last = f"{row.get('Modality') or ''}_{uid}"
    if all(part and part == os.path.basename(part) and part not in ("..", ".") for part in parts):
        folder = root.joinpath(*parts, last)
        if folder.is_dir():
            return folder
    return root / uid
