"""Answers to requests whose body was not read to its end.

A server that answers an upload of 2 GB with "too large" and closes resets the connection, and a
client that is still sending never sees the answer. So the answer is sent whole, and what still
comes is thrown away for a few seconds; then the connection is closed.
"""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LINGER_S = 2.0
_SEND_S = 60.0
"""A client that reads nothing of its answer for so long has gone."""


class Linger:
    """Reads on after an early answer, for a short time; and gives up clients that do not read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        unread = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        waits = headers.get("expect", "").lower() == "100-continue"  # and has sent nothing yet

        async def watched_receive() -> Message:
            nonlocal unread, waits
            waits = False
            message = await receive()
            if message["type"] != "http.request" or not message.get("more_body", False):
                unread = False
            return message

        async def watched_send(message: Message) -> None:
            if message["type"] == "http.response.start" and unread:
                MutableHeaders(scope=message)["connection"] = "close"
            last = message["type"] == "http.response.body" and not message.get("more_body", False)
            if not last or not unread or waits:
                await asyncio.wait_for(send(message), _SEND_S)
                return
            await asyncio.wait_for(send({**message, "more_body": True}), _SEND_S)
            await _throw_away(receive)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, watched_receive, watched_send)


async def _throw_away(receive: Receive) -> None:
    end = time.monotonic() + LINGER_S
    while (left := end - time.monotonic()) > 0:
        try:
            message = await asyncio.wait_for(receive(), left)
        except asyncio.TimeoutError:
            return
        if message["type"] != "http.request" or not message.get("more_body", False):
            return
