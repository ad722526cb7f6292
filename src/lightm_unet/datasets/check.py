"""Look at every case of a data set before hours of training find the broken one.

`check_dataset` reports on a whole data set; `refuse_unusable` is the same look at the cases of one
training, before it starts.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
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
from lightm_unet.datasets.dataset_report import DatasetReport, Problem, Spread
from lightm_unet.datasets.fingerprint import (
    CaseFingerprint,
    draw_thumbnail,
    find_outliers,
    fingerprint,
)
from lightm_unet.datasets.sides import describe_forbidden, forbidden_axes
from lightm_unet.datasets.splits import SPLIT_FILE, Split, find_split
from lightm_unet.errors import DataError, refuse_all
from lightm_unet.imaging.dicom.listing import has_dicom, images_in_folder
from lightm_unet.imaging.geometry import Geometry, canonical_axes
from lightm_unet.imaging.image import (
    IMAGE_ENDINGS,
    Image,
    has_spacing,
    is_image_name,
    read_image,
    split_ending,
)
from lightm_unet.reporting.pictures import Picture
from lightm_unet.system.files import read_json
from lightm_unet.system.progress import Progress, track
from lightm_unet.system.values import path

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Read:
    """What is remembered of a case that could be read."""

    case: Case
    grid: Geometry
    range: tuple[float, float]
    voxels: np.ndarray | None
    """Voxels of each label; None without a label map."""
    digest: str
    """The same for two images that hold the same values; empty for a blank image."""
    fingerprint: CaseFingerprint


def check_dataset(
    root: Path, progress: Progress | None = None, *, output: Path | None = None
) -> DatasetReport:
    """Read every case of a data set, the test cases included, and list all problems.

    Besides files that cannot be used, these are problems: label maps without an image, another
    number of cases than dataset.json says, a label that occurs in no case or in no training case of
    a stored split, a stored split that does not fit, and a patient in two parts.

    A folder without dataset.json that holds DICOM is checked as images without labels.

    Args:
        root: the data set's folder.
        progress: takes an event for each case.
        output: folder for `check.json` and `check.html`, a page with all of the report and a
            picture of each case; None writes nothing.

    Raises:
        DataError: dataset.json or the folder cannot be used, so that there are no cases to read.
        UsageError: `root` or `output` is no path, or nothing can be written there.
        MissingPartError: what draws the page, or reads DICOM, is not installed.
    """
    root = path("root", root)
    if output is None:
        return _check(root, progress, {}, 0)
    from lightm_unet.datasets.check_page import MOST_PICTURES, check_page_folder, write_check_page

    output = path("output", output)
    check_page_folder(output)
    pictures: dict[str, Picture] = {}
    report = _check(root, progress, pictures, MOST_PICTURES)
    write_check_page(report, root.resolve().name, pictures, output)
    return report


def _check(
    root: Path, progress: Progress | None, pictures: dict[str, Picture], most_pictures: int
) -> DatasetReport:
    """The report; the pictures are added to the ones given."""
    if not (root / "dataset.json").exists() and root.is_dir() and has_dicom(root, IMAGE_ENDINGS):
        return check_images(root, progress, pictures, most_pictures)
    dataset, incomplete = list_dataset(root)
    problems = [Problem(name, str(error)) for name, error in incomplete]
    problems += _problems_of_names(dataset)
    split, split_problems = _default_split(dataset)
    problems += split_problems
    cases = (*dataset.training, *dataset.test)

    def look(case: Case, image: Image, labels: np.ndarray | None) -> None:
        if len(pictures) < most_pictures:
            pictures[case.name] = draw_thumbnail(image, labels)

    known = {name for name, _ in incomplete}
    read, unread = _read_cases(dataset, cases, known, progress, look)
    problems += unread

    training = [each for each in read if each.case in dataset.training]
    voxels = _sum(dataset, training)
    warnings = [*_twins(read, _parts(dataset, split)), *_warn_of_patients(dataset)]
    if training and not problems:
        problems += [
            Problem("", f"{root}: no case holds the label {name}; remove it or add such cases")
            for name, count in zip(dataset.label_names, voxels, strict=True)
            if count == 0
        ]
    if split and not problems:
        for part, labels in _absent(dataset, split, read).items():
            message = (
                f"{root}: no {part} case of the split holds the label(s) {', '.join(labels)}, "
            )
            if part == "training":
                message += "which cannot be learnt; change split.json, or --seed without one"
            else:
                message += "whose scores say nothing there"
            if part == "training" and (dataset.root / SPLIT_FILE).exists():
                problems.append(Problem("", message))
            else:
                warnings.append(message)
    shapes, spacings = _canonical_grids([each.grid for each in training])
    return DatasetReport(
        cases=len(dataset.training),
        problems=tuple(problems),
        shapes=_spread(shapes),
        spacings_mm=_spread(spacings) if has_spacing(f"image{dataset.file_ending}") else None,
        label_voxels=dict(zip(dataset.label_names, voxels.tolist(), strict=True)),
        label_cases={
            name: sum(bool(each.voxels is not None and each.voxels[value]) for each in training)
            for value, name in enumerate(dataset.label_names)
        },
        intensity_range=(
            (min(each.range[0] for each in training), max(each.range[1] for each in training))
            if training
            else None
        ),
        test_cases=len(dataset.test),
        warnings=tuple(warnings),
        mirroring=_mirroring(dataset, len(shapes[0])) if shapes else "",
        fingerprints=tuple(each.fingerprint for each in read),
        outliers=find_outliers([each.fingerprint for each in read], dataset.label_names),
    )


def check_images(
    root: Path,
    progress: Progress | None = None,
    pictures: dict[str, Picture] | None = None,
    most_pictures: int = 0,
) -> DatasetReport:
    """Read the DICOM images in a folder and below it, as `predict` would, and list all problems.

    Args:
        root: the folder.
        progress: takes an event for each image.
        pictures: gets a thumbnail of the first images, by name.
        most_pictures: of them.

    Raises:
        DataError: the folder cannot be read.
    """
    read: list[CaseFingerprint] = []
    problems: list[Problem] = []
    grids: list[Geometry] = []
    images = images_in_folder(root, None, IMAGE_ENDINGS)
    for each in track(images, "check images", progress, lambda image: image.name):
        try:
            if each.problem is not None:
                raise each.problem
            image = read_image(each.files)
        except DataError as error:
            problems.append(Problem(each.name, str(error)))
            continue
        read.append(fingerprint(each.name, "images", image, None, 0))
        grids.append(image.geometry)
        if pictures is not None and len(pictures) < most_pictures:
            pictures[each.name] = draw_thumbnail(image, None)
    shapes, spacings = _canonical_grids(grids)
    same_axes = len({len(shape) for shape in shapes}) == 1
    return DatasetReport(
        cases=len(images),
        problems=tuple(problems),
        shapes=_spread(shapes) if same_axes else None,
        spacings_mm=_spread(spacings) if same_axes else None,
        label_voxels={},
        label_cases={},
        intensity_range=(
            (min(each.intensities[0] for each in read), max(each.intensities[4] for each in read))
            if read
            else None
        ),
        fingerprints=tuple(read),
        outliers=find_outliers(read, ()),
    )


def refuse_unusable(
    dataset: Dataset,
    split: Split,
    incomplete: Iterable[tuple[str, DataError]] = (),
    progress: Progress | None = None,
) -> None:
    """Read every case that a training uses, its test part included.

    One image under two names in different parts is logged as a warning.

    Args:
        dataset: the data set.
        split: the cases that are used.
        incomplete: cases that lack a file, from `list_dataset`.
        progress: takes an event for each case.

    Raises:
        DataError: names every case that cannot be used, or the labels that no training case holds.
    """
    names = (*split.training, *split.validation, *split.test)
    problems = [Problem(name, str(error)) for name, error in incomplete if name in names]
    known = {problem.case for problem in problems}
    cases = [dataset.case(name) for name in names]
    read, unread = _read_cases(dataset, cases, known, progress)
    problems += unread
    refuse_all(dataset.root, [problem.message for problem in problems])
    if labels := _absent(dataset, split, read).get("training"):
        raise DataError(
            dataset.root,
            f"no training case with the label(s) {', '.join(labels)}",
            "every label in a training case, to be learnt",
            "add such cases, take the label out of dataset.json, or change split.json (or --seed "
            "where there is none)",
        )
    for message in _twins(read, _parts(dataset, split), only_apart=True):
        _log.warning(message)


def _read_cases(
    dataset: Dataset,
    cases: Collection[Case],
    known: Collection[str],
    progress: Progress | None,
    look: Callable[[Case, Image, np.ndarray | None], None] = lambda *_: None,
) -> tuple[list[_Read], list[Problem]]:
    """Read all cases but those whose problem is known; `look` is called with each that is read."""
    read, problems = [], []
    for case in track(cases, "check cases", progress, lambda case: case.name):
        if case.name not in known:
            try:
                read.append(_read(dataset, case, look))
            except DataError as error:
                problems.append(Problem(case.name, str(error)))
    return read, problems


def _read(
    dataset: Dataset, case: Case, look: Callable[[Case, Image, np.ndarray | None], None]
) -> _Read:
    image = open_case_images(dataset, case)
    labels = voxels = None
    if case.labels is not None:
        labels = open_case_labels(dataset, case, image.geometry)
        voxels = np.bincount(labels.ravel(), minlength=len(dataset.label_names))
    low, high = float(image.array.min()), float(image.array.max())
    # Two blank images are no sign of one image under two names.
    digest = (
        hashlib.blake2b(image.array.tobytes(), digest_size=16).hexdigest() if low < high else ""
    )
    look(case, image, labels)
    part = "imagesTr" if case in dataset.training else "imagesTs"
    return _Read(
        fingerprint=fingerprint(case.name, part, image, labels, len(dataset.label_names)),
        case=case,
        grid=image.geometry,
        range=(low, high),
        voxels=voxels,
        digest=digest and f"{image.array.shape} {digest}",
    )


def _canonical_grids(
    grids: Sequence[Geometry],
) -> tuple[list[tuple[int, ...]], list[tuple[float, ...]]]:
    """Shapes and voxel sizes in canonical axis order; a slice among volumes is a volume too."""
    if any(len(grid.shape) == 3 for grid in grids):
        grids = [grid.as_volume() for grid in grids]
    shapes, spacings = [], []
    for grid in grids:
        axes, _ = canonical_axes(grid)
        shapes.append(tuple(grid.shape[axis] for axis in axes))
        spacings.append(tuple(grid.spacing_mm[axis] for axis in axes))
    return shapes, spacings


def _sum(dataset: Dataset, read: Iterable[_Read]) -> np.ndarray:
    """Voxels of each label, over all cases."""
    zeros = np.zeros(len(dataset.label_names), np.int64)
    return sum((each.voxels for each in read if each.voxels is not None), zeros)


def _absent(dataset: Dataset, split: Split, read: Sequence[_Read]) -> dict[str, list[str]]:
    """For the training and the test part: the labels that none of its cases holds."""
    absent = {}
    for part, names in (("training", split.training), ("test", split.test)):
        voxels = _sum(dataset, [each for each in read if each.case.name in names])
        labels = [
            name for name, count in zip(dataset.label_names, voxels, strict=True) if not count
        ]
        if names and labels:
            absent[part] = labels
    return absent


def _default_split(dataset: Dataset) -> tuple[Split | None, list[Problem]]:
    """The split that `train` would use, and what is wrong with a stored one."""
    try:
        return find_split(dataset), []
    except DataError as error:
        return None, [Problem("", line) for line in str(error).splitlines()]


def _parts(dataset: Dataset, split: Split | None) -> dict[Case, str]:
    """The part of each case, by its name; of a random split nobody knows it."""
    parts = {case: "imagesTr" for case in dataset.training}
    if split and (dataset.root / SPLIT_FILE).exists():
        part_of = split.part_of
        parts = {case: part_of.get(case.name, "imagesTr") for case in dataset.training}
    return parts | {case: "imagesTs" for case in dataset.test}


def _twins(read: Iterable[_Read], parts: Mapping[Case, str], only_apart: bool = False) -> list[str]:
    """A line for each image that several cases hold."""
    groups: dict[str, list[Case]] = {}
    for each in read:
        if each.digest:
            groups.setdefault(each.digest, []).append(each.case)
    lines = []
    for cases in groups.values():
        places = {parts[case] for case in cases}
        patients = {case.patient for case in cases}
        if len(cases) == 1 or (only_apart and len(places) == 1):
            continue
        named = ", ".join(f"{case.name} ({parts[case]})" for case in cases)
        if len(places) > 1:
            why = "scores on images that were trained on are too good; remove one"
        elif len(patients) > 1:
            why = (
                'name one patient for them under "patients" in dataset.json, so that a random '
                "split keeps them together, or remove one"
            )
        else:
            why = "remove one"
        lines.append(f"the same image as {named}: {why}")
    return lines


def _warn_of_patients(dataset: Dataset) -> list[str]:
    """Patients are given for cases that are not there, perhaps by a slip."""
    names = {case.name for case in (*dataset.training, *dataset.test)}
    given = read_json(dataset.root / "dataset.json").get("patients", {})
    if gone := sorted(set(given) - names):
        return [
            f'{dataset.root / "dataset.json"}: "patients" names {len(gone)} case(s) that are not '
            f"there, such as {gone[0]}"
        ]
    return []


def _mirroring(dataset: Dataset, spatial_dims: int) -> str:
    forbidden = forbidden_axes(dataset.label_names, spatial_dims)
    return describe_forbidden(forbidden)


def _problems_of_names(dataset: Dataset) -> list[Problem]:
    """What the files' names and the patients' alone tell."""
    problems = []
    declared = read_json(dataset.root / "dataset.json").get("numTraining")
    if declared != len(dataset.training):
        message = (
            f"{dataset.root / 'dataset.json'}: found numTraining {declared}; expected "
            f"{len(dataset.training)}, the cases in imagesTr; correct it or add the missing cases"
        )
        problems.append(Problem("", message))
    for part, cases in (("Tr", dataset.training), ("Ts", dataset.test)):
        problems += _stray_files(dataset, part, cases)
    training = {case.patient for case in dataset.training}
    for patient in sorted({case.patient for case in dataset.test} & training):
        error = DataError(
            dataset.root,
            f"patient {patient} in imagesTr and in imagesTs",
            "every patient in one of them",
            "move the cases together, or correct the case's name or patients in dataset.json",
        )
        problems.append(Problem("", str(error)))
    return problems


def _stray_files(dataset: Dataset, part: str, cases: Iterable[Case]) -> list[Problem]:
    """Images that no case uses, and label maps without an image."""
    problems = []
    names = {case.name for case in cases}
    used = {file for case in cases for file in case.images}
    images, labels = dataset.root / f"images{part}", dataset.root / f"labels{part}"
    for file in sorted(images.iterdir()) if images.is_dir() else ():
        if is_image_name(file) and file not in used:
            error = DataError(
                file,
                "an image that no case uses",
                f"a name like CASE_0000{dataset.file_ending}",
                "rename it, convert it, or remove it",
            )
            problems.append(Problem("", str(error)))
    for file in sorted(labels.glob(f"[!.]*{dataset.file_ending}")) if labels.is_dir() else ():
        name, _ = split_ending(file)
        if name not in names:
            error = DataError(
                file,
                "a label map without its image",
                f"images{part}/{name}_0000{dataset.file_ending}",
                "add it, or remove the label map",
            )
            problems.append(Problem(name, str(error)))
    return problems


def _spread(rows: Sequence[Sequence[float]]) -> Spread | None:
    if not rows:
        return None
    table = np.array(rows)
    return Spread(
        *(tuple(reduce(table, axis=0).tolist()) for reduce in (np.min, np.median, np.max))
    )
