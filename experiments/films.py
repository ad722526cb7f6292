"""How well a model of pictures stands the looks of other hospitals' films.

    python experiments/films.py DATASET SPLIT MODEL [MODEL ...]

prints the mean Dice over the validation cases, on the network's grid, of each model: on the films
as they are, and with each effect of `preprocessing.film_effects`, drawn from the case's number.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from lightm_unet.datasets.dataset import open_case_images, open_case_labels, open_dataset
from lightm_unet.datasets.splits import read_split
from lightm_unet.models.model_folder import load_model
from lightm_unet.preprocessing.apply import preprocess_image, preprocess_labels
from lightm_unet.preprocessing.film_effects import RandFilmEffect, film_effects


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("split", type=Path)
    parser.add_argument("models", nargs="+")
    given = parser.parse_args()
    data, names = open_dataset(given.dataset), read_split(given.split).validation
    effects = {"as they are": None} | {e.effect.__name__: e.effect for e in film_effects()}
    print(f"| {len(names)} validation films | {' | '.join(given.models)} |")
    print(f"| --- | {' | '.join('---' for _ in given.models)} |")
    models = [load_model(path) for path in given.models]
    for title, effect in effects.items():
        means = []
        for model in models:
            dice = [score(model, data, name, effect, seed) for seed, name in enumerate(names)]
            means.append(f"{np.mean(dice):.3f}")
        print(f"| {title} | {' | '.join(means)} |", flush=True)


def score(model, data, name: str, effect, seed: int) -> float:
    """Dice of the foreground."""
    case = data.case(name)
    image = open_case_images(data, case)
    tensor, record = preprocess_image(image, model.preprocessing)
    labels = preprocess_labels(open_case_labels(data, case, image.geometry), record)[None]
    sample = {"image": tensor, "labels": labels}
    if effect is not None:
        sample = RandFilmEffect(effect, 1.0).set_random_state(seed=seed)(sample)
    with torch.inference_mode():
        found = model.network(sample["image"][None])[0].argmax(dim=0) > 0
    there = sample["labels"][0] > 0
    return float(2 * (found & there).sum() / max(1, int(found.sum() + there.sum())))


if __name__ == "__main__":
    main()
