"""Look at every case of a data set before hours of training find the broken one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lightm_unet.datasets.dataset import (
    Case,
    Dataset,
    list_dataset,
    open_case_images,
    open_case_labels,
)
from lightm_unet.datasets.splits import find_split
from lightm_unet.errors import DataError
from lightm_unet.imaging.geometry import canonical_axes
from lightm_unet.imaging.image import Image, is_image_name, split_ending
from lightm_unet.system.files import read_json
from lightm_unet.system.progress import Progress, track


@dataclass(frozen=True)
class Problem:
    """One thing to put right."""

    case: str
    """The case's name; empty where it concerns the whole data set."""
    message: str
    """One line: the file, what was found, what was expected, what to do."""


@dataclass(frozen=True)
class Spread:
    """Smallest, median and largest value along each axis, in canonical axis order."""

    min: tuple[float, ...]
    median: tuple[float, ...]
    max: tuple[float, ...]


@dataclass(frozen=True)
class DatasetReport:
    """The content of a data set; the numbers cover the training cases that could be read."""

    cases: int
    """Training cases, the broken ones included."""
    problems: tuple[Problem, ...]
    shapes: Spread | None
    """Voxels along each axis; None where no case could be read."""
    spacings_mm: Spread | None
    """Voxel sizes in mm; 1 for pictures, which store none."""
    label_voxels: dict[str, int]
    """Voxels of each label, over all cases."""
    label_cases: dict[str, int]
    """Cases in which each label occurs."""
    intensity_range: tuple[float, float] | None
    """Smallest and largest intensity of any image."""

    @property
    def ok(self) -> bool:
        """Whether the data set has no problem."""
        return not self.problems


def check_dataset(root: Path, progress: Progress | None = None) -> DatasetReport:
    """Read every case of a data set and list all problems.

    Besides files that cannot be used, these are problems: label maps without an image, another
    number of cases than dataset.json says, images of 2 and 3 dimensions mixed, a label that occurs
    in no case, and a stored split that does not fit.

    Args:
        root: the data set's folder.
        progress: takes an event for each case.

    Raises:
        DataError: dataset.json or the folder cannot be used, so that there are no cases to read.
    """
    dataset, incomplete = list_dataset(Path(root))
    problems = [Problem(name, str(error)) for name, error in incomplete]
    problems += _count_problems(dataset)
    known = {name for name, _ in incomplete}
    shapes, spacings, ranges = [], [], []
    voxels = np.zeros(len(dataset.label_names), np.int64)
    occurs = np.zeros(len(dataset.label_names), np.int64)
    for case in track(dataset.training, "check cases", progress, lambda case: case.name):
        if case.name not in known:
            try:
                image, counts = _read(dataset, case)
            except DataError as error:
                problems.append(Problem(case.name, str(error)))
            else:
                axes, _ = canonical_axes(image.geometry)
                shapes.append([image.geometry.shape[axis] for axis in axes])
                spacings.append([image.geometry.spacing_mm[axis] for axis in axes])
                ranges.append((float(image.array.min()), float(image.array.max())))
                voxels += counts
                occurs += counts > 0

    mixed = len({len(shape) for shape in shapes}) > 1
    if mixed:
        flat = sum(len(shape) == 2 for shape in shapes)
        message = f"{root}: {flat} image(s) are 2D and {len(shapes) - flat} are 3D; separate them"
        problems.append(Problem("", message))
    if shapes and not problems:
        problems += [
            Problem("", f"{root}: no case holds the label {name}; remove it or add such cases")
            for name, count in zip(dataset.label_names, voxels, strict=True)
            if count == 0
        ]
    return DatasetReport(
        cases=len(dataset.training),
        problems=tuple(problems),
        shapes=None if mixed else _spread(shapes),
        spacings_mm=None if mixed else _spread(spacings),
        label_voxels=dict(zip(dataset.label_names, voxels.tolist(), strict=True)),
        label_cases=dict(zip(dataset.label_names, occurs.tolist(), strict=True)),
        intensity_range=(
            (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else None
        ),
    )


def _read(dataset: Dataset, case: Case) -> tuple[Image, np.ndarray]:
    """A case's image, and how many voxels each label has."""
    image = open_case_images(dataset, case)
    labels = open_case_labels(dataset, case, image.geometry)
    return image, np.bincount(labels.ravel(), minlength=len(dataset.label_names))


def _count_problems(dataset: Dataset) -> list[Problem]:
    """What the files' names alone tell."""
    problems = []
    declared = read_json(dataset.root / "dataset.json").get("numTraining")
    if declared != len(dataset.training):
        message = (
            f"{dataset.root / 'dataset.json'}: found numTraining {declared}; expected "
            f"{len(dataset.training)}, the cases in imagesTr; correct it or add the missing cases"
        )
        problems.append(Problem("", message))
    names = {case.name for case in dataset.training}
    used = {file for case in dataset.training for file in case.images}
    for file in sorted((dataset.root / "imagesTr").iterdir()):
        if is_image_name(file) and file not in used:
            error = DataError(
                file,
                "an image that no case uses",
                f"a name like CASE_0000{dataset.file_ending}",
                "rename it, convert it, or remove it",
            )
            problems.append(Problem("", str(error)))
    folder = dataset.root / "labelsTr"
    for file in sorted(folder.glob(f"[!.]*{dataset.file_ending}")) if folder.is_dir() else ():
        name, _ = split_ending(file)
        if name not in names:
            error = DataError(
                file,
                "a label map without its image",
                f"imagesTr/{name}_0000{dataset.file_ending}",
                "add it, or remove the label map",
            )
            problems.append(Problem(name, str(error)))
    try:
        find_split(dataset)
    except DataError as error:
        problems.append(Problem("", str(error)))
    return problems


def _spread(rows: Sequence[Sequence[float]]) -> Spread | None:
    if not rows:
        return None
    table = np.array(rows)
    return Spread(
        *(tuple(reduce(table, axis=0).tolist()) for reduce in (np.min, np.median, np.max))
    )
