"""LiTS, CT of the liver and its tumours: volume-N.nii and segmentation-N.nii."""

from __future__ import annotations

import re
from pathlib import Path

from lightm_unet.datasets.importers.source import Pair, SourceListing
from lightm_unet.errors import DataError

_NAME = re.compile(r"(volume|segmentation)-(\d+)\.nii(\.gz)?")


def is_here(source: Path) -> bool:
    """Whether a folder, or one below it, holds a volume-N file."""
    return bool(_files(source)["volume"])


def find(source: Path) -> SourceListing:
    """List volumes and their segmentations, in this folder and all below it.

    Raises:
        DataError: no pair, a segmentation without its volume, or two files of one number.
    """
    files = _files(source)
    volumes, segmentations = files["volume"], files["segmentation"]
    for number in sorted(set(segmentations) - set(volumes)):
        raise DataError(
            segmentations[number],
            "a segmentation without its volume",
            f"volume-{number}.nii",
            "unpack all parts of the download",
        )
    if not segmentations:
        raise DataError(
            source,
            "no pair of volume-N.nii and segmentation-N.nii",
            "the unpacked LiTS training set",
            "name the folder that holds both",
        )
    names = {number: f"liver_{number:03d}" for number in volumes}
    return SourceListing(
        name="LiTS",
        source="Liver Tumor Segmentation Challenge; Bilic et al., Med Image Anal 2023;84:102680",
        channel_names=("CT",),
        label_names=("background", "liver", "tumour"),
        file_ending=".nii.gz",
        pairs=tuple(
            Pair(names[number], volumes[number], (segmentations[number],), names[number])
            for number in sorted(segmentations)
        ),
        left_out=tuple(names[number] for number in sorted(set(volumes) - set(segmentations))),
    )


def _files(source: Path) -> dict[str, dict[int, Path]]:
    """Files by kind and number."""
    found: dict[str, dict[int, Path]] = {"volume": {}, "segmentation": {}}
    for file in sorted(source.rglob("*.nii*")):
        match = _NAME.fullmatch(file.name)
        if not match or not file.is_file():
            continue
        kind, number = match[1], int(match[2])
        if number in found[kind]:
            raise DataError(
                file,
                f"a second {kind} {number} beside {found[kind][number]}",
                "one",
                "remove one copy",
            )
        found[kind][number] = file
    return found
