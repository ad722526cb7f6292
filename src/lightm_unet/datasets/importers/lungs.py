"""Chest X-rays with lung masks: Montgomery County and Shenzhen (NLM, Jaeger et al. 2014).

Three layouts go around, and any mixture below one folder is understood:

    MontgomerySet/CXR_png/X.png, ManualMask/leftMask/X.png, ManualMask/rightMask/X.png
    ChinaSet_AllFiles/CXR_png/X.png, mask/X_mask.png
    CXR_png/X.png, masks/X.png or masks/X_mask.png
"""

from __future__ import annotations

import re
from pathlib import Path

from lightm_unet.datasets.importers.source import Pair, SourceListing
from lightm_unet.errors import DataError
from lightm_unet.imaging.image import image_files

_IMAGES = "CXR_png"


def is_here(source: Path) -> bool:
    """Whether a folder, or one directly below it, holds a CXR_png folder."""
    return bool(_image_folders(source))


def find(source: Path) -> SourceListing:
    """List the X-rays and their masks.

    Raises:
        DataError: no CXR_png folder, no mask at all, or two X-rays of one name.
    """
    folders = _image_folders(source)
    if not folders:
        raise DataError(
            source,
            f"no {_IMAGES} folder",
            "the unpacked Montgomery or Shenzhen set",
            "name the folder that holds MontgomerySet or ChinaSet_AllFiles",
        )
    pairs: dict[str, Pair] = {}
    left_out = []
    for folder in folders:
        for image in image_files(folder):
            name = image.stem
            masks = _masks(folder.parent, source, name)
            if not masks:
                left_out.append(name)
            elif name in pairs:
                raise DataError(image, "an X-ray of a name seen before", "one", "remove one copy")
            else:
                # MCUCXR_0042_1: set, patient, and 1 for tuberculosis
                patient = re.sub(r"_[01]$", "", name)
                pairs[name] = Pair(name, image, masks, patient)
    if not pairs:
        raise DataError(
            folders[0],
            "no X-ray with a mask",
            "masks in masks/, mask/ or ManualMask/ beside it",
            "unpack the masks too",
        )
    return SourceListing(
        name="Montgomery and Shenzhen chest X-rays",
        source="U.S. National Library of Medicine; Jaeger et al., Quant Imaging Med Surg 2014;4(6)",
        channel_names=("X-ray",),
        label_names=("background", "lung"),
        file_ending=".png",
        pairs=tuple(pairs[name] for name in sorted(pairs)),
        left_out=tuple(sorted(left_out)),
        binary_masks=True,
    )


def _image_folders(source: Path) -> list[Path]:
    """CXR_png folders: in this folder, in those below, or the folder itself."""
    if source.name == _IMAGES and source.is_dir():
        return [source]
    return sorted(
        folder for folder in (source / _IMAGES, *source.glob(f"*/{_IMAGES}")) if folder.is_dir()
    )


def _masks(home: Path, source: Path, name: str) -> tuple[Path, ...]:
    """The mask files of one X-ray; none where there is none, or only one lung of two."""
    sides = tuple(home / "ManualMask" / side / f"{name}.png" for side in ("leftMask", "rightMask"))
    if all(side.is_file() for side in sides):
        return sides
    for folder in (home / "masks", home / "mask", source / "masks", source / "mask"):
        for mask in (folder / f"{name}_mask.png", folder / f"{name}.png"):
            if mask.is_file():
                return (mask,)
    return ()
