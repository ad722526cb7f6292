"""Made-up images with exact labels, for the demo and the tests: nobody's data, any number."""

from __future__ import annotations

import random
from pathlib import Path

from lightm_unet.datasets.dataset import Dataset, open_dataset, write_dataset_json
from lightm_unet.datasets.phantom.abdomen import draw_abdomen
from lightm_unet.datasets.phantom.chest import draw_chest
from lightm_unet.datasets.settings import PHANTOM_KINDS, PhantomSettings
from lightm_unet.datasets.splits import SPLIT_FILE, make_split, write_split
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import write_labels
from lightm_unet.imaging.nifti import write_nifti
from lightm_unet.imaging.picture import write_picture
from lightm_unet.system.choices import check_choice
from lightm_unet.system.files import new_folder
from lightm_unet.system.values import LARGEST_SEED, path, whole_number

LARGEST_SIZE = 4096
"""Of a phantom; a larger one is a slip."""


def write_phantom_dataset(
    target: Path,
    kind: str,
    cases: int = PhantomSettings.cases,
    size: int = PhantomSettings.size,
    seed: int = PhantomSettings.seed,
) -> Dataset:
    """Write a data set of phantoms, with a 7:1:2 split.

    "ct": abdominal CT in Hounsfield units with liver and none to three tumours. Voxel size,
    orientation and order of the axes differ from case to case, as they do in hospitals. "xray":
    8-bit chest X-rays with lungs.

    Args:
        target: a new or empty folder; it is filled completely or not at all.
        kind: "ct" or "xray".
        cases: how many.
        size: voxels or pixels along the longest axis, about; at least 32.
        seed: the same seed gives the same files.

    Raises:
        UsageError: an argument out of range, or files at `target` already.
    """
    check_choice("kind", kind, PHANTOM_KINDS)
    cases, size = whole_number("cases", cases, 1), whole_number("size", size, 32, LARGEST_SIZE)
    seed = whole_number("seed", seed, 0, LARGEST_SEED)
    target = path("target", target)
    with new_folder(target) as folder:
        for index in range(cases):
            # Every case has its own generator: the first cases of a longer data set are the same.
            case_seed = random.Random(f"{kind} {seed} {index}").getrandbits(64)
            _write_case(folder, kind, f"phantom_{index:03d}", size, case_seed)
        write_dataset_json(
            folder,
            name=f"Phantom {'CT' if kind == 'ct' else 'X-ray'}",
            channel_names=("CT",) if kind == "ct" else ("X-ray",),
            label_names=("background", "liver", "tumour")
            if kind == "ct"
            else ("background", "lung"),
            training_cases=cases,
            file_ending=".nii.gz" if kind == "ct" else ".png",
            source=f"lightm-unet phantom, seed {seed}",
        )
        write_split(make_split(open_dataset(folder), seed), folder / SPLIT_FILE)
    return open_dataset(target)


def _write_case(folder: Path, kind: str, name: str, size: int, seed: int) -> None:
    if kind == "ct":
        image, labels, affine = draw_abdomen(size, seed)
        write_nifti(image, affine, folder / "imagesTr" / f"{name}_0000.nii.gz")
        write_labels(labels, Geometry(labels.shape, affine), folder / "labelsTr" / f"{name}.nii.gz")
    else:
        image, labels = draw_chest(size, seed)
        write_picture(image, folder / "imagesTr" / f"{name}_0000.png")
        write_picture(labels, folder / "labelsTr" / f"{name}.png")
