"""The shipped models' predictions in tests/golden/predictions.json."""

import base64
import json
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import Image, image_from_array
from lightm_unet.models.model_folder import load_model
from lightm_unet.models.predict_image import image_logits, judge_image
from lightm_unet.models.shipped_models import FOLDER

PREDICTIONS = Path(__file__).parents[1] / "golden" / "predictions.json"
NAME = "image"


def read_predictions() -> dict[str, list[dict]]:
    """Its `cases` and `refused`, as tests/golden/make_predictions.py describes them."""
    return json.loads(PREDICTIONS.read_text())


def encoded(array: np.ndarray) -> str:
    """Bytes as text."""
    return base64.b64encode(zlib.compress(array.astype(np.uint8).tobytes(), 9)).decode()


def decoded(text: str, shape: Sequence[int]) -> np.ndarray:
    """Text as bytes."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(shape)


def image_of(entry: dict) -> Image:
    """The image that an entry describes.

    Raises:
        DataError: it is not finite.
    """
    shape = tuple(entry["shape"])
    held = decoded(entry["values"], (1, *shape))
    affine = np.eye(4) if entry["affine"] is None else np.reshape(entry["affine"], (4, 4))
    array = entry["offset"] + entry["scale"] * held.astype(np.float64)
    return image_from_array(array, Geometry(shape, affine), NAME)


def predicted(entry: dict) -> dict:
    """What the model makes of an entry's image.

    Raises:
        DataError: it is refused.
    """
    model = load_model(FOLDER / entry["model"])
    image = image_of(entry)
    logits = image_logits(model, image)
    assert model.profile is not None
    judgement = judge_image(model.profile, logits, model.label_names)
    return {
        "labels": encoded(logits.labels),
        "score": float(f"{judgement.score:.7g}"),
        "limit": judgement.limit,
        "unlike": judgement.unlike,
        "most_unusual": judgement.most_unusual,
    }
