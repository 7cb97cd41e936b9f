"""Bodies of requests: forms whose files go straight to the disk, raw files, and JSON of a bounded size."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from python_multipart.exceptions import ParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from birefvideo.json_files import parse_json_object
from birefvideo.serve.faults import RefusedError
from birefvideo.serve.incoming import Incoming
from birefvideo.serve.order import is_option
from birefvideo.serve.store import Upload
from birefvideo.serve.studio import Studio

MOST_JSON = 8 << 20
"""Bytes of a JSON body."""
MOST_FIELD = 64 << 10
"""Bytes of all texts of a form, where an interface says nothing else."""
_MOST_PARTS = 200
_MOST_HEADER = 8 << 10
"""Bytes of the headers of a form's part."""
_PATIENCE = 60.0
"""Seconds that are waited for the next bytes of a body..."""
_LEAST = 1 << 10
"""...which are to be so many, unless they are the last."""


@dataclass
class Form:
    """A form that has arrived."""

    texts: dict[str, str] = field(default_factory=dict)
    """Its fields; of several with one name, their values with commas between them."""
    files: dict[str, Upload] = field(default_factory=dict)
    """Its files by the names of their fields."""


def content_type(request: Request) -> str:
    """Return what kind of body a request says that it has, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_json(request: Request, most: int = MOST_JSON) -> dict[str, Any]:
    """Return the object that a body holds; an empty body is an empty object.

    Raises:
        RefusedError: it is too large, or no JSON object.
    """
    body = await read_body(request, most)
    try:
        return parse_json_object(body, "the body") if body.strip() else {}
    except ValueError as error:
        raise RefusedError(400, "bad_json", str(error)) from None


async def read_body(request: Request, most: int) -> bytes:
    """Return a small body.

    Raises:
        RefusedError: it is larger than `most` bytes.
    """
    body = bytearray()
    async for chunk in chunks_of(request):
        body += chunk
        if len(body) > most:
            raise RefusedError(413, "too_large", f"the body is larger than {most:,} bytes: send files as a form or raw")
    return bytes(body)


async def chunks_of(request: Request) -> AsyncIterator[bytes]:
    """Yield a body as it arrives.

    Raises:
        RefusedError: the client is gone before its end, or sends next to nothing any more.
    """
    chunks = request.stream()
    left, wanted = _PATIENCE, _LEAST
    try:
        while True:
            asked = time.monotonic()
            chunk = await asyncio.wait_for(anext(chunks), left)
            left, wanted = left - (time.monotonic() - asked), wanted - len(chunk)
            if wanted <= 0:
                left, wanted = _PATIENCE, _LEAST
            yield chunk
    except StopAsyncIteration:
        return
    except ClientDisconnect:
        raise RefusedError(400, "cut_off", "the body ended before it was whole: send it again") from None
    except (TimeoutError, asyncio.TimeoutError):
        raise RefusedError(408, "too_slow", f"next to nothing has come for {_PATIENCE:g} s: send it again") from None


async def receive_raw(studio: Studio, request: Request) -> Upload:
    """Store a body that is a file; the query's `name` or Content-Disposition's file name says what it is called.

    Raises:
        BirefvideoError: as `Studio.receive`.
    """
    studio.check_announced(request.headers.get("content-length"))
    _, options = parse_options_header(request.headers.get("content-disposition", ""))
    name = request.query_params.get("name") or options.get(b"filename", b"").decode(errors="replace")
    return await studio.receive(name, chunks_of(request))


async def read_form(studio: Studio, request: Request, *, most_texts: int = MOST_FIELD) -> Form:
    """Return a form, whose files are uploads by then; nothing of it stays where it is refused.

    Raises:
        RefusedError: it is none, or too large.
        BirefvideoError: a file is no clip or picture.
    """
    if content_type(request) == "application/x-www-form-urlencoded":
        text = (await read_body(request, most_texts)).decode(errors="replace")
        form = Form()
        if text.count("&") >= _MOST_PARTS:
            raise RefusedError(400, "bad_form", f"the form has more than {_MOST_PARTS} parts")
        for name, value in parse_qsl(text, keep_blank_values=True):
            _add(form, name, value)
        return form
    _, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if content_type(request) != "multipart/form-data" or not boundary:
        raise RefusedError(
            415,
            "bad_type",
            "the body is no form: send multipart/form-data, JSON, or a file as application/octet-stream",
        )
    studio.check_announced(request.headers.get("content-length"))
    async with AsyncExitStack() as dropping:
        reader = _Reader(studio, boundary, most_texts, dropping.callback)
        async for chunk in chunks_of(request):
            await reader.take(chunk)
        return await reader.end()


class _Reader:
    """Takes a form's bytes: the parser calls back, and what it found is dealt with after each piece."""

    def __init__(
        self, studio: Studio, boundary: bytes, most_texts: int, on_leaving: Callable[[Callable[[], None]], object]
    ) -> None:
        self._studio = studio
        self._left = most_texts
        self._on_leaving = on_leaving
        self._found: list[tuple[str, bytes]] = []
        names = ("part_begin", "part_end", "header_end", "headers_finished", "end")
        bare: Any = {f"on_{name}": lambda name=name: self._found.append((name, b"")) for name in names}
        for name in ("part_data", "header_field", "header_value"):
            bare[f"on_{name}"] = lambda data, first, end, name=name: self._found.append((name, data[first:end]))
        self._parser = MultipartParser(boundary, bare)
        self._form = Form()
        self._files: list[tuple[str, str, Incoming]] = []
        self._parts = 0
        self._is_whole = False
        self._field = self._value = b""
        self._name = self._file_name = ""
        self._incoming: Incoming | None = None
        self._text = bytearray()

    async def take(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except ParseError as error:
            raise RefusedError(400, "bad_form", f"the form is damaged ({error}): send it again") from None
        found, self._found = self._found, []
        for kind, data in found:
            await self._deal_with(kind, data)

    async def end(self) -> Form:
        """Return the form, its files made uploads."""
        if not self._is_whole:
            raise RefusedError(400, "bad_form", "the form ended before it was whole: send it again")
        for name, file_name, incoming in self._files:
            self._form.files[name] = await self._studio.keep(incoming, file_name, is_clip=not is_option(name))
        return self._form

    async def _deal_with(self, kind: str, data: bytes) -> None:
        if kind == "part_data":
            await self._part_data(data)
        elif kind == "part_begin":
            self._parts += 1
            if self._parts > _MOST_PARTS:
                raise RefusedError(400, "bad_form", f"the form has more than {_MOST_PARTS} parts")
            self._name = self._file_name = ""
            self._incoming, self._text = None, bytearray()
        elif kind in ("header_field", "header_value"):
            self._header_part(kind, data)
        elif kind == "header_end":
            self._header()
        elif kind == "headers_finished":
            await self._headers_finished()
        elif kind == "part_end" and self._incoming is None:
            _add(self._form, self._name, self._text.decode(errors="replace"))
        elif kind == "end":
            self._is_whole = True

    def _header_part(self, kind: str, data: bytes) -> None:
        if kind == "header_field":
            self._field += data
        else:
            self._value += data
        if len(self._field) + len(self._value) > _MOST_HEADER:
            raise RefusedError(413, "too_large", f"a part of the form has a header of more than {_MOST_HEADER:,} bytes")

    def _header(self) -> None:
        if self._field.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self._name = options.get(b"name", b"").decode(errors="replace")
            self._is_file = b"filename" in options
            self._file_name = options.get(b"filename", b"").decode(errors="replace")
        self._field = self._value = b""

    _is_file = False

    async def _headers_finished(self) -> None:
        if not re.fullmatch(r"[\w.\[\]-]{1,100}", self._name):
            raise RefusedError(400, "bad_form", "a part of the form has no name: give each one")
        if self._is_file:
            self._incoming = await self._studio.incoming()
            self._on_leaving(self._incoming.drop)
            self._files.append((self._name, self._file_name, self._incoming))
        self._is_file = False

    async def _part_data(self, data: bytes) -> None:
        if self._incoming is not None:
            self._studio.check_length(sum(incoming.size for _, _, incoming in self._files) + len(data))
            await self._incoming.write(data)
            return
        self._left -= len(data)
        if self._left < 0:
            raise RefusedError(413, "too_large", f"the field {self._name!r} is too long: send files as files of a form")
        self._text += data


def _add(form: Form, name: str, value: str) -> None:
    form.texts[name] = f"{form.texts[name]},{value}" if form.texts.get(name) else value
