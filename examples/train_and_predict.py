"""From images to masks in Python: draw a data set, train, segment the test images, score them.

    python examples/train_and_predict.py FOLDER

writes FOLDER/data, FOLDER/run (the model in FOLDER/run/model), FOLDER/masks and FOLDER/report. With
images of your own, leave out the first step: a data set is a folder in nnU-Net's raw layout.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch

import lightm_unet
from lightm_unet.inference.parts import images_of_part


def main() -> None:
    """Do all steps, and print what comes out."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--size", type=int, default=96, help="of the images, in pixels")
    parser.add_argument("--epochs", type=int, default=8)
    arguments = parser.parse_args()
    folder, size = arguments.folder, arguments.size
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # a line for each epoch
    torch.set_num_threads(1)  # images as small as these gain little from more

    # Artificial chest X-rays with lung masks. The data set has a split: 70 % of the cases are for
    # training, 10 % for validation, which selects the best epoch, and 20 % for the test.
    lightm_unet.write_phantom_dataset(folder / "data", "xray", cases=arguments.cases, size=size)

    # lightm-unet-tiny has 0.38 million parameters. Every setting has a default, listed by
    # `lightm-unet train --help`.
    lightm_unet.train(
        folder / "data",
        folder / "run",
        network="lightm-unet-tiny",
        size=(size, size),
        epochs=arguments.epochs,
    )

    # The model folder stores the preprocessing; masks have each image's own grid. Any images can
    # be segmented; these are the ones that were not used in training.
    images = images_of_part(folder / "run", "test")
    lightm_unet.predict(folder / "run", images, folder / "masks")

    # Scores for each case and class; the report shows the images with both masks.
    scores = lightm_unet.evaluate(folder / "masks", folder / "data", folder / "report")
    for case in scores.cases:
        print(f"{case.name}: Dice {case.of(1).dice:.3f}, HD95 {case.of(1).hd95:.1f} {scores.unit}")
    print(f"mean Dice {scores.mean('dice'):.3f}; see {folder / 'report' / 'report.html'}")


if __name__ == "__main__":
    main()
