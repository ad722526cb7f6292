"""The browser page, where it is in the package: at `/` with the first model, each at `/page/NAME/`.

It runs the network in the browser, or, where its user chooses so, asks this server: the page holds
the server's name for the model, and `POST /v1/predict` with `response=json` gives the mask of an
image. A page of one's own does the same; `GET /v1/models` answers with `"server": "lightm-unet"`.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from contextlib import suppress

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from lightm_unet import __version__
from lightm_unet.deploy.page import INDEX, page_files
from lightm_unet.deploy.serve.answer import NOTICE
from lightm_unet.errors import MissingPartError, UsageError
from lightm_unet.models.model_folder import ModelFolder

_TYPES = {".js": "text/javascript", ".wasm": "application/wasm"}
"""What some systems' own lists call otherwise, and browsers insist on."""
_HEADERS = {
    # Both are what browsers ask for before a page gets threads.
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; "
    "worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
}


def pages_of(models: Mapping[str, ModelFolder]) -> dict[str, dict[str, bytes]]:
    """The page's files with each model, by the model's name.

    A model that the page cannot run has none, and without the built page no model has.
    """
    pages = {}
    for name, model in models.items():
        with suppress(UsageError, MissingPartError):
            pages[name] = page_files(model, name)
    return pages


def add_site(app: FastAPI, pages: Mapping[str, Mapping[str, bytes]]) -> None:
    """Let an application answer with the page's files where no other address fits.

    Args:
        app: whose routes are there.
        pages: as `pages_of` gives them; without any, `/` says where to look instead.
    """
    app.router.default = _Site(app.router.default, pages)


class _Route:
    path = "/"


class _Site:
    def __init__(self, otherwise, pages: Mapping[str, Mapping[str, bytes]]) -> None:
        self._otherwise = otherwise
        self._files: dict[str, bytes] = {}
        for number, (model, files) in enumerate(pages.items()):
            for place in ("/", f"/page/{model}/") if number == 0 else (f"/page/{model}/",):
                self._files |= {place + name: content for name, content in files.items()}
                self._files[place] = files[INDEX]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request that no route has taken."""
        answer = self._answer(scope)
        if answer is not None:
            scope["route"] = _Route
        await (answer or self._otherwise)(scope, receive, send)

    def _answer(self, scope: Scope) -> Response | None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return None
        path = scope["path"]
        if (content := self._files.get(path)) is not None:
            name = path if not path.endswith("/") else INDEX
            ending = "." + name.rsplit(".", 1)[-1]
            kind = _TYPES.get(ending) or mimetypes.guess_type(name)[0]
            return Response(content, media_type=kind, headers=_HEADERS)
        if path == "/":
            about = {
                "server": "lightm-unet",
                "version": __version__,
                "notice": NOTICE,
                "openapi": "/openapi.json",
                "models": "/v1/models",
            }
            return JSONResponse(about)
        return None
