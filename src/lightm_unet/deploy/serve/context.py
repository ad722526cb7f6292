"""What the parts of the server share about one request."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope

_KEY = "lightm_unet"


@dataclass(eq=False)
class Context:
    """One request."""

    request_id: str = field(default_factory=lambda: secrets.token_hex(8))
    facts: dict[str, Any] = field(default_factory=dict)
    """For its line in the log: numbers and the server's own names, nothing of the client's."""
    at_end: list[Callable[[], None]] = field(default_factory=list)
    """Called when it is over, however it ends."""
    left: bool = False
    """Whether the client has gone before its answer."""


def begin(scope: Scope) -> Context:
    """Attach a context to a request."""
    context = scope[_KEY] = Context()
    return context


def context_of(scope: Scope) -> Context:
    """The context of a request."""
    return scope[_KEY]
