"""DICOM images, and DICOM segmentations as masks, in folders of pairs.

An image is called after its folder, a radiograph after its file. A segmentation is called after its
file, or where it is alone in a folder below, after that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lightm_unet.errors import refuse_all
from lightm_unet.imaging.dicom.listing import has_dicom, images_in_folder, is_dicom_file
from lightm_unet.imaging.dicom_source import DicomFile
from lightm_unet.imaging.image import IMAGE_ENDINGS, is_image_name, read_image


@dataclass(frozen=True)
class DicomPairs:
    """What two folders hold in DICOM, by the path that gives it a name."""

    images: Mapping[Path, tuple[DicomFile, ...]]
    masks: Mapping[Path, Path]

    def is_picture(self, image: Path) -> bool:
        """Whether an image is a radiograph; it is read if its number of files does not tell."""
        files = self.images[image]
        return len(files) == 1 and read_image(files).geometry.is_picture


def find_dicom(images: Path, masks: Path) -> DicomPairs:
    """List the DICOM images in one folder and the DICOM files in another.

    Raises:
        DataError: names what cannot be read, and folders that hold several images.
        MissingPartError: there is DICOM, and the packages that read it are missing.
    """
    found: dict[Path, tuple[DicomFile, ...]] = {}
    problems = []
    if has_dicom(images, IMAGE_ENDINGS):
        for image in images_in_folder(images, None, IMAGE_ENDINGS):
            if image.problem is not None:
                problems.append(str(image.problem))
            elif image.place in found:
                problems.append(
                    f"{image.place}: several images (studies) in one folder; put each into a "
                    "folder of its own"
                )
            else:
                found[image.place] = image.files
    refuse_all(images, problems)
    return DicomPairs(found, _masks(masks) if masks != images else {})


def _masks(folder: Path) -> dict[Path, Path]:
    by_folder: dict[Path, list[Path]] = {}
    for file in sorted(folder.absolute().rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(folder.absolute()).parts)
        if not hidden and not is_image_name(file) and is_dicom_file(file):
            by_folder.setdefault(file.parent, []).append(file)
    return {
        inner if len(files) == 1 and inner != folder.absolute() else file: file
        for inner, files in by_folder.items()
        for file in files
    }
