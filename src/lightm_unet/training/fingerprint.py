"""What a run's data were when it began, to notice that they have changed when it is resumed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lightm_unet.datasets.dataset import Case, Dataset
from lightm_unet.system.files import file_digest, read_json
from lightm_unet.system.records import digest

_SHOWN = 5


@dataclass(frozen=True)
class Fingerprint:
    """Names and contents of everything that a run reads from its data set.

    Stored in run.json. It holds no path outside the data set and no time of a file: a copied or
    moved data set has the same fingerprint, whatever was written into it since has another.
    """

    description: Mapping[str, str]
    """SHA-256 of each entry of dataset.json."""
    cases: tuple[str, ...]
    """All cases of imagesTr, sorted."""
    files: Mapping[str, Mapping[str, str]]
    """For each training and validation case, its files (relative to the data set's folder), each
    with its size in bytes and SHA-256."""

    def differences(self, now: Fingerprint) -> list[str]:
        """How the data differ today, in words; empty if they do not."""
        found = []
        names = sorted({*self.description, *now.description})
        changed = [n for n in names if self.description.get(n) != now.description.get(n)]
        if changed:
            found.append(f"dataset.json with other {', '.join(changed)}")
        found += _some("missing", "case", set(self.cases) - set(now.cases))
        found += _some("added", "case", set(now.cases) - set(self.cases))
        shared = [name for name in self.files if name in now.files]
        before = {file: what for name in shared for file, what in self.files[name].items()}
        after = {file: what for name in shared for file, what in now.files[name].items()}
        found += _some("missing", "file", before.keys() - after.keys())
        found += _some("added", "file", after.keys() - before.keys())
        found += _some(
            "changed", "file", [n for n in before.keys() & after.keys() if before[n] != after[n]]
        )
        return found


def take_fingerprint(data: Dataset, files: Mapping[str, Mapping[str, str]]) -> Fingerprint:
    """The fingerprint of a data set.

    Args:
        data: the data set.
        files: `describe_files` of each training and validation case.
    """
    description: dict[str, Any] = read_json(data.root / "dataset.json")
    return Fingerprint(
        {name: digest(value) for name, value in description.items()},
        tuple(sorted(case.name for case in data.training)),
        dict(sorted(files.items())),
    )


def describe_files(data: Dataset, case: Case) -> dict[str, str]:
    """Size and SHA-256 of each file of a case, by its path within the data set."""
    files = [*case.images, *([case.labels] if case.labels else [])]
    return {
        file.relative_to(data.root).as_posix(): f"{file.stat().st_size} {file_digest(file)}"
        for file in files
    }


def _some(what: str, kind: str, names: Iterable[str]) -> list[str]:
    """A few names in one sentence, or none."""
    names = sorted(names)
    if not names:
        return []
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return [f"{what} {kind}{'s' * (len(names) > 1)}: {', '.join(names[:_SHOWN])}{more}"]
