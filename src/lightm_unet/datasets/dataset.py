"""Data sets on disk, in nnU-Net v2's raw layout.

    ROOT/dataset.json                   channels, labels, file ending
    ROOT/imagesTr/CASE_0000.nii.gz      first channel; CASE_0001 the second, and so on
    ROOT/labelsTr/CASE.nii.gz           label values as dataset.json names them
    ROOT/imagesTs/, ROOT/labelsTs/      optional, the same for test cases
    ROOT/split.json                     optional, see `lightm_unet.datasets.splits`

A colour picture is one file with three channels, as in nnU-Net. Two keys of dataset.json are our
own and ignored by nnU-Net: "patients" maps cases to patients, so that a split never puts one
patient's images into two parts, and "left_out" lists images that an importer found no mask for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightm_unet.errors import DataError, refuse_all
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import (
    IMAGE_ENDINGS,
    Image,
    is_image_name,
    read_image,
    read_mask,
    stored_dims,
)
from lightm_unet.system.files import read_json, write_json

MAX_LABELS = 256
"""Labels are stored as uint8."""


@dataclass(frozen=True)
class Case:
    """One image, of one or more files, with its label map if there is one."""

    name: str
    images: tuple[Path, ...]
    """One file per channel, or one file that holds all channels."""
    labels: Path | None
    patient: str
    """Whose image it is; the case's own name where the data set does not say."""


@dataclass(frozen=True)
class Dataset:
    """A data set folder, listed but not yet read."""

    root: Path
    name: str
    channel_names: tuple[str, ...]
    label_names: tuple[str, ...]
    """The index is the label's value; the first is "background"."""
    file_ending: str
    training: tuple[Case, ...]
    """Cases of imagesTr, sorted by name. A split divides these further."""
    test: tuple[Case, ...]
    """Cases of imagesTs, sorted by name; often without labels."""
    left_out: tuple[str, ...] = ()
    """Names of images that an importer found no mask for."""

    def case(self, name: str) -> Case:
        """The training or test case of this name.

        Raises:
            DataError: there is none.
        """
        for case in (*self.training, *self.test):
            if case.name == name:
                return case
        raise DataError(
            self.root, f"no case {name}", "a name from imagesTr", "check the split or the name"
        )


def open_dataset(root: Path) -> Dataset:
    """List a data set; no image is read yet.

    Raises:
        DataError: dataset.json is missing or wrong, or training cases lack their label map or a
            channel; each is named.
    """
    dataset, problems = list_dataset(root)
    refuse_all(dataset.root, [str(problem) for _, problem in problems])
    return dataset


def list_dataset(root: Path) -> tuple[Dataset, list[tuple[str, DataError]]]:
    """List a data set together with the cases that are incomplete.

    Returns:
        The data set, with incomplete cases in it, and pairs of a case's name and what it lacks.

    Raises:
        DataError: the folder or dataset.json cannot be used at all.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(root, "no such folder", "a data set", "check the path")
    description = root / "dataset.json"
    if not description.is_file():
        raise DataError(
            root,
            "no dataset.json",
            "a data set in nnU-Net v2's layout",
            "make one with lightm-unet import-dataset",
        )
    content = read_json(description)
    channel_names = _channel_names(content, description)
    label_names = _label_names(content, description)
    ending = content.get("file_ending")
    if ending not in IMAGE_ENDINGS:
        raise DataError(
            description,
            f"file_ending {ending!r}",
            f"one of {', '.join(IMAGE_ENDINGS)}",
            "correct it",
        )
    patients = content.get("patients", {})
    if not isinstance(patients, dict) or not all(map(_is_patient, patients.values())):
        raise DataError(description, f"patients {patients!r}", '{"case": "patient"}', "correct it")

    problems: list[tuple[str, DataError]] = []
    parts = []
    for part in ("Tr", "Ts"):
        cases = []
        for name, images in _group_channels(root / f"images{part}", ending).items():
            labels = root / f"labels{part}" / f"{name}{ending}"
            has_labels = labels.is_file()
            cases.append(
                Case(name, images, labels if has_labels else None, str(patients.get(name, name)))
            )
            wanted = [f"{name}_{i:04d}{ending}" for i in range(len(channel_names))]
            if [file.name for file in images] not in (wanted, wanted[:1]):
                problem = DataError(
                    images[0],
                    f"the channel file(s) {', '.join(file.name for file in images)}",
                    ", ".join(wanted),
                    "add the missing files or correct channel_names in dataset.json",
                )
                problems.append((name, problem))
            if part == "Tr" and not has_labels:
                problem = DataError(
                    images[0],
                    "an image without its label map",
                    f"{labels.relative_to(root)}",
                    "add it, or remove the image",
                )
                problems.append((name, problem))
        parts.append(tuple(cases))
    training, test = parts
    if not training:
        raise DataError(
            root / "imagesTr",
            f"no image named CASE_0000{ending}",
            "at least one",
            "check the folder and file_ending in dataset.json",
        )
    dataset = Dataset(
        root=root,
        name=str(content.get("name", root.resolve().name)),
        channel_names=channel_names,
        label_names=label_names,
        file_ending=ending,
        training=training,
        test=test,
        left_out=tuple(str(name) for name in content.get("left_out", ())),
    )
    return dataset, problems


def write_dataset_json(
    root: Path,
    *,
    name: str,
    channel_names: Sequence[str],
    label_names: Sequence[str],
    training_cases: int,
    file_ending: str,
    patients: Mapping[str, str] | None = None,
    source: str = "",
    left_out: Sequence[str] = (),
) -> None:
    """Write dataset.json, which nnU-Net v2 reads too.

    Args:
        root: the data set's folder.
        name: what people call the data set.
        channel_names: one per channel; a name with "CT" in it asks for CT normalization.
        label_names: the index is the label's value, background first.
        training_cases: how many cases imagesTr holds.
        file_ending: of images and label maps alike, one of `IMAGE_ENDINGS`.
        patients: which patient each case is of.
        source: where the images come from, for people.
        left_out: images that were not imported because they have no mask.
    """
    content: dict[str, Any] = {
        "name": name,
        "channel_names": {str(i): channel for i, channel in enumerate(channel_names)},
        "labels": {label: value for value, label in enumerate(label_names)},
        "numTraining": training_cases,
        "file_ending": file_ending,
    }
    if source:
        content["source"] = source
    if patients:
        content["patients"] = dict(patients)
    if left_out:
        content["left_out"] = list(left_out)
    write_json(content, root / "dataset.json")


def spatial_dims(dataset: Dataset) -> int:
    """2 if every training image is a picture or a single slice, else 3.

    A single slice among volumes is a volume too. Only headers are read, and only until the first
    volume; a file whose header cannot be read says so when it is opened.
    """
    for case in dataset.training:
        with suppress(DataError):
            if stored_dims(case.images[0]) == 3:
                return 3
    return 2


def open_case_images(dataset: Dataset, case: Case) -> Image:
    """Read a case's image, all channels.

    Raises:
        DataError: a file cannot be used, or the channels are not as many as dataset.json names.
    """
    return read_image(case.images, channels=len(dataset.channel_names))


def open_case_labels(dataset: Dataset, case: Case, geometry: Geometry | None = None) -> np.ndarray:
    """Read a case's label map and check that it fits its image.

    Args:
        dataset: names the labels.
        case: one of its cases.
        geometry: the image's grid where it is known already; otherwise the image is read for it.

    Returns:
        uint8, `(*shape)`.

    Raises:
        DataError: no label map, another grid than the image's, or a value without a name; see
            `read_mask` for 255.
    """
    if case.labels is None:
        raise DataError(
            case.images[0], "an image without its label map", "one in labelsTr", "add it"
        )
    if geometry is None:
        geometry = open_case_images(dataset, case).geometry
    labels, label_geometry = read_mask(case.labels, len(dataset.label_names))
    check_labels_fit(labels, label_geometry, geometry, len(dataset.label_names), case.labels)
    return labels.astype(np.uint8)


def check_labels_fit(
    labels: np.ndarray, geometry: Geometry, image: Geometry, classes: int, path: Path
) -> None:
    """Check that a label map lies on its image's grid and holds only known values.

    Args:
        labels: integers, `(*shape)`.
        geometry: the label map's grid.
        image: the image's grid.
        classes: how many labels there are, background included.
        path: the label map's file, for the message.

    Raises:
        DataError: it does not.
    """
    if difference := image.difference(geometry):
        raise DataError(
            path,
            difference,
            "the image's own grid",
            "resample the label map onto the image, or copy the image's affine into it where "
            "their voxels already correspond",
        )
    if labels.min() < 0 or labels.max() >= classes:
        unknown = [int(value) for value in np.unique(labels) if not 0 <= value < classes]
        shown = ", ".join(map(str, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        raise DataError(
            path,
            f"the label value(s) {shown}",
            f"0 to {classes - 1}",
            "name them in dataset.json or correct the label map",
        )


def _group_channels(folder: Path, ending: str) -> dict[str, tuple[Path, ...]]:
    """The files of each case in a folder, channels in order, cases sorted by name."""
    pattern = re.compile(rf"(.+)_(\d{{4}}){re.escape(ending)}")
    groups: dict[str, list[Path]] = {}
    if folder.is_dir():
        for file in sorted(folder.iterdir()):
            match = pattern.fullmatch(file.name)
            if match and is_image_name(file):
                groups.setdefault(match[1], []).append(file)
    return {name: tuple(files) for name, files in sorted(groups.items())}


def _is_patient(patient: object) -> bool:
    return isinstance(patient, (str, int)) and not isinstance(patient, bool) and patient != ""


def _channel_names(content: dict[str, Any], path: Path) -> tuple[str, ...]:
    names = content.get("channel_names")
    if names is None and "modality" in content:
        raise DataError(
            path,
            "the Medical Segmentation Decathlon's form",
            "nnU-Net v2's, with channel_names",
            "run lightm-unet import-dataset on this folder",
        )
    keys = [str(i) for i in range(len(names))] if isinstance(names, dict) else []
    if not isinstance(names, dict) or not keys or set(names) != set(keys):
        raise DataError(
            path, f"channel_names {names!r}", '{"0": "CT"} and so on from 0', "correct it"
        )
    return tuple(str(names[key]) for key in keys)


def _label_names(content: dict[str, Any], path: Path) -> tuple[str, ...]:
    labels = content.get("labels")
    expected = '{"background": 0, "liver": 1} and so on, whole numbers without a gap'
    if not isinstance(labels, dict) or len(labels) < 2:
        raise DataError(path, f"labels {labels!r}", expected, "correct it")
    if "ignore" in labels:
        raise DataError(
            path, 'an "ignore" label', "labels that are all learnt", "label these voxels or drop it"
        )
    values = list(labels.values())
    if any(isinstance(value, (list, tuple)) for value in values):
        raise DataError(path, "regions (lists of values)", expected, "give each label one value")
    try:
        by_value = {_label_value(value): str(label) for label, value in labels.items()}
    except (TypeError, ValueError) as error:
        advice = "write each name before its value" if "0" in labels else "correct it"
        raise DataError(path, f"labels {labels!r}", expected, advice) from error
    if 0 not in by_value:
        raise DataError(
            path,
            f"no label of value 0 ({labels!r})",
            'the background, under any name: {"background": 0, ...}',
            "add it, and give 0 to the voxels of no structure; label maps that start at 1 without "
            "such voxels need one label less",
        )
    if sorted(by_value) != list(range(len(labels))) or len(labels) > MAX_LABELS:
        raise DataError(path, f"label values {sorted(map(str, values))}", expected, "correct it")
    names = tuple(by_value[value] for value in range(len(labels)))
    if any(name.casefold() == "background" for name in names[1:]):
        raise DataError(
            path,
            f'"background" with another value than 0 ({labels!r})',
            expected,
            "exchange the values in dataset.json and in the label maps",
        )
    return names


def _label_value(value: object) -> int:
    """2 of 2, 2.0 or "2"; nothing of 1.5 or true."""
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(value)
    return int(value)  # type: ignore[call-overload]
