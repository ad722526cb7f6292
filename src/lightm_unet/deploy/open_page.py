"""The browser page of a model, opened on this computer."""

from __future__ import annotations

import os
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightm_unet.deploy.local_server import serve_folder
from lightm_unet.deploy.page import check_folder, write_folder
from lightm_unet.models.model_folder import load_model


@contextmanager
def open_page(
    model: str | os.PathLike[str] = "lungs", *, port: int = 0, browser: bool = True
) -> Iterator[str]:
    """Serve a model's page on this computer, and open it, until the block ends.

    Args:
        model: a model's folder, a training run's, or a name that `lightm-unet models` lists.
        port: 0 takes a free one.
        browser: whether to open the user's browser.

    Yields:
        The page's address.

    Raises:
        UsageError: no model is there, the engine cannot run it, or the port cannot be had.
        MissingPartError: the page has not been built.
    """
    with tempfile.TemporaryDirectory(prefix="lightm-unet-page-") as scratch:
        folder = Path(scratch) / "site"
        check_folder(folder)
        write_folder(load_model(model), folder)
        with serve_folder(folder, port) as address:
            if browser:
                webbrowser.open(address)
            yield address
