"""A task of the Medical Segmentation Decathlon: dataset.json, imagesTr, labelsTr."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightm_unet.datasets.importers.source import Pair, SourceListing, inside
from lightm_unet.errors import DataError
from lightm_unet.imaging.image import split_ending
from lightm_unet.system.files import read_json


def find(source: Path) -> SourceListing:
    """List the training pairs that dataset.json names.

    The Decathlon keeps several modalities in one file with a fourth axis; importing makes one
    file of each. An image whose label map is missing is left out.

    Raises:
        DataError: dataset.json is not the Decathlon's, or names a file outside the folder.
    """
    description = source / "dataset.json"
    content = read_json(description)
    channel_names = _names_by_number(content, "modality", description)
    label_names = _names_by_number(content, "labels", description)
    pairs: dict[str, Pair] = {}
    left_out = []
    for entry in _training(content, description):
        image, labels = inside(source, entry["image"]), inside(source, entry["label"])
        name, _ = split_ending(image)
        if name in pairs:
            raise DataError(description, f"{name} listed twice", "each image once", "correct it")
        if labels.is_file():
            pairs[name] = Pair(name, image, (labels,), patient=name)
        else:
            left_out.append(name)
    if not pairs:
        raise DataError(source, "no image with a label map", "some", "unpack the download again")
    return SourceListing(
        name=str(content.get("name", source.resolve().name)),
        source=f"Medical Segmentation Decathlon; {content.get('reference', '')}".rstrip("; "),
        channel_names=channel_names,
        label_names=("background", *label_names[1:]),
        file_ending=".nii.gz",
        pairs=tuple(pairs[name] for name in sorted(pairs)),
        left_out=tuple(sorted(left_out)),
    )


def _names_by_number(content: dict[str, Any], key: str, path: Path) -> tuple[str, ...]:
    """`{"0": "CT", "1": ...}` as a tuple."""
    names = content.get(key)
    numbers = [str(i) for i in range(len(names))] if isinstance(names, dict) else []
    if not isinstance(names, dict) or not numbers or set(names) != set(numbers):
        raise DataError(
            path, f"{key} {names!r}", '{"0": ..., "1": ...} without a gap', "correct it"
        )
    return tuple(str(names[number]) for number in numbers)


def _training(content: dict[str, Any], path: Path) -> list[dict[str, str]]:
    """The list of training pairs, checked for its form."""
    entries = content.get("training")
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict)
        and isinstance(entry.get("image"), str)
        and isinstance(entry.get("label"), str)
        for entry in entries
    ):
        raise DataError(
            path, "no list of training pairs", '[{"image": ..., "label": ...}]', "correct it"
        )
    return entries
