"""Who may ask: the token, and on this computer alone the guard against other sites' pages.

A page in the browser can send requests to 127.0.0.1, and by DNS rebinding even read the answers. So
without a token only requests are taken whose Host is this computer's name and whose Origin, if they
have one, is this server.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lightm_unet.deploy.serve.context import context_of
from lightm_unet.deploy.serve.problems import Kind, Problem
from lightm_unet.deploy.serve.responses import problem_response

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_GUARDED = ("/v1/", "/metrics")
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


class Access:
    """Refuses requests that nobody should have sent, and adds the headers that protect answers.

    Args:
        app: gets the others.
        token: clients have to send it; None on this computer alone.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = context_of(scope)

        async def protected_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = context.request_id
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._check(scope)
        except Problem as problem:
            context.facts["problem"] = problem.kind.name.lower()
            await problem_response(problem, context.request_id)(scope, receive, protected_send)
            return
        await self._app(scope, receive, protected_send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if self._token is not None:
            if scope["path"].startswith(_GUARDED):
                self._check_token(headers.get("authorization", ""))
            return
        host = headers.get("host", "")
        if _name(host) not in LOOPBACK:
            raise Problem(
                Kind.OTHER_HOST,
                "this server answers to 127.0.0.1 and localhost only; start it with a token to "
                "give it another name",
            )
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            raise Problem(Kind.OTHER_ORIGIN, "pages of other sites may not use this server")

    def _check_token(self, authorization: str) -> None:
        assert self._token is not None  # else nobody asks
        scheme, _, token = authorization.partition(" ")
        # Compared in full in any case, so that the time tells nothing.
        same = hmac.compare_digest(token.strip().encode(), self._token.encode())
        if not same or scheme.lower() != "bearer":
            raise Problem(
                Kind.UNAUTHORIZED,
                "send the server's token as `Authorization: Bearer TOKEN`",
                headers={"www-authenticate": 'Bearer realm="lightm-unet"'},
            )


def _name(host: str) -> str | None:
    """The name in a Host header, without the port."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
