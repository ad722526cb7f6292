"""Find the cases in a user's files: which files form one image, and where its mask is written."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightm_unet.errors import DataError, UsageError
from lightm_unet.imaging.image import (
    Image,
    has_spacing,
    image_files,
    read_image,
    split_ending,
)

MASK_PICTURE_ENDING = ".png"
"""Format of masks of pictures: lossless and widely supported."""

_CHANNEL = re.compile(r"(.+)_(\d{4})", re.DOTALL)


@dataclass(frozen=True)
class InputCase:
    """One image to segment."""

    name: str
    files: tuple[Path, ...]
    """One file per channel, in order, or one file that holds all channels."""
    output: Path | None
    """File for the mask; None where there is no image."""
    problem: DataError | None = None
    """Why there is no image, such as a wrong path."""

    def read(self, channels: int) -> Image:
        """Read the image.

        Args:
            channels: how many the model needs.

        Raises:
            DataError: a file cannot be used, or a channel is missing or too many.
        """
        if self.problem:
            raise self.problem
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
        return read_image(self.files, channels)


def find_cases(inputs: Sequence[Path], output: Path, channels: int) -> list[InputCase]:
    """List the cases in files and folders; no image is read yet.

    nnU-Net's names are understood: `CASE_0000.EXT`, `CASE_0001.EXT`, ... are the channels of one
    case, and its mask is `CASE.EXT`. A single file may hold all channels, as colour pictures do.
    For a model of one channel, `CASE.EXT` and `CASE_0000.EXT` both give `CASE.EXT`; where
    `CASE_0001.EXT` is there too they are numbered images, each with a mask of its own name.
    Masks keep `.nii` and `.nii.gz`; pictures' masks are `.png`.

    Of several inputs, one that cannot be used is a case with a problem, which does not stop the
    others. So is whatever bears the name of an image in a folder and cannot be read, such as a
    link to a file that is gone.

    Args:
        inputs: files, and folders of images.
        output: folder for the masks.
        channels: how many the model needs.

    Raises:
        DataError: the only input is missing or has a wrong ending, or is a folder without an image.
        UsageError: nothing is given, two masks would have one name, or a mask would replace an
            input.
    """
    files: list[Path] = []
    problems: list[InputCase] = []
    for path in inputs:
        try:
            files += image_files(path)
        except DataError as problem:
            if len(inputs) == 1:
                raise
            problems.append(InputCase(path.name or str(path), (path,), None, problem))
    # A file named twice, by itself and through its folder, is one file.
    files = list(dict.fromkeys(file.absolute() for file in files))
    if not files and not problems:
        raise UsageError("predict needs at least one image file or folder, got none")
    cases = [
        InputCase(name, tuple(group), output / (name + _mask_ending(group[0])))
        for name, group in _group_channels(files, channels)
    ]
    _check_outputs(cases, files)
    return cases + problems


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


def _check_outputs(cases: Iterable[InputCase], files: Iterable[Path]) -> None:
    # Not `resolve`, which raises where a link leads to itself.
    inputs = {os.path.realpath(file) for file in files}
    first_with: dict[Path, InputCase] = {}
    for case in cases:
        assert case.output is not None  # only cases with a problem have none
        if os.path.realpath(case.output) in inputs:
            raise UsageError(
                f"the mask of {case.files[0]} would replace an input; choose another output folder"
            )
        if other := first_with.get(case.output):
            raise UsageError(
                f"{other.files[0]} and {case.files[0]} would both write {case.output}; "
                "rename one of them, or predict them into different folders"
            )
        first_with[case.output] = case
