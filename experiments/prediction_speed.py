"""How much longer `predict` takes than its network.

    python experiments/prediction_speed.py IMAGES [--count 100] [--rounds 3] [--folder FOLDER]

IMAGES is a folder of grey pictures of 8 bits, such as X-rays; DICOM radiographs with the same
pixels are made of them. In each round follow one another, in one process:

- network: the shipped model's network on all images, prepared before;
- pictures: `predict` on the pictures;
- DICOM: `predict` on the radiographs, with DICOM segmentations.

Prints the seconds of the fastest round of each, the cores' time, in which other programs on the
machine do not count, and the ratios to the network's. Last comes the
command line's start: from the call of `lightm-unet predict` to the network's first image.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from lightm_unet.imaging.image import read_image
from lightm_unet.inference.predict import predict
from lightm_unet.models.model_folder import load_model
from lightm_unet.models.predict_image import prepare_image, prepared_logits

MODEL = "lungs"
_FIRST_INFERENCE = """
import sys, time
from lightm_unet.inference.job import Job
segment = Job.segment
def first(self, *values):
    print(time.time(), flush=True)
    Job.segment = segment
    return segment(self, *values)
Job.segment = first
from lightm_unet.cli import main
main()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pictures, radiographs = write_inputs(given.images, given.count, Path(folder))
        measure(pictures, radiographs, given.rounds, Path(folder))
        starts = [start_seconds(pictures, Path(folder)) for _ in range(given.rounds)]
    print(f"command line to first inference: {min(starts):.2f} s")


def write_inputs(images: Path, count: int, folder: Path) -> tuple[list[Path], list[Path]]:
    """The pictures, and a radiograph of each."""
    pictures = sorted(images.glob("*.png"))[:count]
    (folder / "dicom").mkdir()
    radiographs = []
    for number, picture in enumerate(pictures):
        pixels = np.asarray(Image.open(picture).convert("L"))
        radiographs.append(folder / "dicom" / f"{picture.stem}.dcm")
        write_radiograph(pixels, number, radiographs[-1])
    return pictures, radiographs


def write_radiograph(pixels: np.ndarray, number: int, path: Path) -> None:
    """One digital X-ray as a file of its own study."""
    from pydicom import uid
    from pydicom.dataset import Dataset, FileMetaDataset

    dataset = Dataset()
    dataset.SOPClassUID = uid.DigitalXRayImageStorageForPresentation
    dataset.Modality, dataset.PatientName, dataset.PatientID = "DX", "DOE^JANE", str(number)
    for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(dataset, name, uid.generate_uid(entropy_srcs=[name, str(number)]))
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.ImagerPixelSpacing = [0.7, 0.7]
    dataset.PixelData = pixels.tobytes() + bytes(pixels.size % 2)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)


def measure(pictures: list[Path], radiographs: list[Path], rounds: int, folder: Path) -> None:
    """Alternate the three, and print the fastest of each."""
    model = load_model(MODEL)
    prepared = [prepare_image(model, read_image([path], 1)) for path in pictures]

    def network() -> None:
        for image in prepared:
            prepared_logits(model, image)

    def new() -> Path:
        """A folder in which no mask is yet."""
        return Path(tempfile.mkdtemp(dir=folder))

    ways = {
        "network": network,
        "pictures": lambda: predict(model, pictures, new(), device="cpu"),
        "DICOM": lambda: predict(model, radiographs, new(), device="cpu"),
    }
    seconds = {name: [] for name in ways}
    predict(model, [pictures[0], radiographs[0]], folder / "warm", device="cpu")  # imports
    logging.disable()
    for _ in range(rounds):
        for name, way in ways.items():
            start, worked = time.perf_counter(), time.process_time()
            way()
            spent = time.perf_counter() - start, time.process_time() - worked
            seconds[name].append(spent)
    best = {
        name: [min(times) for times in zip(*pairs, strict=True)] for name, pairs in seconds.items()
    }
    for name, (wall, work) in best.items():
        ratios = f"{wall / best['network'][0]:.2f} and {work / best['network'][1]:.2f}"
        print(f"{name}: {wall:.2f} s, {work:.2f} s of all cores' time; ratios {ratios}")


def start_seconds(pictures: list[Path], folder: Path) -> float:
    """From the start of the command to the network's first image."""
    start = time.time()
    printed = subprocess.run(
        [
            *(sys.executable, "-c", _FIRST_INFERENCE),
            *("predict", MODEL, pictures[0], "--output", folder / f"{start}"),
        ],
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return float(printed.splitlines()[0]) - start


if __name__ == "__main__":
    main()
