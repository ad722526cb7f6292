"""How many wrong images a shipped model tells as unlike its training images.

    python experiments/unlike_images.py lungs DATA
    python experiments/unlike_images.py hippocampus DATA

DATA holds CT and MR (`ct/low_res_3mm`, `ct/mr`, `odd/nibabel`) and the data set of each model. None
of these images was used to choose the features or the limit. Prints a row for each kind: images,
told as unlike, refused.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import nibabel
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw
from scipy import ndimage

from lightm_unet.errors import DataError
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import image_from_array
from lightm_unet.models.model_folder import ModelFolder, load_model
from lightm_unet.models.predict_image import image_logits, judge_image

PICTURES_OF = "CXR_png"
"""Folder of the lungs model's own kind of images."""
SIDE = 512
CROP = (36, 50, 36)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    given = parser.parse_args()
    model = load_model(given.model)
    kinds = pictures if model.preprocessing.spatial_dims == 2 else volumes
    print("| kind | images | told as unlike | refused |\n| --- | --- | --- | --- |")
    sums = np.zeros(3, int)
    for kind, images in kinds(given.data):
        found = [judge(model, image) for image in images]
        counts = np.array([len(found), found.count("unlike"), found.count("refused")])
        print(f"| {kind} | {' | '.join(map(str, counts))} |", flush=True)
        sums += counts
    print(f"| all | {' | '.join(map(str, sums))} |")


def judge(model: ModelFolder, array: np.ndarray) -> str:
    """ "unlike", "refused" or "like"."""
    picture = array.ndim == 2
    geometry = Geometry(array.shape, np.eye(4))
    image = image_from_array(array[None].astype(np.float32), geometry, f"a {array.shape} array")
    assert picture == (model.preprocessing.spatial_dims == 2)
    try:
        logits = image_logits(model, image)
    except DataError:
        return "refused"
    assert model.profile is not None
    judgement = judge_image(model.profile, logits, model.label_names)
    return "unlike" if judgement is None or judgement.unlike else "like"


def pictures(data: Path) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Grey pictures that are no frontal chest X-rays, or turned ones."""
    rng = np.random.default_rng(0)
    ct, mr = (
        volume(data / name)
        for name in ("ct/low_res_3mm/example_ct.nii.gz", "ct/mr/example_mr_sm.nii.gz")
    )
    head = volume(data / "odd/nibabel/anatomical.nii")
    windowed = np.clip(ct, -160, 240)
    yield "axial CT slices", [windowed[:, :, k].T for k in range(10, 110, 12)]
    yield "sagittal CT slices", [windowed[i].T[::-1] for i in range(20, 110, 15)]
    yield "coronal CT slices", [windowed[:, j].T[::-1] for j in range(15, 90, 13)]
    yield "MR slices of the abdomen", [mr[:, :, k].T for k in range(2, 20, 4)]
    yield "MR slices of a head", [head[:, :, k].T for k in range(5, head.shape[2] - 3, 5)][:5]
    samples = Path(matplotlib.get_data_path()) / "sample_data"
    with gzip.open(samples / "s1045.ima.gz") as file:
        yield "an MR slice of a head, older", [np.frombuffer(file.read(), "<u2").reshape(256, 256)]
    photo = np.asarray(PillowImage.open(samples / "grace_hopper.jpg").convert("L"))
    photos = [photo, photo[:350, :350], photo[200:, 100:400], photo[:, ::-1], 255 - photo]
    yield "photographs", photos
    yield (
        "drawings",
        [
            np.asarray(PillowImage.open(samples / name).convert("RGBA").convert("L"))
            for name in ("Minduka_Present_Blue_Pack.png", "logo2.png")
        ],
    )
    yield (
        "noise",
        [
            rng.random((SIDE, SIDE)),
            rng.normal(size=(SIDE, SIDE)),
            *(
                ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), sigma)
                for sigma in (2, 8, 32, 64)
            ),
        ],
    )
    yield "text", [page(rng, size) for size in (12, 24, 48)]
    rows, columns = np.mgrid[:SIDE, :SIDE]
    yield (
        "patterns",
        [
            rows,
            columns,
            np.hypot(rows - SIDE / 2, columns - SIDE / 2),
            (rows // 32 + columns // 32) % 2,
        ],
    )
    films = [
        np.asarray(PillowImage.open(path).convert("L"))
        for path in sorted(next(data.rglob(PICTURES_OF)).iterdir())[:500:100]
    ]
    yield "chest X-rays on their side", [np.rot90(film) for film in films]
    yield "chest X-rays on their head", [film[::-1] for film in films]


def volumes(data: Path) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Volumes of about 36x50x36 mm and larger that are no crops around a hippocampus."""
    rng = np.random.default_rng(0)
    ct, mr = (
        volume(data / name)
        for name in ("ct/low_res_3mm/example_ct.nii.gz", "ct/mr/example_mr_sm.nii.gz")
    )
    head = volume(data / "odd/nibabel/anatomical.nii")
    yield "CT crops", [crop(rng, ct) for _ in range(14)]
    yield "MR crops of the abdomen", [crop(rng, ndimage.zoom(mr, (1, 1, 2))) for _ in range(10)]
    yield "a whole head, a whole abdomen", [head, ct]
    yield (
        "noise",
        [ndimage.gaussian_filter(rng.normal(size=CROP), sigma) for sigma in (0, 0, 1, 2, 4, 8)],
    )
    axes = np.mgrid[: CROP[0], : CROP[1], : CROP[2]]
    yield "patterns", [*axes, axes.sum(0) // 8 % 2, np.hypot(axes[0] - 18, axes[1] - 25)]
    own = sorted((data / "Task04_Hippocampus/imagesTr").glob("h*.nii.gz"))[::20]
    crops = [volume(path) for path in own][:10]
    yield "hippocampi on their head", [each[:, :, ::-1] for each in crops]
    yield "hippocampi back to front", [each[:, ::-1] for each in crops]
    yield "hippocampi with their axes exchanged", [each.transpose(2, 0, 1) for each in crops][:3]


def volume(path: Path) -> np.ndarray:
    """On canonical axes."""
    image = nibabel.as_closest_canonical(nibabel.load(path))
    return np.asarray(image.dataobj, np.float32).squeeze()


def crop(rng: np.random.Generator, array: np.ndarray) -> np.ndarray:
    """A part of the size of the model's own images, from anywhere."""
    starts = [rng.integers(0, max(1, n - c)) for n, c in zip(array.shape, CROP, strict=True)]
    return array[tuple(slice(s, s + c) for s, c in zip(starts, CROP, strict=True))]


def page(rng: np.random.Generator, size: int) -> np.ndarray:
    """A page of meaningless words."""
    picture = PillowImage.new("L", (SIDE, SIDE), 255)
    draw = ImageDraw.Draw(picture)
    for top in range(8, SIDE - size, size + size // 2):
        words = ("".join(rng.choice(list("abcdefghijklm"), rng.integers(2, 9))) for _ in range(40))
        draw.text((8, top), " ".join(words), fill=0, font_size=size)
    return np.asarray(picture)


if __name__ == "__main__":
    main()
