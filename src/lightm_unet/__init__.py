"""LightM-UNet: light 2D and 3D medical image segmentation with Mamba layers.

Names are imported on first use, so that `import lightm_unet` is fast and needs neither a GPU nor a
compiler. `__init__.pyi` lists them.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

try:
    __version__ = version("lightm-unet")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
