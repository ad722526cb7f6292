"""A network of your own beside those of this package, trained and tested in the same way.

    python examples/compare_own_network.py FOLDER

LIGHTM_UNET_PLUGINS names this file, so the processes that train and measure import it. The code
that runs is therefore below `if __name__ == "__main__"`. Commands find the network the same way:

    LIGHTM_UNET_PLUGINS=examples/compare_own_network.py lightm-unet count pyramid:width=8
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

import lightm_unet


class Pyramid(lightm_unet.SegmentationNetwork):
    """Convolutions at three resolutions, added up; options are keywords with defaults."""

    def __init__(self, spatial_dims, in_channels, out_channels, *, width=16):
        # The base class pads images to multiples of 4 and crops the logits. `options` is what a
        # model folder stores to build the network again.
        shape = spatial_dims, in_channels, out_channels
        super().__init__("pyramid", *shape, multiple=4, options={"width": width})
        conv = nn.Conv2d if spatial_dims == 2 else nn.Conv3d
        self.pool = F.avg_pool2d if spatial_dims == 2 else F.avg_pool3d
        self.levels = nn.ModuleList(conv(in_channels, width, 3, padding=1) for _ in range(3))
        self.head = conv(width, out_channels, 3, padding=1)

    def compute(self, image: Tensor) -> Tensor:
        """Logits at the image's own resolution."""
        total = 0
        for level, conv in enumerate(self.levels):
            small = F.relu(conv(self.pool(image, 2**level)))
            total = total + F.interpolate(small, scale_factor=2**level)
        return self.head(total)


lightm_unet.register_network("pyramid", Pyramid)


def main() -> None:
    """Compare it with lightm-unet-tiny on artificial X-rays."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("--size", type=int, default=64, help="of the images, in pixels")
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()
    folder, size = arguments.folder, arguments.size
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # a line for each epoch

    os.environ["LIGHTM_UNET_PLUGINS"] = __file__
    lightm_unet.write_phantom_dataset(folder / "data", "xray", cases=20, size=size)
    comparison = lightm_unet.compare(
        folder / "data",
        folder / "comparison",
        ["lightm-unet-tiny", "pyramid:width=8"],
        size=(size, size),
        epochs=arguments.epochs,
        processes=2,  # runs at once
    )
    print((comparison.folder / "table.md").read_text())
    print(f"with figures: {comparison.folder / 'report.html'}")


if __name__ == "__main__":
    main()
