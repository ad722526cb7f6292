"""The page in Chromium, as a user meets it."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from lightm_unet.deploy.page import BUILD, SITE

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
SETTLED = "[data-state=done], [data-state=unlike], [data-state=failed], [data-state=cancelled]"
MASK, COLOURED, VIEW = "Mask, label numbers (PNG)", "Mask, coloured (PNG)", "This view (PNG)"
PATIENCE_MS = 60_000
"""Machines that test are busy."""

needs_page = pytest.mark.skipif(
    not (SITE / BUILD).is_file(), reason="the browser page has not been built: make page"
)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None or find_spec("playwright") is None,
    reason="needs Chromium (Debian's chromium) and playwright, of the extra dev",
)


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window.

    One at a time in a process: while it is open, Playwright's event loop is that of the thread, and
    nothing else there can have one. So no fixture keeps it beyond a file of tests.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """One page, and what happened in it."""

    page: Any
    requests: list[str] = field(default_factory=list)
    """Every address that was asked for."""
    errors: list[str] = field(default_factory=list)
    """What the page's console says is wrong."""

    def open(self, files: Sequence[Path] | Sequence[dict[str, Any]]) -> None:
        """Choose files, as by the button, and wait until each is settled."""
        before = self.page.locator(".cases tbody tr").count()
        chosen = [str(file) if isinstance(file, Path) else file for file in files]
        self.page.locator("input[type=file][multiple]").first.set_input_files(chosen)
        self.wait(before + len(files))

    def clear(self) -> Visit:
        """Remove all cases, so that the next test finds the page as at first."""
        if self.page.locator(".cases tbody tr").count():
            self.page.get_by_role("button", name="Remove all").click()
            self.page.locator(".welcome").wait_for()
        self.errors.clear()
        return self

    def wait(self, cases: int) -> None:
        """Wait until so many cases are settled."""
        self.page.locator(SETTLED).nth(cases - 1).wait_for(timeout=PATIENCE_MS)

    def show(self, name: str) -> None:
        """Show a case."""
        self.page.get_by_role("button", name=f"Show {name}", exact=True).click()
        self.page.locator(".cases tr.shown", has_text=name).wait_for()

    def download(self, title: str) -> tuple[str, bytes]:
        """A file that a button saves: its name and content."""
        with self.page.expect_download(timeout=PATIENCE_MS) as expected:
            self.page.get_by_role("button", name=title, exact=True).click()
        return expected.value.suggested_filename, Path(expected.value.path()).read_bytes()

    def labels(self, title: str = MASK) -> np.ndarray:
        """The mask of the case that is shown, `(height, width)`."""
        return np.asarray(Picture.open(io.BytesIO(self.download(title)[1])))

    def result(self) -> str:
        """What the panel beside the image says."""
        return self.page.locator(".result").inner_text()

    def problem(self, file: Path | dict[str, Any]) -> str:
        """The sentence about a file that cannot be used."""
        self.open([file])
        return self.page.locator(".result .warn p").first.inner_text()


Visitor = Callable[..., Visit]
"""Opens an address in a new, empty profile of the browser; options are those of a context."""


@contextmanager
def visitor(browser: Any) -> Iterator[Visitor]:
    """Makes visits; all are closed at the end."""
    contexts = []

    def visit(address: str, **options: Any) -> Visit:
        context = browser.new_context(**options)
        contexts.append(context)
        made = Visit(context.new_page())
        made.page.set_default_timeout(PATIENCE_MS)
        context.on("request", lambda request: made.requests.append(request.url))
        made.page.on("pageerror", lambda error: made.errors.append(str(error)))
        made.page.on(
            "console",
            lambda line: made.errors.append(line.text) if line.type == "error" else None,
        )
        made.page.goto(address)
        made.page.locator(".welcome").wait_for()
        return made

    try:
        yield visit
    finally:
        for context in contexts:
            context.close()


def png_file(name: str, array: np.ndarray) -> dict[str, Any]:
    """A picture as the browser takes a chosen file."""
    buffer = io.BytesIO()
    Picture.fromarray(array).save(buffer, "PNG")
    return {"name": name, "mimeType": "image/png", "buffer": buffer.getvalue()}
