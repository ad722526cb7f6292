"""Public data sets, brought into nnU-Net v2's raw layout with a stored split."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lightm_unet.datasets.dataset import Dataset, open_dataset, write_dataset_json
from lightm_unet.datasets.importers import decathlon, lits, lungs, pairs
from lightm_unet.datasets.importers.source import SourceListing, import_pair
from lightm_unet.datasets.settings import ImportSettings
from lightm_unet.datasets.splits import SPLIT_FILE, make_split, write_split
from lightm_unet.errors import DataError, UsageError
from lightm_unet.system.choices import check_choice
from lightm_unet.system.files import new_folder, read_json, refuse_used
from lightm_unet.system.progress import Progress, track
from lightm_unet.system.values import LARGEST_SEED, path, text, whole_number, words

_FINDERS = {
    "montgomery-shenzhen": lungs.find,
    "lits": lits.find,
    "msd": decathlon.find,
}
PAIRS = "pairs"
KINDS = (*_FINDERS, PAIRS)
"""Kinds of data set that can be imported."""

_log = logging.getLogger(__name__)


def import_dataset(
    source: Path,
    target: Path,
    kind: str = ImportSettings.kind,
    seed: int = ImportSettings.seed,
    progress: Progress | None = None,
    *,
    masks: Path | None = None,
    labels: Sequence[str] | None = ImportSettings.labels,
    legend: Path | None = ImportSettings.legend,
    patients: str | None = ImportSettings.patients,
    channel: str | None = ImportSettings.channel,
) -> Dataset:
    """Copy a public data set, or a folder of images and one of masks, into a new folder.

    The result is what training understands.

    Every pair is read and checked on the way: the label map must lie on the image's grid and hold
    known values. Images without a label map are left out, logged as a warning, and named in the
    result's `left_out`. NIfTI files keep their bytes (plain .nii is compressed); masks of 0 and
    255 become 0 and 1. The 7:1:2 split, by patient, is stored as split.json.

    Args:
        source: the unpacked download.
        target: a new or empty folder; it is filled completely or not at all.
        kind: "montgomery-shenzhen" (chest X-rays with lung masks), "lits" (liver CT), "msd" (a
            task of the Medical Segmentation Decathlon), "pairs" (`source` holds images and `masks`
            their masks, see `importers.pairs.find`), or "auto" to look.
        seed: of the split.
        progress: takes an event for each image.
        masks: of pairs, the folder of masks.
        labels: of pairs, the names of the labels 1, 2, ...
        legend: of pairs, the file that says which colour is which label.
        patients: of pairs, the regular expression that finds the patient in an image's path.
        channel: of pairs, the name of grey images' channel; with "CT" in it, they are normalised
            as CT.

    Raises:
        UsageError: an unknown kind, arguments that cannot be used or do not go with it, or files at
                `target` already.
        DataError: `source` is not of that kind, or pairs that cannot be used, which are named.
    """
    source, target = path("source", source), path("target", target)
    check_choice("kind", kind, ("auto", *KINDS))
    whole_number("seed", seed, 0, LARGEST_SEED)
    masks = None if masks is None else path("masks", masks)
    labels = None if labels is None else words("labels", labels)
    legend = None if legend is None else path("legend", legend)
    if patients is not None:
        text("patients", patients, "'^(P[0-9]+)_'")
    if channel is not None:
        text("channel", channel, "'CT'")
    of_pairs = {"labels": labels, "legend": legend, "patients": patients, "channel": channel}
    given = {name: value for name, value in of_pairs.items() if value is not None}
    if masks is not None and kind in ("auto", PAIRS):
        refuse_used(target)
        found = pairs.find(
            source,
            masks,
            labels=labels,
            legend=legend,
            patients=patients,
            channel=channel or "image",
            progress=progress,
        )
        found = replace(found, name=target.resolve().name)
    elif masks is not None or kind == PAIRS:
        raise UsageError(
            f"kind {kind} takes {'a folder of masks too' if kind == PAIRS else 'no masks'}: "
            "lightm-unet import-dataset IMAGES MASKS DATASET --kind pairs"
        )
    elif given:
        raise UsageError(f"{', '.join(given)} can be given for kind {PAIRS} only")
    else:
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
        "name its folder, or import a folder of images and one of masks: lightm-unet "
        "import-dataset IMAGES MASKS DATASET --kind pairs",
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
