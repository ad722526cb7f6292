"""Make predictions.json: small images, and what the shipped models make of them.

    PYTHONPATH=src:tests/support python tests/golden/make_predictions.py

The C API and the browser page must give the same labels and the same judgement; their tests read
this file. Each entry of `cases` has

    name, model       for messages; the shipped model
    shape, affine     spatial shape in array order; 16 numbers row by row, null for a picture
    values            base64 of the zlib stream of one byte b for each voxel, the last axis
                      fastest; its intensity is the float32 nearest to `offset + scale * b`
    labels            in the same way one byte for each voxel
    score, limit, unlike, most_unusual    the judgement

and each entry of `refused` the same up to `scale`, and `sentence`, with which it is refused.
"""

import json

import numpy as np
import torch

from golden_predictions import NAME, PREDICTIONS, encoded, predicted
from lightm_unet.errors import DataError
from lightm_unet.models.model_folder import load_model
from lightm_unet.models.shipped_models import FOLDER
from lightm_unet.preprocessing.resizing import resize

TURNED = [[-0.9, 0.3, 0, 40], [0.25, 0.95, -0.2, -60], [0.1, 0.2, 1.1, 10], [0, 0, 0, 1]]
PERMUTED = [[0, 0, -1.5, 30], [1.2, 0, 0, -20], [0, -0.8, 0, 5], [0, 0, 0, 1]]


def usual(model: str, *shape: int) -> np.ndarray:
    """The mean training image, 0 to 255, smooth, with waves for detail."""
    profile = load_model(FOLDER / model).profile
    assert profile is not None
    length = {2: 16, 3: 8}[len(shape)]
    layout = torch.tensor(profile.layout).reshape(1, *(length,) * len(shape))
    image = resize(layout, shape)[0].numpy()
    places = np.meshgrid(*map(np.arange, shape), indexing="ij")
    image = image + 0.15 * np.sin(2.1 * places[0]) * np.cos(1.7 * places[-1])
    low, high = image.min(), image.max()
    return np.rint(255 * (image - low) / (high - low)).astype(np.uint8)


def cases() -> list[dict]:
    """Without what the models make of them."""
    flat = [[0, -0.7, 0, 3], [0, 0, 1, 0], [0.7, 0, 0, 9], [0, 0, 0, 1]]  # a coronal slice
    slices = np.diag([1, 1, 1.5, 1]).tolist()
    noise = np.random.default_rng(0).integers(0, 256, 12 * 15 * 18).astype(np.uint8)
    spike = np.zeros((40, 40), np.uint8)
    spike[17, 23] = 255
    return [
        case("a picture", "lungs", usual("lungs", 72, 66), None),
        case("a picture of 1 x 1", "lungs", np.full((1, 1), 9, np.uint8), None),
        case("a prime picture, large numbers", "lungs", usual("lungs", 61, 53), None, -3e5, 1234.5),
        case("a flat image turned about", "lungs", usual("lungs", 48, 50)[::-1], flat, 0, 1e-3),
        case("noise", "lungs", noise.reshape(60, 54), None),
        case("one bright voxel", "lungs", spike, None),
        case("a constant picture", "lungs", np.full((20, 30), 7, np.uint8), None),
        case("a volume", "hippocampus", usual("hippocampus", 30, 42, 28), np.eye(4).tolist()),
        case("a volume of noise", "hippocampus", noise.reshape(12, 15, 18), slices),
        case("a volume turned", "hippocampus", usual("hippocampus", 23, 29, 19), TURNED, 100, 6000),
        case("axes exchanged", "hippocampus", usual("hippocampus", 22, 31, 27), PERMUTED, 0, 1e20),
        case("one slice", "hippocampus", usual("hippocampus", 35, 50, 36)[:, :, 18], slices),
    ]


def refused() -> list[dict]:
    """Without the sentences."""
    long = np.diag([1.0, 1.0, 9.0, 1.0]).tolist()
    return [
        case("a picture for a 3D model", "hippocampus", usual("lungs", 12, 11), None),
        case("a volume for a 2D model", "lungs", usual("hippocampus", 6, 7, 8), np.eye(4).tolist()),
        case("far too long", "hippocampus", usual("hippocampus", 6, 7, 40), long),
        case("not finite", "lungs", usual("lungs", 12, 11), None, 0, 1e37),
    ]


def case(name, model, array, affine, offset=0.0, scale=1.0) -> dict:
    """An image without its result."""
    return {
        "name": name,
        "model": model,
        "shape": list(array.shape),
        "affine": None if affine is None else [float(each) for row in affine for each in row],
        "values": encoded(array),
        "offset": offset,
        "scale": scale,
    }


def sentence(entry: dict) -> str:
    """With which an entry's image is refused."""
    try:
        predicted(entry)
    except DataError as error:
        return str(error).removeprefix(f"{NAME}: ")
    raise SystemExit(f"{entry['name']}: found a prediction; expected that it is refused")


if __name__ == "__main__":
    found = {
        "cases": [entry | predicted(entry) for entry in cases()],
        "refused": [entry | {"sentence": sentence(entry)} for entry in refused()],
    }
    PREDICTIONS.write_text(json.dumps(found, indent=1) + "\n")
