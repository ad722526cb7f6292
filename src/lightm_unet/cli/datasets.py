"""`import-dataset`, `check-dataset` and `phantom`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from lightm_unet.cli.options import NONE_GIVEN, choice, options
from lightm_unet.cli.terminal import complain, progress_bars
from lightm_unet.datasets.settings import ImportSettings, PhantomKind, PhantomSettings
from lightm_unet.errors import shown_path

if TYPE_CHECKING:
    from lightm_unet.datasets.dataset import Dataset

    OfImport = Mapping[str, Any]
    OfPhantom = Mapping[str, Any]
else:
    OfImport, OfPhantom = options(ImportSettings), options(PhantomSettings)


def import_dataset(
    source: Path, dataset: Path, target: Path | None = None, /, *, settings: OfImport = NONE_GIVEN
) -> None:
    """Copy a published data set, or images and masks, into nnU-Net's raw layout for training.

    Your own images: `lightm-unet import-dataset IMAGES MASKS DATASET --kind pairs`

    A published data set: `lightm-unet import-dataset SOURCE DATASET`

    Args:
        source: Folder of the images; or of the data set as it was published.
        dataset: Folder of their masks; or, for a published data set, the new folder for the copy.
        target: New folder for the copy, after a folder of images and one of masks.
    """
    from lightm_unet.datasets.importers import import_dataset as run

    masks = dataset if target is not None else None
    with progress_bars() as progress:
        data = run(source, target or dataset, masks=masks, progress=progress, **settings)
    _print_contents(data)


def check_dataset(dataset: Path, /, *, output: Path | None = None) -> int:
    """Read every case of a data set and report each problem; exit code 3 if there is any.

    Args:
        dataset: Data set in nnU-Net's raw layout, or a folder of DICOM images.
        output: Folder for check.html, a page with all problems, the numbers of each case and a
            picture of it, and for check.json.
    """
    from lightm_unet.datasets.check import check_dataset as run

    with progress_bars() as progress:
        report = run(dataset, progress, output=output)
    for problem in report.problems:
        complain(f"{problem.case or dataset}: {problem.message}")
    for warning in report.warnings:
        complain(f"warning: {warning}")
    for case, texts in report.outliers.items():
        print(f"{'unusual':<13} {case}: {'; '.join(texts)}")
    unit = "voxels" if report.spacings_mm else "pixels"
    for title, spread in ((unit, report.shapes), ("spacing, mm", report.spacings_mm)):
        if spread:
            print(
                f"{title:<13} min {_axes(spread.min)}  median {_axes(spread.median)}  "
                f"max {_axes(spread.max)}"
            )
    if report.shapes and not report.spacings_mm:
        print(f"{'spacing':<13} no pixel size stored")
    if report.intensity_range:
        print(f"{'intensities':<13} {report.intensity_range[0]:g} to {report.intensity_range[1]:g}")
    for name, voxels in report.label_voxels.items():
        print(f"{name:<13} {voxels:,} {unit} in {report.label_cases[name]} cases")
    if report.mirroring:
        print(f"{'mirroring':<13} {report.mirroring}")
    counts = [(report.cases, "case"), (report.test_cases, "test case")][
        : 1 + (report.test_cases > 0)
    ]
    counts += [(len(report.problems), "problem")]
    if report.warnings:
        counts += [(len(report.warnings), "warning")]
    if report.outliers:
        counts += [(len(report.outliers), "unusual case")]
    print(", ".join(_counted(number, what) for number, what in counts))
    return 0 if report.ok else 3


def phantom(
    kind: Annotated[PhantomKind, choice("KIND")],
    target: Path,
    /,
    *,
    settings: OfPhantom = NONE_GIVEN,
) -> None:
    """Draw a data set of artificial images, to try the program without patient data.

    Args:
        kind: Kind of images: ct, 3D scans with liver and tumours; xray, 2D pictures with lungs.
        target: Folder for the data set, new or empty.
    """
    from lightm_unet.datasets.phantom import write_phantom_dataset

    _print_contents(write_phantom_dataset(target, kind, **settings))


def _print_contents(data: Dataset) -> None:
    labels = ", ".join(data.label_names[1:])
    print(f"{shown_path(data.root)}: {data.name}, {len(data.training)} cases, {labels}")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _axes(values: tuple[float, ...]) -> str:
    return " x ".join(f"{value:g}" for value in values)
