"""Pictures of the browser page for the documents, with artificial X-rays: no patient is shown.

    python experiments/page_screenshots.py

Needs a built page (`make page`), Chromium and the extra `dev`. Trains a small network for a minute,
so that the page shows what it is for: a model on images of its own kind.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import lightm_unet  # noqa: E402
from browser import chromium, visitor  # noqa: E402
from lightm_unet.deploy.open_page import open_page  # noqa: E402

FIGURES = ROOT / "docs" / "figures"
DESK = {"viewport": {"width": 1280, "height": 800}}
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
        data, run = Path(scratch) / "data", Path(scratch) / "run"
        lightm_unet.write_phantom_dataset(data, "xray", cases=60, size=256)
        lightm_unet.train(data, run, size=(128, 128), epochs=10, network="lightm-unet-tiny")
        images = sorted((data / "imagesTr").glob("*.png"))[:4]
        with open_page(run, browser=False) as address, chromium() as browser:
            for name, options in {"desktop": DESK, "phone": PHONE}.items():
                with visitor(browser) as visit:
                    made = visit(address, **options)
                    made.open(images)
                    made.page.wait_for_timeout(500)
                    made.page.screenshot(path=FIGURES / f"page-{name}.png")


if __name__ == "__main__":
    main()
