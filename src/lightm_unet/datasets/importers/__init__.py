"""Public data sets, brought into nnU-Net v2's raw layout with a stored split."""

from __future__ import annotations

import logging
from pathlib import Path

from lightm_unet.datasets.dataset import Dataset, open_dataset, write_dataset_json
from lightm_unet.datasets.importers import decathlon, lits, lungs
from lightm_unet.datasets.importers.source import SourceListing, import_pair
from lightm_unet.datasets.settings import ImportSettings
from lightm_unet.datasets.splits import SPLIT_FILE, make_split, write_split
from lightm_unet.errors import DataError
from lightm_unet.system.choices import check_choice
from lightm_unet.system.files import new_folder, read_json
from lightm_unet.system.progress import Progress, track

_FINDERS = {
    "montgomery-shenzhen": lungs.find,
    "lits": lits.find,
    "msd": decathlon.find,
}
KINDS = tuple(_FINDERS)
"""Kinds of data set that can be imported."""

_log = logging.getLogger(__name__)


def import_dataset(
    source: Path,
    target: Path,
    kind: str = ImportSettings.kind,
    seed: int = ImportSettings.seed,
    progress: Progress | None = None,
) -> Dataset:
    """Copy a public data set into a new folder that training understands.

    Every pair is read and checked on the way: the label map must lie on the image's grid and hold
    known values. Images without a label map are left out, logged as a warning, and named in the
    result's `left_out`. NIfTI files keep their bytes (plain .nii is compressed); masks of 0 and
    255 become 0 and 1. The 7:1:2 split, by patient, is stored as split.json.

    Args:
        source: the unpacked download.
        target: a new or empty folder; it is filled completely or not at all.
        kind: "montgomery-shenzhen" (chest X-rays with lung masks), "lits" (liver CT), "msd" (a
            task of the Medical Segmentation Decathlon), or "auto" to look.
        seed: of the split.
        progress: takes an event for each image.

    Raises:
        UsageError: an unknown kind, or files at `target` already.
        DataError: `source` is not of that kind, or a pair that cannot be used, which is named.
    """
    source, target = Path(source), Path(target)
    check_choice("kind", kind, ("auto", *KINDS))
    found = _FINDERS[detect_kind(source) if kind == "auto" else kind](source)
    with new_folder(target) as folder:
        write_found(found, folder, seed, progress)
    if found.left_out:
        names = ", ".join(found.left_out)
        _log.warning("%d image(s) without a mask left out: %s", len(found.left_out), names)
    return open_dataset(target)


def detect_kind(source: Path) -> str:
    """Which kind of data set a folder holds.

    Raises:
        DataError: none that is known.
    """
    source = Path(source)
    if not source.is_dir():
        raise DataError(source, "no such folder", "an unpacked data set", "check the path")
    description = source / "dataset.json"
    if description.is_file():
        if "channel_names" in read_json(description):
            raise DataError(
                source,
                "nnU-Net v2's layout already",
                "a data set to convert",
                "use this folder as it is",
            )
        return "msd"
    if lungs.is_here(source):
        return "montgomery-shenzhen"
    if lits.is_here(source):
        return "lits"
    raise DataError(
        source,
        "no known data set",
        "a CXR_png folder, volume-N.nii files, or the Decathlon's dataset.json",
        "name its folder, or lay the files out as nnU-Net v2 does",
    )


def write_found(
    found: SourceListing, folder: Path, seed: int, progress: Progress | None = None
) -> None:
    """Fill an empty folder with a data set: images, label maps, dataset.json, split.json."""
    for pair in track(found.pairs, "import", progress, lambda pair: pair.name):
        import_pair(pair, found, folder)
    write_dataset_json(
        folder,
        name=found.name,
        channel_names=found.channel_names,
        label_names=found.label_names,
        training_cases=len(found.pairs),
        file_ending=found.file_ending,
        patients={pair.name: pair.patient for pair in found.pairs if pair.patient != pair.name},
        source=found.source,
        left_out=found.left_out,
    )
    write_split(make_split(open_dataset(folder), seed), folder / SPLIT_FILE)
