"""Errors as clients get them: RFC 9457's problem details, `application/problem+json`.

A program reads `type` and `status`, a person `detail`. What is wrong with an image is said in three
parts too, `found`, `expected` and `advice`, as everywhere in this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from lightm_unet.errors import DataError, TooLargeError

MEDIA_TYPE = "application/problem+json"


class Kind(Enum):
    """The kinds of problems: status, and title."""

    BAD_REQUEST = 400, "The request cannot be understood"
    UNAUTHORIZED = 401, "A token is needed"
    OTHER_ORIGIN = 403, "The request comes from another site's page"
    NOT_FOUND = 404, "There is nothing at this address"
    METHOD_NOT_ALLOWED = 405, "The address does not take this method"
    UPLOAD_TOO_SLOW = 408, "The upload took too long"
    TOO_LARGE = 413, "The upload or the image is too large"
    UNSUPPORTED_MEDIA_TYPE = 415, "No file format that can be read"
    OTHER_HOST = 421, "The request names another host"
    UNUSABLE_IMAGE = 422, "The image cannot be used"
    UNUSABLE_OPTION = 422, "An option cannot be used"
    BUSY = 429, "All places are taken"
    FAILED = 500, "The server failed"
    UNAVAILABLE = 503, "The server cannot work now"
    TOO_SLOW = 504, "The work took too long"

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value[0]

    @property
    def title(self) -> str:
        """What is the same for all problems of the kind."""
        return self.value[1]

    @property
    def uri(self) -> str:
        """The problem's `type`."""
        return f"urn:lightm-unet:problem:{self.name.lower().replace('_', '-')}"


@dataclass
class Problem(Exception):
    """A request that is answered with a problem."""

    kind: Kind
    detail: str
    members: Mapping[str, Any] = field(default_factory=dict)
    """Further members of the answer, such as `found`."""
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self, request_id: str) -> dict[str, Any]:
        """The answer's JSON."""
        return {
            "type": self.kind.uri,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "request_id": request_id,
            **self.members,
        }


def found(kind: Kind, found: str, expected: str, advice: str) -> Problem:
    """A problem that says what was found, what was expected and what to do."""
    detail = f"found {found}; expected {expected}; {advice}"
    return Problem(kind, detail, {"found": found, "expected": expected, "advice": advice})


def of_image(error: DataError) -> Problem:
    """The problem of an image that cannot be used; the file's path is left out."""
    kind = Kind.TOO_LARGE if isinstance(error, TooLargeError) else Kind.UNUSABLE_IMAGE
    return found(kind, error.found, error.expected, error.advice)


def busy(seconds: float) -> Problem:
    """All places are taken.

    Args:
        seconds: until there may be one.
    """
    wait = max(1, min(60, round(seconds)))
    return Problem(
        Kind.BUSY,
        f"all places in the queue are taken; try again in {wait} s",
        headers={"retry-after": str(wait)},
    )
