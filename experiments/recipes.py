"""Which training recipe reaches the best validation Dice soonest, on one data set.

Trains the same network from the same weights with each candidate for the same number of epochs,
one after another, and prints validation Dice against the epoch. Finished candidates are kept in
the output folder and not trained again.

    python experiments/recipes.py DATASET OUTPUT --size 64 --epochs 5
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from lightm_unet.training.recipes import RECIPES, Recipe
from lightm_unet.training.train import train

CANDIDATES = {
    "paper": RECIPES["paper"],
    "released": RECIPES["released"],
    **{
        f"adamw-{rate:g}": Recipe("adamw", rate, "cosine", 1e-2, 1.0, 50, (8, 2))
        for rate in (5e-4, 1e-3, 2e-3, 4e-3)
    },
    "adamw-0.002-poly": Recipe("adamw", 2e-3, "poly", 1e-2, 1.0, 50, (8, 2)),
    **{
        f"sgd-{rate:g}": Recipe("sgd", rate, "poly", 3e-5, 12.0, 50, (8, 2))
        for rate in (1e-2, 3e-2)
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--size", type=int, nargs="+", default=None)
    parser.add_argument("--patch", type=int, nargs="+", default=None)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=None)
    parser.add_argument("--only", nargs="+", choices=CANDIDATES, default=list(CANDIDATES))
    arguments = parser.parse_args()
    RECIPES.update(CANDIDATES)
    for name in arguments.only:
        run = arguments.output / name
        if not (run / "log.csv").exists():
            train(
                arguments.dataset,
                run,
                recipe=name,
                epochs=arguments.epochs,
                size=tuple(arguments.size) if arguments.size else None,
                patch=tuple(arguments.patch) if arguments.patch else None,
                batch_size=arguments.batch_size,
            )
        with (run / "log.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        dice = " ".join(f"{float(row['val_dice']):.4f}" for row in rows)
        seconds = sum(float(row["seconds"]) for row in rows)
        print(f"{name:>20}  {dice}  {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
