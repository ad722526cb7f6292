"""Labels and probabilities of an image that is already in memory, by a trained model.

    python examples/predict_in_memory.py models/lungs-tiny

draws an artificial chest X-ray, so that it runs without data, and segments it as a numpy array;
with a picture's path behind the model, that picture.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import lightm_unet


def main() -> None:
    """Load the model, read a picture, and print what the model finds in it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path, help="a model's folder, for grey pictures")
    parser.add_argument("picture", type=Path, nargs="?", help="by default an artificial X-ray")
    arguments = parser.parse_args()

    # The model brings its preprocessing: the array has the picture's own size and grey levels.
    model = lightm_unet.load_model(arguments.model)
    image = read_grey(arguments.picture) if arguments.picture else draw()

    # A volume would be an array (i, j, k) as nibabel reads it, or the nibabel image itself, whose
    # affine says how it lies. `spacing_mm` is needed where the model resamples to a voxel size.
    labels, probabilities = model.predict(image, return_probabilities=True)

    print(f"image {image.shape} {image.dtype}, labels {labels.shape} {labels.dtype}")
    for value, name in enumerate(model.label_names):
        mask = labels == value
        sure = probabilities[value][mask].mean() if mask.any() else 0.0
        print(f"{name}: {mask.mean():.1%} of the image, mean probability there {sure:.2f}")


def read_grey(path: Path) -> np.ndarray:
    """A picture's grey levels, `(height, width)`."""
    return np.asarray(Image.open(path).convert("L"))


def draw() -> np.ndarray:
    """An artificial chest X-ray, `(height, width)`."""
    with tempfile.TemporaryDirectory() as folder:
        lightm_unet.write_phantom_dataset(Path(folder) / "data", "xray", cases=3, size=128)
        first = sorted((Path(folder) / "data" / "imagesTr").iterdir())[0]
        return read_grey(first)


if __name__ == "__main__":
    main()
