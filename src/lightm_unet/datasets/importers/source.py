"""The pairs that an importer finds, and how one pair is checked and copied."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lightm_unet.datasets.dataset import MAX_LABELS, check_labels_fit
from lightm_unet.errors import DataError
from lightm_unet.imaging.dicom_source import DicomFile
from lightm_unet.imaging.image import (
    Image,
    read_image,
    read_labels,
    split_ending,
    write_labels,
    write_volume,
)
from lightm_unet.imaging.picture import write_image_picture, write_picture
from lightm_unet.system.files import open_atomic


@dataclass(frozen=True)
class Pair:
    """One image and the files of its label map."""

    name: str
    image: Path
    labels: tuple[Path, ...]
    """One file; or several masks, such as left and right lung, that become one label."""
    patient: str
    dicom: tuple[DicomFile, ...] = ()
    """The files of a DICOM image."""


@dataclass(frozen=True)
class SourceListing:
    """A data set as it was found."""

    name: str
    source: str
    """The source of the data, as a text for readers."""
    channel_names: tuple[str, ...]
    label_names: tuple[str, ...]
    file_ending: str
    pairs: tuple[Pair, ...]
    left_out: tuple[str, ...] = ()
    """Images without a label map."""
    binary_masks: bool = False
    """Masks are 0 and one other value (255 as a rule), to become 0 and 1."""
    convert: Callable[[Pair], tuple[Image, np.ndarray]] | None = None
    """Reads a pair's image and its label map as they are to be stored; without it, both files are
    copied as they are."""


def import_pair(pair: Pair, found: SourceListing, folder: Path) -> None:
    """Check one pair and write it into a data set's folder.

    Raises:
        DataError: a file cannot be used, or the two do not fit; it names the file.
    """
    if found.convert is not None:
        write_converted(pair.name, *found.convert(pair), found.file_ending, folder)
        return
    volumes = found.file_ending == ".nii.gz"
    channels = len(found.channel_names)
    # Volumes of several channels come in one file; X-rays stored in colour become grey below.
    image = read_image(pair.image, channels=channels if volumes else None)
    masks = []
    for path in pair.labels:
        labels, geometry = read_labels(path)
        classes = MAX_LABELS if found.binary_masks else len(found.label_names)
        check_labels_fit(labels, geometry, image.geometry, classes, path)
        if found.binary_masks:
            _check_binary(labels, path)
        masks.append(labels)

    images = [
        folder / "imagesTr" / f"{pair.name}_{i:04d}{found.file_ending}" for i in range(channels)
    ]
    target = folder / "labelsTr" / f"{pair.name}{found.file_ending}"
    if not volumes:
        _write_grey(image, images[0])
        write_picture(np.any(masks, axis=0).astype(np.uint8), target)
        return
    _copy_compressed(pair.labels[0], target)
    if channels == 1:
        _copy_compressed(pair.image, images[0])
        return
    for channel, path in zip(image.array, images, strict=True):
        write_volume(channel, image.geometry, path)


def write_converted(name: str, image: Image, labels: np.ndarray, ending: str, folder: Path) -> None:
    """Write an image and its label map as one case."""
    target = folder / "imagesTr" / f"{name}_0000{ending}"
    if ending != ".nii.gz":
        write_image_picture(image.array, target)
    elif image.geometry.header is None:  # DICOM, MHA, NRRD
        (values,) = image.array  # such volumes are grey
        whole = (values == np.rint(values)).all() and np.abs(values).max() < 2**15
        grid = replace(image.geometry, dicom=None)
        write_volume(values.astype(np.int16) if whole else values, grid, target)
    else:
        _copy_compressed(image.path, target)
    write_labels(labels, image.geometry, folder / "labelsTr" / f"{name}{ending}")


def inside(folder: Path, relative: str) -> Path:
    """The file that a data set's own list names; it must lie in the data set's folder.

    Raises:
        DataError: it does not, as with `../` or an absolute path.
    """
    path = (folder / relative).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise DataError(
            folder, f"the path {relative!r} in its list", "paths inside the folder", "correct it"
        )
    return path


def _check_binary(labels: np.ndarray, path: Path) -> None:
    values = np.unique(labels)
    if len(values) > 2 or values[0] != 0:
        shown = ", ".join(map(str, values[:5])) + (", ..." if len(values) > 5 else "")
        raise DataError(
            path,
            f"the mask values {shown}",
            "0 and one other value",
            "export the mask again without smoothing",
        )


def _write_grey(image: Image, target: Path) -> None:
    """Copy a grey PNG as it is; make an 8-bit grey one of anything else."""
    if image.array.shape[0] == 1 and split_ending(image.path)[1] == ".png":
        _copy(image.path, target)
        return
    grey = np.rint(image.array.mean(axis=0))
    if grey.max() > 255:
        raise DataError(image.path, "more than 8 bits", "an 8-bit picture", "save it as PNG")
    write_picture(grey, target)


def _copy_compressed(source: Path, target: Path) -> None:
    """Copy a .nii.gz byte by byte; compress a .nii."""
    if split_ending(source)[1] == ".nii.gz":
        _copy(source, target)
        return
    with (
        source.open("rb") as reader,
        open_atomic(target) as writer,
        gzip.GzipFile("", "wb", compresslevel=4, fileobj=writer, mtime=0) as packed,
    ):
        shutil.copyfileobj(reader, packed)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as reader, open_atomic(target) as writer:
        shutil.copyfileobj(reader, writer)
