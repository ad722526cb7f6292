"""Looks of other hospitals' radiographs: random changes to training images.

An effect is a function of a normalised picture `(channels, rows, columns)`, its labels
`(1, rows, columns)` and a numpy `RandomState`; it may write into both, and returns them. What it
hides from the network, the labels do not ask for either.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from monai.transforms import MapTransform, RandomizableTransform
from torch import Tensor

Effect = Callable[[Tensor, Tensor, np.random.RandomState], tuple[Tensor, Tensor]]


class RandFilmEffect(RandomizableTransform, MapTransform):
    """A MONAI transform on `{"image": ..., "labels": ...}` that has an effect on some samples.

    Args:
        effect: one of this module's functions.
        prob: fraction of the samples that it is applied to.
    """

    def __init__(self, effect: Effect, prob: float) -> None:
        RandomizableTransform.__init__(self, prob)
        MapTransform.__init__(self, ("image", "labels"))
        self.effect = effect

    def __call__(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        """The sample itself, or a changed copy."""
        self.randomize(None)
        if not self._do_transform:
            return data
        image, labels = self.effect(data["image"].clone(), data["labels"].clone(), self.R)
        return {**data, "image": image, "labels": labels}


def film_effects() -> list[RandFilmEffect]:
    """The effects of the augmentation "radiograph", in the order in which they happen to a film."""
    effects = {show_a_part: 0.25, expose: 0.2, mark: 0.2, collimate: 0.2, invert: 0.1}
    return [RandFilmEffect(effect, prob) for effect, prob in effects.items()]


def invert(image: Tensor, labels: Tensor, random: np.random.RandomState) -> tuple[Tensor, Tensor]:
    """White for black, as in a film exported with the wrong photometric interpretation."""
    return -image, labels


def expose(image: Tensor, labels: Tensor, random: np.random.RandomState) -> tuple[Tensor, Tensor]:
    """Over- or underexpose: up to a fifth of the pixels at either end take one value."""
    low, high = np.quantile(image.numpy(), [random.uniform(0, 0.2), random.uniform(0.8, 1)])
    return image.clamp(float(low), float(high)), labels


def collimate(
    image: Tensor, labels: Tensor, random: np.random.RandomState
) -> tuple[Tensor, Tensor]:
    """Give some sides a border of one value, as shutters and cropped scans leave."""
    rows, columns = image.shape[-2:]
    widths = random.uniform(0, 0.15, 4) * (random.uniform(size=4) < 0.6)
    top, bottom = (widths[:2] * rows).astype(int)
    left, right = (widths[2:] * columns).astype(int)
    hidden = torch.ones(rows, columns, dtype=torch.bool)
    hidden[top : rows - bottom, left : columns - right] = False
    image[:, hidden] = image.min() if random.uniform() < 0.75 else image.max()
    labels[:, hidden] = 0
    return image, labels


def mark(image: Tensor, labels: Tensor, random: np.random.RandomState) -> tuple[Tensor, Tensor]:
    """Add one to three bright patterns, as side letters, dates and electrodes."""
    rows, columns = image.shape[-2:]
    brightest = image.max()
    for _ in range(random.randint(1, 4)):
        cell = max(1, round(random.uniform(0.005, 0.015) * max(rows, columns)))
        glyph = random.uniform(size=(5, random.choice([3, 4, 9]))) < 0.6
        pattern = np.kron(glyph, np.ones((cell, cell), bool))[:rows, :columns]
        height, width = pattern.shape
        row, column = random.randint(0, rows - height + 1), random.randint(0, columns - width + 1)
        area = image[:, row : row + height, column : column + width]
        area[:, torch.from_numpy(pattern)] = brightest * random.uniform(0.7, 1.2)
    return image, labels


def show_a_part(
    image: Tensor, labels: Tensor, random: np.random.RandomState
) -> tuple[Tensor, Tensor]:
    """Enlarge a part of the picture, 60 to 95 % of each side, to the whole."""
    shape = tuple(image.shape[-2:])
    window: list[slice] = []
    for length in shape:
        side = max(1, round(length * random.uniform(0.6, 0.95)))
        first = random.randint(0, length - side + 1)
        window.append(slice(first, first + side))
    part = (slice(None), *window)
    resize = torch.nn.functional.interpolate
    enlarged = resize(image[part][None], shape, mode="bilinear")[0]
    return enlarged, resize(labels[part][None].float(), shape)[0].to(labels.dtype)
