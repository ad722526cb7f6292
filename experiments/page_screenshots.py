"""Pictures of the browser page for the documents, with artificial X-rays: no patient is shown.

    python experiments/page_screenshots.py

Needs a built page (`make page`), Chromium and the extra `dev`. Trains two small networks for some
minutes, so that the page shows what it is for: a model on images of its own kind.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import lightm_unet  # noqa: E402
from browser import Visitor, chromium, visitor  # noqa: E402
from lightm_unet.deploy.open_page import open_page  # noqa: E402

FIGURES = ROOT / "docs" / "figures"
DESK = {"viewport": {"width": 1280, "height": 800}}
DARK = {**DESK, "color_scheme": "dark"}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}


def main() -> None:
    """Write docs/figures/page-*.png."""
    FIGURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        pictures, volumes = Path(scratch) / "xray", Path(scratch) / "ct"
        lightm_unet.write_phantom_dataset(pictures, "xray", cases=60, size=256)
        lightm_unet.write_phantom_dataset(volumes, "ct", cases=30, size=64)
        size, network = (128, 128), "lightm-unet-tiny"
        lightm_unet.train(pictures, pictures / "run", size=size, epochs=10, network=network)
        size = (32, 32, 32)
        lightm_unet.train(volumes, volumes / "run", size=size, epochs=12, network=network)
        with chromium() as browser, visitor(browser) as visit:
            images = sorted((pictures / "imagesTr").glob("*.png"))[:4]
            with open_page(pictures / "run", browser=False) as address:
                for name, options in {"desktop": DESK, "dark": DARK, "phone": PHONE}.items():
                    draw(visit, address, images, name, options)
            images = sorted((volumes / "imagesTr").glob("*.nii.gz"))[:2]
            with open_page(volumes / "run", browser=False) as address:
                draw(visit, address, images, "volume", DESK)


def draw(visit: Visitor, address: str, images: list[Path], name: str, options: dict) -> None:
    """One picture: the page with these images, the first one shown."""
    made = visit(address, **options)
    made.open(images)
    made.page.wait_for_timeout(1500)
    made.page.screenshot(path=FIGURES / f"page-{name}.png")


if __name__ == "__main__":
    main()
