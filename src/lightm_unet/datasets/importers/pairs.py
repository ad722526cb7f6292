"""A folder of images and one of masks, matched by name.

All files are read before anything is written: only all masks together tell whether 255 is the one
label or something else, and only all images whether any is in colour.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lightm_unet.datasets.dataset import MAX_LABELS
from lightm_unet.datasets.importers.dicom import DicomPairs, find_dicom
from lightm_unet.datasets.importers.legend import Code, codes_of, read_legend, show
from lightm_unet.datasets.importers.names import case_names, match_names
from lightm_unet.datasets.importers.palettes import Palettes
from lightm_unet.datasets.importers.source import Pair, SourceListing
from lightm_unet.errors import DataError, UsageError, join_alike, refuse_all
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import (
    WHITES,
    Image,
    has_spacing,
    is_image_name,
    read_image,
    read_labels,
)
from lightm_unet.imaging.picture import read_label_colours
from lightm_unet.imaging.same_voxels import on_image_grid
from lightm_unet.system.logs import log_once
from lightm_unet.system.progress import Progress, track

_log = logging.getLogger(__name__)


@dataclass
class _Seen:
    """What all pairs together hold."""

    problems: list[tuple[Path, str]] = field(default_factory=list)
    """A file, and what is wrong with it."""
    any_colour: bool = False
    voxels: Counter[int] = field(default_factory=Counter)
    """Of each label value or colour: how many voxels have it,"""
    first: dict[int, Path] = field(default_factory=dict)
    """and the first mask with it."""
    palettes: Palettes = field(default_factory=Palettes)


def find(
    images: Path,
    masks: Path,
    *,
    labels: Sequence[str] | None = None,
    legend: Path | None = None,
    patients: str | None = None,
    channel: str = "image",
    progress: Progress | None = None,
) -> SourceListing:
    """Match images and masks, read them all, and find what the mask values stand for.

    Args:
        images: the folder of images.
        masks: the folder of masks.
        labels: names of the labels 1, 2, ...
        legend: file that says which colour, or grey value, is which label, see `read_legend`.
        patients: regular expression; in the image's path below `images` it finds the patient, by
            its first group if it has one.
        channel: name of the images' channel, if they are grey.
        progress: takes an event for each pair.

    Raises:
        UsageError: options that contradict each other, or a wrong expression.
        DataError: names all files that do not match or cannot be used, and all mask values that
            stand for no label.
    """
    if labels and legend:
        raise UsageError("labels and legend both name the labels; give one of them")
    for folder in (images, masks):
        if not folder.is_dir():
            raise DataError(folder, "no such folder", "images or masks", "check the path")
    meaning = read_legend(legend) if legend else None
    images, masks = images.absolute(), masks.absolute()
    dicom = find_dicom(images, masks)
    matches = match_names(images, masks, dicom.images, dicom.masks)
    refuse_all(images, matches.problems)
    if not matches.pairs:
        raise DataError(images, "no image", "images, with a mask of the same name", "check it")
    names = case_names([image for image, _ in matches.pairs], images)
    twice = Counter(name.casefold() for name in names.values())
    refuse_all(
        images,
        [
            f"{i}: another image is called {n} too"
            for i, n in names.items()
            if twice[n.casefold()] > 1
        ],
    )
    whose = _patients(names, images, patients)
    pairs = tuple(
        Pair(names[i], i, (dicom.masks.get(mask, mask),), whose[i], dicom.images.get(i, ()))
        for i, mask in matches.pairs
    )
    volumes = _all_volumes(pairs, dicom, images)
    seen = _Seen()
    for pair in track(pairs, "read", progress, lambda pair: pair.name):
        try:
            _look(pair, meaning is not None, seen)
        except DataError as error:
            seen.problems.append((error.path, str(error)))
    refuse_all(images, join_alike(seen.problems))
    values, label_names = (
        _values_by_legend(meaning, seen, masks)
        if meaning is not None
        else _values_as_they_are(labels, seen, masks)
    )

    def convert(pair: Pair) -> tuple[Image, np.ndarray]:
        image = _read_image(pair)
        if seen.any_colour and len(image.array) == 1:
            image = replace(image, array=np.repeat(image.array, 3, axis=0))
        stored = _read_on_grid(pair, image, meaning is not None)
        result = np.zeros(stored.shape, np.uint8)
        for value, label in values.items():
            result[stored == value] = label
        return image, result

    return SourceListing(
        name=images.resolve().name,
        source="",
        channel_names=("red", "green", "blue") if seen.any_colour else (channel,),
        label_names=label_names,
        file_ending=".nii.gz" if volumes else ".png",
        pairs=pairs,
        convert=convert,
    )


def _look(pair: Pair, in_colour: bool, seen: _Seen) -> None:
    """Read one pair, and remember what it holds."""
    image = _read_image(pair)
    stored = _read_on_grid(pair, image, in_colour)
    if not in_colour and is_image_name(pair.labels[0]) and not has_spacing(pair.labels[0]):
        seen.palettes.compare(pair.labels[0])
    seen.any_colour |= len(image.array) == 3
    for value, count in zip(*np.unique(stored, return_counts=True), strict=True):
        seen.voxels[int(value)] += int(count)
        seen.first.setdefault(int(value), pair.labels[0])


def _read_on_grid(pair: Pair, image: Image, in_colour: bool) -> np.ndarray:
    """A mask's values in the axes of its image.

    Raises:
        DataError: they do not lie on the same voxels.
    """
    stored, geometry = _read_values(pair.labels[0], in_colour)
    if image.geometry.is_picture and geometry.is_picture and stored.shape == image.geometry.shape:
        return stored  # a radiograph has a pixel size, its mask as a picture has none
    difference = image.geometry.difference(geometry)
    if difference is None:
        return stored
    moved = on_image_grid(stored, geometry, image.geometry)
    if moved is None:
        raise DataError(
            pair.labels[0],
            difference,
            f"the grid of its image {pair.image.name}",
            "resample the mask onto the image, or check that the names pair them rightly",
        )
    log_once(
        _log,
        f"masks in other axes {pair.labels[0].parent}",
        f"{pair.labels[0]}: lies on the voxels of its image, stored in other axes or with fewer "
        "slices; stored anew in those of the image (said once for all files of this folder)",
    )
    return moved


def _read_image(pair: Pair) -> Image:
    """An image; grey, if it is stored in colour with equal channels."""
    image = read_image(pair.dicom or pair.image)
    if len(image.array) == 3 and (image.array == image.array[:1]).all():
        image = replace(image, array=image.array[:1])
    if len(image.array) not in (1, 3):
        advice = "convert it to grey or RGB, or lay the data set out by hand, see the README"
        raise DataError(pair.image, f"{len(image.array)} channels", "1 or 3", advice)
    most = 255 if len(image.array) == 3 else 65535
    whole = (image.array == np.rint(image.array)).all()
    picture = image.geometry.is_picture if pair.dicom else not has_spacing(pair.image)
    if picture and not (whole and image.array.min() >= 0 and image.array.max() <= most):
        found = f"intensities from {image.array.min():g} to {image.array.max():g}"
        advice = "save the image with 8 bits a channel, with 16 bits if it is grey, or as NIfTI"
        raise DataError(pair.image, found, f"whole numbers from 0 to {most}", advice)
    return image


def _read_values(path: Path, in_colour: bool) -> tuple[np.ndarray, Geometry]:
    """A mask's values; its colours as numbers if a legend says what they are."""
    if path.name.lower().endswith((".jpg", ".jpeg")):
        advice = "export the mask again as PNG; converting the JPEG does not bring its values back"
        raise DataError(path, "a mask in JPEG, which changes values at edges", "PNG", advice)
    if in_colour and is_image_name(path) and not has_spacing(path):
        picture = read_label_colours(path)
        return codes_of(picture), Geometry(picture.shape[1:], np.eye(4))
    try:
        stored, geometry = read_labels(path)
    except DataError as error:
        if "colour" not in error.found:
            raise
        advice = (
            "say which colour is which label in a text file for --legend, with lines such as "
            "#ff0000,liver"
        )
        raise DataError(path, error.found, error.expected, advice) from error
    if in_colour:
        if stored.min() < 0 or stored.max() > 255:
            found = f"values from {stored.min()} to {stored.max()}"
            raise DataError(path, found, "0 to 255, which a legend can name", "renumber them")
        stored = codes_of(stored[None])
    return stored, geometry


def _values_by_legend(
    meaning: Mapping[Code, str], seen: _Seen, masks: Path
) -> tuple[dict[int, int], tuple[str, ...]]:
    """The label of each colour, and the labels' names; labels that no mask holds are left out."""
    unknown = [code for code, _ in seen.voxels.most_common() if code not in meaning]
    refuse_all(
        masks,
        [
            f"{show(code)} is not in the legend: {seen.voxels[code]:,} pixels, first in "
            f"{seen.first[code]}"
            for code in unknown[:10]
        ]
        + ([f"and {len(unknown) - 10} more colours"] if len(unknown) > 10 else []),
    )
    background = next((n for n in meaning.values() if n.casefold() == "background"), "background")
    named = dict.fromkeys(name for name in meaning.values() if name != background)
    held = {meaning[code] for code in seen.voxels}
    if absent := [name for name in named if name not in held]:
        _log.warning("no mask holds %s of the legend: left out", ", ".join(absent))
    names = ("background", *(name for name in named if name in held))
    _check_names(names, masks)
    place = {name: value for value, name in enumerate(names)} | {background: 0}
    return {code: place[meaning[code]] for code in seen.voxels}, names


def _values_as_they_are(
    labels: Sequence[str] | None, seen: _Seen, masks: Path
) -> tuple[dict[int, int], tuple[str, ...]]:
    """The label of each value, and the labels' names."""
    values = sorted(seen.voxels)
    shown = ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
    if 0 not in values:
        advice = "give 0 to the pixels of no structure, or name the values in a file for --legend"
        raise DataError(masks, f"the mask values {shown}", "0 for the background", advice)
    if values == [0]:
        raise DataError(masks, "no mask with a value but 0", "masks of something", "check them")
    whites = [value for value in values if value in WHITES]
    if len(values) == 2 and values[1] in (1, *WHITES):
        to_label = {values[1]: 1}
    elif whites and len(values) < MAX_LABELS:
        others = ", ".join(str(value) for value in values if value not in whites[-1:])
        raise DataError(
            masks,
            f"{whites[-1]} beside the values {others} (first in {seen.first[whites[-1]]})",
            "0 and 255 alone for one label, or 0, 1, 2, ... for several",
            f"{whites[-1]} often means ignore: give these pixels 0 or their true label, or name "
            "every value in a file for --legend"
            if len(whites) == 1
            else "white has 8 bits in some masks and 16 in others: save all masks with 8 bits",
        )
    elif values != list(range(len(values))) or len(values) > MAX_LABELS:
        raise DataError(
            masks,
            f"the mask values {shown} (first {values[-1]} in {seen.first[values[-1]]})",
            "0 and 255 alone for one label, or 0, 1, 2, ... without a gap for several",
            "say in a text file for --legend which value is which label, with lines such as "
            "128,liver",
        )
    else:
        to_label = {value: value for value in values[1:]}
    count = len(to_label)
    if labels is not None and len(labels) != count:
        raise DataError(
            masks,
            f"{count} label(s) in the masks (values {shown})",
            f"the {len(labels)} of --labels: {', '.join(labels)}",
            "name each label once, without the background",
        )
    names = ("background", *(labels or (f"label {value}" for value in range(1, count + 1))))
    _check_names(names, masks)
    return to_label, names


def _check_names(names: Sequence[str], masks: Path) -> None:
    folded = [name.strip().casefold() for name in names]
    if "" in folded or len(set(folded)) < len(folded) or "ignore" in folded:
        advice = 'name each label once; "ignore" is none'
        raise DataError(masks, f"the label names {', '.join(names[1:])}", "other names", advice)
    if len(names) > MAX_LABELS:
        raise DataError(masks, f"{len(names)} labels", f"at most {MAX_LABELS}", "join some")


def _all_volumes(pairs: Sequence[Pair], dicom: DicomPairs, images: Path) -> bool:
    """Whether the images are volumes; a DICOM segmentation is what its image is.

    Raises:
        DataError: volumes and pictures in one data set or in one pair.
    """
    first, problems = pairs[0].image, []
    volumes = _is_volume(first, dicom)
    for pair in pairs:
        for file in (pair.image, *pair.labels):
            of_dicom = file in pair.labels and not is_image_name(file)
            if not of_dicom and _is_volume(file, dicom) != volumes:
                one, other = ("a picture", "a volume") if volumes else ("a volume", "a picture")
                problems.append(
                    f"{file}: {one}, but {first.name} is {other}: images and masks must be all of "
                    "one kind"
                )
    refuse_all(images, problems)
    return volumes


def _is_volume(file: Path, dicom: DicomPairs) -> bool:
    return not dicom.is_picture(file) if file in dicom.images else has_spacing(file)


def _patients(names: Mapping[Path, str], images: Path, pattern: str | None) -> dict[Path, str]:
    """The patient of each image; the case's own name without a pattern."""
    if pattern is None:
        return dict(names)
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"patients needs a regular expression, got {pattern!r}: {error}"
        ) from error
    found, problems = {}, []
    for image in names:
        match = expression.search(image.relative_to(images).as_posix())
        text = match and (
            match["patient"]
            if "patient" in expression.groupindex
            else match[1 if expression.groups else 0]
        )
        if text:
            found[image] = text
        else:
            problems.append(f"{image}: no patient by the expression {pattern}")
    refuse_all(images, problems)
    return found
