"""The ledgers of many folders as one table, with what is missing, failed or doubled."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightm_unet.errors import DataError
from lightm_unet.imaging.image import IMAGE_ENDINGS
from lightm_unet.inference.cases import MASK_PICTURE_ENDING, SEGMENTATION_ENDING
from lightm_unet.inference.ledger import LEDGER_NAME, Ledger
from lightm_unet.inference.manifest import mask_stem, read_manifest
from lightm_unet.inference.record import RECORD_NAME
from lightm_unet.inference.resuming import hidden_name
from lightm_unet.reporting.text_tables import csv_table
from lightm_unet.system.extras import is_installed, require_extra
from lightm_unet.system.files import encode_text, write_bytes
from lightm_unet.system.records import read_record

_log = logging.getLogger(__name__)

CSV, PARQUET = ".csv", ".parquet"
DONE, FAILED, SET_ASIDE = "done", "failed", "set aside"
UNFINISHED, MASK_GONE, MISSING = "unfinished", "mask missing", "missing"
_FIRST_COLUMNS = (
    *("case", "name", "outcome", "folder", "mask", "error", "warnings", "seconds"),
    *("version", "model", "sha256"),
)
_ENDINGS = (SEGMENTATION_ENDING, MASK_PICTURE_ENDING, *IMAGE_ENDINGS)
_OF_LABEL = ("voxels", "components", "volume_ml", "area_cm2")


@dataclass(frozen=True)
class Merged:
    """All cases of some folders."""

    rows: Sequence[Mapping[str, Any]]
    """One for each case; all have the same entries."""
    doubled: Sequence[str] = ()
    """Names of cases that several folders have done."""
    files: Sequence[Path] = field(default=())
    """That were written."""

    def with_outcome(self, *outcomes: str) -> list[str]:
        """Names of the cases that ended so."""
        return [str(row["name"] or row["case"]) for row in self.rows if row["outcome"] in outcomes]


def merge(folders: Sequence[Path], output: Path, manifest: Path | None = None) -> Merged:
    """Join the ledgers of folders that `predict` has written to, and write them as one table.

    A case that several folders have counts once, as the first that is done, else as the last; it is
    called doubled if several have done it. Numbers of statistics become columns, such as
    `liver_volume_ml`.

    Args:
        folders: each with a ledger.
        output: `.csv` or `.parquet`; with no such ending both are written.
        manifest: the table of cases that was given to `predict`; cases of it that no folder has
            are missing.

    Raises:
        DataError: a folder without a ledger, or a table that cannot be read.
        MissingPartError: Parquet was asked for, and pyarrow is not installed.
    """
    endings = [output.suffix.lower()] if output.suffix.lower() in (CSV, PARQUET) else [CSV, PARQUET]
    if endings == [PARQUET]:
        require_extra("tables", "writing Parquet", "pyarrow")
    rows: dict[str, dict[str, Any]] = {}
    doubled: dict[str, str] = {}
    for folder in folders:
        for row in _rows_of(folder):
            other = rows.get(row["case"])
            if other and other["outcome"] == row["outcome"] == DONE:
                doubled[row["case"]] = str(row["name"] or row["case"])
            if not other or other["outcome"] != DONE:
                rows[row["case"]] = row
    if manifest is not None:
        _add_missing(rows, manifest)
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    columns = [*_FIRST_COLUMNS, *sorted(set(names) - {*_FIRST_COLUMNS})]
    whole = [
        {name: row.get(name) for name in columns}
        for row in sorted(rows.values(), key=lambda row: (str(row["name"] or ""), row["case"]))
    ]
    files = []
    for ending in endings:
        path = output if output.suffix.lower() == ending else output.with_name(output.name + ending)
        if ending == CSV:
            write_bytes(
                encode_text(csv_table(columns, [list(row.values()) for row in whole])), path
            )
        elif not is_installed("pyarrow"):
            _log.info("%s is not written: that needs pyarrow, the extra tables", path)
            continue
        else:
            _write_parquet(whole, path)
        files.append(path)
    return Merged(whole, sorted(doubled.values()), files)


def _rows_of(folder: Path) -> Iterator[dict[str, Any]]:
    if not (folder / LEDGER_NAME).is_file():
        raise DataError(
            folder,
            f"no {LEDGER_NAME}",
            "a folder that predict has written to",
            "check the path; a folder of an earlier version has none",
        )
    ledger = Ledger(folder / LEDGER_NAME)
    names, masks = _names_in(folder)
    for case, line in ledger.ended.items():
        mask = masks.get(case)
        outcome = DONE if mask else MASK_GONE
        if line.get("error"):
            outcome = SET_ASIDE if line.get("set_aside") is True else FAILED
        warnings = line.get("warnings")
        yield {
            "case": case,
            "name": line.get("name") or names.get(case),
            "outcome": outcome,
            "folder": str(folder),
            "mask": mask if outcome == DONE else None,
            "error": line.get("error"),
            "warnings": "; ".join(map(str, warnings)) if isinstance(warnings, list) else "",
            **{name: line.get(name) for name in ("seconds", "version", "model", "sha256")},
            **_statistics(line.get("statistics")),
        }
    for case in ledger.interrupted():
        if case not in ledger.ended:
            yield _empty(case, names.get(case), UNFINISHED) | {"folder": str(folder)}


def _statistics(parts: Any) -> dict[str, Any]:
    """The whole label's numbers, one column for each."""
    if not isinstance(parts, list):
        return {}
    return {
        f"{part.get('label')}_{name}": part.get(name)
        for part in parts
        if isinstance(part, dict) and part.get("component") == 0
        for name in _OF_LABEL
        if part.get(name) is not None
    }


def _names_in(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Names of cases, and files of masks, by the name in the ledger."""
    names: dict[str, str] = {}
    try:
        for case in read_record(folder / RECORD_NAME)["cases"]:
            names[hidden_name(case["output"] or case["name"])] = case["name"]
            if not case["output"]:  # the name of the mask that there would be
                names |= {hidden_name(case["name"] + ending): case["name"] for ending in _ENDINGS}
    except (DataError, KeyError, TypeError):
        pass
    masks = {hidden_name(path.name): path.name for path in folder.iterdir() if path.is_file()}
    for case, mask in masks.items():
        names.setdefault(case, mask)
    return names, masks


def _add_missing(rows: dict[str, dict[str, Any]], manifest: Path) -> None:
    """Name the rows of the table of cases, and add those that no folder has."""
    for row in read_manifest(manifest):
        name = mask_stem(row)
        keys = [hidden_name(name), *(hidden_name(name + ending) for ending in _ENDINGS)]
        there = [key for key in keys if key in rows]
        for key in there:
            rows[key]["name"] = rows[key]["name"] or name
        if not there:
            rows[keys[0]] = _empty(keys[0], name, MISSING)


def _empty(case: str, name: str | None, outcome: str) -> dict[str, Any]:
    return {**dict.fromkeys(_FIRST_COLUMNS), "case": case, "name": name, "outcome": outcome}


def _write_parquet(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), sink)
    write_bytes(sink.getvalue().to_pybytes(), path)
