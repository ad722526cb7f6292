"""A multipart body to a file of our own name and a few short fields, as it arrives.

Nothing is held in memory but the chunk that has just come. What is too large, too slow or no
multipart body ends the upload at once. The client's file name is never looked at.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from lightm_unet.deploy.serve.problems import Kind, Problem, found
from lightm_unet.deploy.serve.spool import CountedFile, RequestFolder

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

IMAGE = "image"
"""The part that holds the file."""
_FILE = "upload"
_MOST_FIELDS, _MOST_FIELD_BYTES = 16, 1000
_FORM_BYTES = 50_000
"""What may surround the file: boundaries, headers and fields."""
_LONGEST_PAUSE_S = 20


@dataclass
class Upload:
    """What a request's body held."""

    file: Path
    fields: dict[str, str]
    bytes: int


def expect_upload(request: Request, most_bytes: int) -> bytes:
    """Refuse a request by its headers, before any of its body is read.

    Args:
        request: the request.
        most_bytes: of the file.

    Returns:
        The boundary of its parts.

    Raises:
        Problem: its body is no multipart form, or is said to be too large.
    """
    boundary = _boundary(request)
    _check_length(request, most_bytes)
    return boundary


async def receive_upload(
    request: Request, boundary: bytes, folder: RequestFolder, most_bytes: int, seconds: float
) -> Upload:
    """Receive a multipart body.

    Args:
        request: whose body has not been read.
        boundary: of its parts.
        folder: for the file.
        most_bytes: of the file.
        seconds: for all of it.

    Raises:
        Problem: no multipart body, not one part `image` with a file in it, one field twice, or
            too large, or too slow.
        ClientDisconnect: the client has left.
    """
    with ExitStack() as files:
        form = _Form(files.enter_context(folder.new_file(_FILE)), most_bytes)
        parser = MultipartParser(boundary, form.callbacks())
        try:
            received = 0
            async for chunk in _in_time(request.stream(), seconds):
                received += len(chunk)
                if received > most_bytes + _FORM_BYTES:
                    raise _too_large(most_bytes)
                parser.write(chunk)
            parser.finalize()
        except FormParserError as error:
            raise Problem(
                Kind.BAD_REQUEST, f"the body is no whole multipart/form-data ({error})"
            ) from error
    if not form.ended:
        raise Problem(Kind.BAD_REQUEST, "the body ends within a part of multipart/form-data")
    if not form.has_image:
        raise found(
            Kind.UNUSABLE_IMAGE,
            "no part with a file" if not form.fields else f"the parts {', '.join(form.fields)}",
            f"a part called {IMAGE} that holds the image's file",
            "curl sends one with --form image=@FILE",
        )
    return Upload(folder.path / _FILE, form.fields, form.file.bytes)


def _boundary(request: Request) -> bytes:
    media_type, options = parse_options_header(request.headers.get("content-type"))
    if media_type != b"multipart/form-data":
        raise found(
            Kind.UNSUPPORTED_MEDIA_TYPE,
            f"the content type {media_type.decode('latin-1', 'replace') or 'of nothing'!r:.80}",
            "multipart/form-data",
            "curl sends it with --form image=@FILE",
        )
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        raise Problem(Kind.BAD_REQUEST, "the content type has no boundary of 1 to 70 characters")
    return boundary


def _check_length(request: Request, most_bytes: int) -> None:
    """Refuse what says itself that it is too large, before any of it is read."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > most_bytes + _FORM_BYTES:
        raise _too_large(most_bytes, int(length))


def _too_large(most_bytes: int, length: int | None = None) -> Problem:
    return found(
        Kind.TOO_LARGE,
        "an upload of more" if length is None else f"an upload of {length / 1e6:,.0f} MB",
        f"at most {most_bytes / 1e6:,.0f} MB",
        "compress or crop the image, or start the server with a larger --upload-mb",
    )


async def _in_time(chunks: AsyncIterator[bytes], seconds: float) -> AsyncIterator[bytes]:
    """The chunks, as long as they come in time.

    Raises:
        Problem: they do not.
    """
    end = time.monotonic() + seconds
    while True:
        left = min(end - time.monotonic(), _LONGEST_PAUSE_S)
        try:
            if left <= 0:  # else a trickle would never be late
                raise asyncio.TimeoutError
            yield await asyncio.wait_for(anext(chunks), left)
        except StopAsyncIteration:
            return
        except asyncio.TimeoutError:
            raise found(
                Kind.UPLOAD_TOO_SLOW,
                "an upload that is not complete",
                f"all of it within {seconds:g} s, without a pause of {_LONGEST_PAUSE_S} s",
                "send it again over a better connection",
            ) from None


@dataclass
class _Form:
    """Takes what the parser finds."""

    file: CountedFile
    most_bytes: int
    fields: dict[str, str] = field(default_factory=dict)
    has_image: bool = False
    ended: bool = False
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _header: tuple[bytes, bytes] = (b"", b"")
    _name: str = ""
    _value: bytearray = field(default_factory=bytearray)

    def callbacks(self) -> MultipartCallbacks:
        """What the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._add(data[start:end], b""),
            "on_header_value": lambda data, start, end: self._add(b"", data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": lambda data, start, end: self._take(data[start:end]),
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._headers, self._header, self._value = {}, (b"", b""), bytearray()

    def _add(self, name: bytes, value: bytes) -> None:
        self._header = self._header[0] + name, self._header[1] + value

    def _end_header(self) -> None:
        name, value = self._header
        self._headers[name.lower()] = value
        self._header = (b"", b"")

    def _end_headers(self) -> None:
        disposition, options = parse_options_header(self._headers.get(b"content-disposition"))
        name = options.get(b"name", b"")
        if disposition != b"form-data" or not name:
            raise Problem(Kind.BAD_REQUEST, "a part of the body has no name")
        self._name = name.decode("utf-8", "replace")
        if self._name in self.fields or (self._name == IMAGE and self.has_image):
            raise Problem(Kind.UNUSABLE_OPTION, f"the part {self._name!r:.60} is there twice")
        if self._name != IMAGE and b"filename" in options:
            raise found(
                Kind.UNUSABLE_OPTION,
                f"a file in the part {self._name!r:.60}",
                f"one file, in the part {IMAGE}",
                "put several files of one image into a zip",
            )
        if len(self.fields) >= _MOST_FIELDS:
            raise Problem(Kind.UNUSABLE_OPTION, f"more than {_MOST_FIELDS} fields")
        self.has_image |= self._name == IMAGE

    def _take(self, data: bytes) -> None:
        if self._name == IMAGE:
            if self.file.bytes + len(data) > self.most_bytes:
                raise _too_large(self.most_bytes)
            self.file.write(data)
            return
        self._value += data
        if len(self._value) > _MOST_FIELD_BYTES:
            raise Problem(
                Kind.UNUSABLE_OPTION,
                f"the field {self._name!r:.60} is longer than {_MOST_FIELD_BYTES} bytes",
            )

    def _end_part(self) -> None:
        if self._name != IMAGE:
            self.fields[self._name] = self._value.decode("utf-8", "replace")

    def _end(self) -> None:
        self.ended = True
