"""A picture of each mask on its image, to see at a glance whether it can be right."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lightm_unet.imaging.image import Image, split_ending
from lightm_unet.inference.components import count_values
from lightm_unet.models.model_folder import ModelFolder
from lightm_unet.reporting.palette import on_grey
from lightm_unet.reporting.picture_row import join_pictures
from lightm_unet.reporting.pictures import draw_case
from lightm_unet.system.files import write_bytes

PREVIEWS = "previews"
"""In the output folder: `evaluate` takes the folder itself, where only masks may lie."""


def write_preview(
    image: Image, labels: np.ndarray, model: ModelFolder, folder: Path, mask: str
) -> None:
    """Draw a mask on its image: of a volume, three planes through most of its largest label.

    Args:
        image: as read from its file.
        labels: uint8, of the image's shape.
        model: names and colours of the labels.
        folder: made where missing.
        mask: name of the mask's file; the picture is called after it.
    """
    write_bytes(draw_preview(image, labels, model), folder / f"{split_ending(mask)[0]}.png")


def draw_preview(image: Image, labels: np.ndarray, model: ModelFolder) -> bytes:
    """The picture, as PNG."""
    counts = count_values(labels, len(model.label_names))
    colours = {
        value: on_grey(colour)
        for value, colour in enumerate(model.label_colours)
        if value and counts[value]
    }
    largest = int(np.argmax(counts[1:])) + 1
    pictures = draw_case(
        image.array,
        labels,
        labels,
        image.geometry,
        colours,
        is_photo=image.geometry.is_picture,
        focus=largest if colours else None,
    )
    legend = [(model.label_names[value], colour) for value, colour in colours.items()]
    return join_pictures(pictures, legend)
