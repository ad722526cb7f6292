"""`serve`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lightm_unet.cli.options import NONE_GIVEN, options
from lightm_unet.deploy.serve.settings import ServeSettings

if TYPE_CHECKING:
    Settings = Mapping[str, Any]
else:
    Settings = options(ServeSettings)


def serve(models: list[str] | None = None, /, *, settings: Settings = NONE_GIVEN) -> None:
    """Offer models to other programs over HTTP; stop it with Ctrl-C.

    Args:
        models: Names that `models` lists, and folders of models or of training runs; by default all
                models of the package.
    """
    from lightm_unet.deploy.serve.server import serve as run
    from lightm_unet.models.shipped_models import shipped_names

    names = models or list(shipped_names())

    def ready(address: str) -> None:
        print(f"{address} segments with {', '.join(names)}; Ctrl-C stops it", flush=True)

    run(names, ready=ready, **settings)
