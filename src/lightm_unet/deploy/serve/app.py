"""The addresses of the server, and what each answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from lightm_unet import __version__
from lightm_unet.deploy.serve import documentation
from lightm_unet.deploy.serve.access import Access
from lightm_unet.deploy.serve.answer import Health, Model, Models
from lightm_unet.deploy.serve.context import context_of
from lightm_unet.deploy.serve.linger import Linger
from lightm_unet.deploy.serve.notes import NoteTaker
from lightm_unet.deploy.serve.prediction_request import answer_prediction
from lightm_unet.deploy.serve.problems import Kind, Problem
from lightm_unet.deploy.serve.request_log import RequestLog
from lightm_unet.deploy.serve.responses import problem_response
from lightm_unet.deploy.serve.service import Service
from lightm_unet.deploy.serve.settings import MB
from lightm_unet.deploy.serve.site import add_site, pages_of

_KINDS = {
    400: Kind.BAD_REQUEST,
    404: Kind.NOT_FOUND,
    405: Kind.METHOD_NOT_ALLOWED,
    413: Kind.TOO_LARGE,
}
"""For what the framework refuses by itself."""


def create_app(service: Service, token: str | None = None) -> ASGIApp:
    """The ASGI application of a service, which it closes when it ends.

    Args:
        service: what it offers.
        token: that clients have to send; None for this computer alone.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        taker, logger = NoteTaker(), logging.getLogger("lightm_unet")
        level = logger.level
        logger.addHandler(taker)
        logger.setLevel(logging.INFO)
        try:
            yield
        finally:
            await asyncio.to_thread(service.close)
            logger.removeHandler(taker)
            logger.setLevel(level)

    app = FastAPI(
        title="lightm-unet serve",
        version=__version__,
        description=documentation.DESCRIPTION,
        docs_url=None,  # its pages load scripts from foreign hosts
        redoc_url=None,
        lifespan=lifespan,
        exception_handlers={Problem: _on_problem, HTTPException: _on_http_exception},
    )
    _add_routes(app, service)
    documentation.complete(app, list(service.models), needs_token=token is not None)
    add_site(app, pages_of({name: each.folder for name, each in service.models.items()}))
    return RequestLog(Linger(Access(app, token)), service.metrics)


def _add_routes(app: FastAPI, service: Service) -> None:
    @app.post("/v1/predict", **documentation.PREDICT)
    async def predict(request: Request) -> Response:
        return await answer_prediction(service, request)

    @app.get("/v1/models", **documentation.MODELS)
    async def models() -> Models:
        return Models(
            version=__version__,
            models=[Model(**model.describe()) for model in service.models.values()],
            most_upload_bytes=service.settings.upload_mb * MB,
        )

    @app.head("/health", include_in_schema=False)
    @app.get("/health", **documentation.HEALTH)
    async def health() -> Health:
        return service.health()

    @app.head("/health/ready", include_in_schema=False)
    @app.get("/health/ready", **documentation.READY)
    async def ready() -> Response:
        state = service.health()
        status = 200 if state.status == "ready" else 503
        return JSONResponse(state.model_dump(), status_code=status)

    @app.get("/metrics", **documentation.METRICS)
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=documentation.METRICS_TYPE)


async def _on_problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)  # what it is registered for
    context = context_of(request.scope)
    context.facts["problem"] = problem.kind.name.lower()
    return problem_response(problem, context.request_id)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # what it is registered for
    kind = _KINDS.get(error.status_code, Kind.BAD_REQUEST)
    problem = Problem(kind, str(error.detail), headers=error.headers or {})
    return await _on_problem(request, problem)
