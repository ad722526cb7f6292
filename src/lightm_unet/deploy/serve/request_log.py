"""Around every request: its number, its line in the log, its count in the metrics, its end."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lightm_unet.deploy.serve.context import begin
from lightm_unet.deploy.serve.json_log import log_event
from lightm_unet.deploy.serve.metrics import Metrics

_log = logging.getLogger(__name__)

_LEFT = 499
"""nginx's number for a client that has gone before its answer."""
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
OTHER = "other"
"""Stands for addresses and methods that are not ours: clients must not fill the log with them."""


class RequestLog:
    """Logs and counts requests.

    Args:
        app: handles them.
        metrics: counts them.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context, start = begin(scope), time.perf_counter()
        status = _LEFT

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        finally:
            for end in context.at_end:
                end()
            if context.left:
                status = _LEFT
            seconds = time.perf_counter() - start
            route = getattr(scope.get("route"), "path", None) or OTHER
            method = scope["method"] if scope["method"] in _METHODS else OTHER
            self._metrics.requests.labels(route, method, str(status)).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            log_event(
                _log,
                logging.INFO,
                "request",
                request_id=context.request_id,
                method=method,
                route=route,
                status=status,
                seconds=round(seconds, 4),
                **context.facts,
            )
