"""Predictions drawn over their images, for people to look at: a row for each case.

    python experiments/overlays.py MODEL DATASET OUTPUT.png CASE [CASE ...]

MODEL is the name of a shipped model or a model's folder. Outline: reference; tint: predicted;
hatching: missed or added, as in the reports of `evaluate`.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from PIL import Image as PillowImage
from PIL import ImageDraw

from lightm_unet.datasets.dataset import open_case_images, open_case_labels, open_dataset
from lightm_unet.models.model_folder import load_model
from lightm_unet.models.predict_image import predict_image
from lightm_unet.reporting.palette import LABELS
from lightm_unet.reporting.pictures import Picture, draw_case

CAPTION_PX = 18


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("cases", nargs="+")
    given = parser.parse_args()
    model, data = load_model(given.model), open_dataset(given.dataset)
    rows = []
    for name in given.cases:
        case = data.case(name)
        image = open_case_images(data, case)
        labels = open_case_labels(data, case, image.geometry)
        found = predict_image(model, image)
        is_photo = model.preprocessing.spatial_dims == 2
        colours = dict(enumerate(LABELS, start=1))
        pictures = draw_case(image.array, found, labels, image.geometry, colours, is_photo=is_photo)
        dice = 2 * ((found > 0) & (labels > 0)).sum() / ((found > 0).sum() + (labels > 0).sum())
        rows.append((f"{name}: Dice of all labels together {dice:.3f}", pictures))
    tile(rows).save(given.output)


def tile(rows: list[tuple[str, list[Picture]]]) -> PillowImage.Image:
    """One picture of all rows."""
    heights = [max(p.height for p in pictures) + CAPTION_PX for _, pictures in rows]
    width = max(sum(p.width for p in pictures) for _, pictures in rows)
    canvas = PillowImage.new("RGB", (width, sum(heights)), "white")
    top = 0
    for (caption, pictures), height in zip(rows, heights, strict=True):
        ImageDraw.Draw(canvas).text((4, top + 3), caption, fill="black")
        left = 0
        for picture in pictures:
            drawn = PillowImage.open(io.BytesIO(picture.png))
            canvas.paste(drawn.resize((picture.width, picture.height)), (left, top + CAPTION_PX))
            left += picture.width
        top += height
    return canvas


if __name__ == "__main__":
    main()
