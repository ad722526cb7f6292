"""`page`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from lightm_unet.cli.options import FLAG


def page(
    model: Path = Path("lungs"),
    /,
    *,
    port: int = 0,
    no_browser: Annotated[bool, FLAG] = False,
) -> None:
    """Segment images in the browser: open a model's page on this computer.

    The images stay in the browser: nothing is sent, not even to this program. Ctrl-C ends it.

    Args:
        model: Folder of a model or of a training run, or a name that `models` lists.
        port: Port of the address; 0 takes a free one.
        no_browser: Only print the address.
    """
    from threading import Event

    from lightm_unet.deploy.open_page import open_page

    with open_page(model, port=port, browser=not no_browser) as address:
        print(
            f"{address}\nOpen this address in a browser on this computer. Ctrl-C ends it.",
            flush=True,
        )
        Event().wait()
