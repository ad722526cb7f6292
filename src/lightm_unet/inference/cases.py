"""Find the cases in a user's files: which files form one image, and where its mask is written."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightm_unet.errors import DataError, SettingError, UsageError
from lightm_unet.imaging.dicom.archive import is_zip
from lightm_unet.imaging.dicom.find import DicomImage, find_images
from lightm_unet.imaging.dicom.listing import (
    has_dicom,
    images_in_archive,
    images_in_folder,
    is_dicom_file,
)
from lightm_unet.imaging.dicom_source import DicomFile, stem
from lightm_unet.imaging.image import (
    IMAGE_ENDINGS,
    Image,
    has_spacing,
    image_files,
    is_image_name,
    read_image,
    split_ending,
)

MASK_PICTURE_ENDING = ".png"
"""Format of masks of pictures: lossless and widely supported."""
SEGMENTATION_ENDING, VOLUME_ENDING = ".dcm", ".nii.gz"
"""Formats of masks of DICOM images."""

_CHANNEL = re.compile(r"(.+)_(\d{4})", re.DOTALL)


@dataclass(frozen=True)
class InputCase:
    """One image to segment."""

    name: str
    files: tuple[Path, ...]
    """One file per channel, in order, or one file that holds all channels; of DICOM the file,
    folder or archive that holds the image."""
    output: Path | None
    """File for the mask; None where there is no image."""
    problem: DataError | None = None
    """Why there is no image, such as a wrong path."""
    dicom: tuple[DicomFile, ...] = ()
    """The files of a DICOM image."""
    dicom_voxels: int = 0
    """Of all of them together."""

    def read(self, channels: int, nan_as: float | None = None) -> Image:
        """Read the image.

        Args:
            channels: how many the model needs.
            nan_as: what NaN and infinite voxels become; None refuses them.

        Raises:
            DataError: a file cannot be used, or a channel is missing or too many.
        """
        if self.problem:
            raise self.problem
        if self.dicom:
            return read_image(self.dicom, channels, nan_as=nan_as)
        if len(self.files) > 1:
            found = [split_ending(file)[0][-4:] for file in self.files]
            expected = [f"{channel:04}" for channel in range(channels)]
            if found != expected:
                raise DataError(
                    self.files[0],
                    f"the channels {', '.join(found)} of {self.name}",
                    ", ".join(expected),
                    "add the missing files, or give the images names that do not end in a number",
                )
        return read_image(self.files, channels, nan_as=nan_as)


def check_input(path: Path) -> None:
    """Find out quickly whether there is an image at a path; it may be one that cannot be read.

    Raises:
        DataError: nothing is there, or a folder without an image, or a file of another kind.
    """
    if is_zip(path) or is_dicom_file(path):
        return
    try:
        image_files(path)
    except DataError:
        if not (os.path.isdir(path) and has_dicom(path, IMAGE_ENDINGS)):
            raise


def find_cases(
    inputs: Sequence[Path],
    output: Path,
    channels: int,
    *,
    series: str | None = None,
    dicom_ending: str = SEGMENTATION_ENDING,
) -> list[InputCase]:
    """List the cases in files, folders and zip archives; no image is read yet.

    nnU-Net's names are understood: `CASE_0000.EXT`, `CASE_0001.EXT`, ... are the channels of one
    case, and its mask is `CASE.EXT`. A single file may hold all channels, as colour pictures do.
    For a model of one channel, `CASE.EXT` and `CASE_0000.EXT` both give `CASE.EXT`; where
    `CASE_0001.EXT` is there too they are numbered images, each with a mask of its own name.
    Masks keep `.nii` and `.nii.gz`; pictures' masks are `.png`.

    DICOM is known by its content: the slices of a series in a folder are one case, named after the
    folder, and each radiograph is one, named after its file; `imaging.dicom.find` says more. A
    folder that holds no image itself may hold folders of DICOM images.

    Of several inputs, one that cannot be used is a case with a problem, which does not stop the
    others. So is whatever bears the name of an image in a folder and cannot be read, such as a
    link to a file that is gone.

    Args:
        inputs: files, folders of images, and zip archives of DICOM.
        output: folder for the masks.
        channels: how many the model needs.
        series: number or UID of the DICOM series to take; None takes the largest of each study.
        dicom_ending: of the masks of DICOM images, `SEGMENTATION_ENDING` or `VOLUME_ENDING`.

    Raises:
        DataError: the only input is missing or has a wrong ending, or is a folder without an image.
        UsageError: nothing is given, two masks would have one name, a mask would replace an input,
            or a series is asked for and there is no DICOM.
        MissingPartError: there is DICOM, and the packages that read it are missing.
    """
    files: list[Path] = []
    dicom: list[DicomImage] = []
    single: list[Path] = []
    problems: list[InputCase] = []
    for path in inputs:
        try:
            if is_zip(path):
                dicom += images_in_archive(path, series)
            elif not is_image_name(path) and is_dicom_file(path):
                single.append(path)
            elif os.path.isdir(path):
                others, nothing = _other_images(path)
                found = images_in_folder(path, series, IMAGE_ENDINGS, below=not others)
                if nothing and not found:
                    raise nothing
                dicom += found
                files += others
            else:
                files += image_files(path)
        except DataError as problem:
            if len(inputs) == 1:
                raise
            problems.append(InputCase(path.name or str(path), (path,), None, problem))
    dicom += _images_of_files(single, series)
    # A file named twice, by itself and through its folder, is one file.
    files = list(dict.fromkeys(file.absolute() for file in files))
    dicom = list(dict.fromkeys(dicom))
    if not files and not dicom and not problems:
        raise UsageError("predict needs at least one image file or folder, got none")
    if series is not None and files and not dicom:
        raise SettingError("{0} is for DICOM, and none is among the images; leave it out", "series")
    cases = [
        InputCase(name, tuple(group), output / (name + _mask_ending(group[0])))
        for name, group in _group_channels(files, channels)
    ]
    for image in dicom:
        if image.problem is not None:
            problems.append(InputCase(image.name, (image.place,), None, image.problem))
        else:
            mask = output / (image.name + dicom_ending)
            cases.append(
                InputCase(
                    image.name,
                    (image.place,),
                    mask,
                    dicom=image.files,
                    dicom_voxels=image.voxels,
                )
            )
    check_outputs(cases, [*files, *(file.path for image in dicom for file in image.files)])
    return cases + problems


def _other_images(folder: Path) -> tuple[list[Path], DataError | None]:
    """The images in a folder that are no DICOM, and what is wrong if there is no image at all."""
    try:
        return [file for file in image_files(folder) if is_image_name(file)], None
    except DataError as problem:
        return [], problem


def _images_of_files(paths: Sequence[Path], series: str | None) -> list[DicomImage]:
    """The images among DICOM files that were named one by one, such as `series/*`."""
    by_folder = defaultdict(list)
    for path in dict.fromkeys(path.absolute() for path in paths):
        by_folder[path.parent].append(path)
    images: list[DicomImage] = []
    for folder, group in by_folder.items():
        alone = len(group) == 1
        place, name = (group[0], stem(group[0].name)) if alone else (folder, folder.name or "dicom")
        images += find_images([DicomFile(path) for path in group], place, name, series)
    return images


def _group_channels(files: Iterable[Path], channels: int) -> list[tuple[str, list[Path]]]:
    """Case names with their files, in the order given."""
    numbered = defaultdict(list)
    for file in files:
        if key := _channel_key(file):
            numbered[key].append(file)
    for group in numbered.values():
        group.sort()
    cases = []
    for file in files:
        key = _channel_key(file)
        group = numbered[key] if key else [file]
        stem = split_ending(file)[0]
        # Without a 0000 these are numbered images, such as a camera's IMG_1234.jpg.
        starts_at_0 = split_ending(group[0])[0].endswith("_0000")
        if not key or not starts_at_0 or (channels == 1 and len(group) > 1):
            cases.append((stem, [file]))
        elif file == group[0]:
            cases.append((key[1], group))
    return cases


def _channel_key(file: Path) -> tuple[Path, str, str] | None:
    """What the channels of one case share: folder, name and ending; None without a number."""
    stem, ending = split_ending(file)
    match = _CHANNEL.fullmatch(stem)
    return (file.parent, match[1], ending) if match else None


def _mask_ending(file: Path) -> str:
    return split_ending(file)[1] if has_spacing(file) else MASK_PICTURE_ENDING


def _refuse_clashes(cases: Iterable[InputCase]) -> None:
    first_with: dict[Path, InputCase] = {}
    for case in cases:
        if case.output is None:
            continue
        other = first_with.setdefault(case.output, case)
        if other is not case:
            raise UsageError(
                f"{other.files[0]} and {case.files[0]} would both write {case.output}; "
                "rename one of them, or predict them into different folders"
            )


def check_outputs(cases: Sequence[InputCase], files: Iterable[Path]) -> None:
    """Refuse cases whose masks would replace an input, or each other.

    Args:
        cases: those that will be segmented.
        files: all inputs.

    Raises:
        UsageError: a mask would.
    """
    # Not `resolve`, which raises where a link leads to itself.
    inputs = {os.path.realpath(file) for file in files}
    for case in cases:
        if case.output is not None and os.path.realpath(case.output) in inputs:
            raise UsageError(
                f"the mask of {case.files[0]} would replace an input; choose another output folder"
            )
    _refuse_clashes(cases)
