"""Files by their addresses: what clients name as input, and where they get outputs."""

from __future__ import annotations

import asyncio
import base64
import mimetypes
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from birefvideo.serve.bodies import MOST_JSON, read_json
from birefvideo.serve.faults import RefusedError, not_found
from birefvideo.serve.fetch import fetch
from birefvideo.serve.files import file_answer, zip_answer, zip_of
from birefvideo.serve.names import is_id
from birefvideo.serve.services.fields import FieldError, shown
from birefvideo.serve.settings import is_loopback
from birefvideo.serve.store import SUCCEEDED, Job, Upload
from birefvideo.serve.studio import Studio

MOST_INLINE = 64 << 20
"""Bytes of a file that is sent back inside an answer, as a data URI."""
_OWN_UPLOAD = re.compile(r"/(?:v1/files|v1/uploads|files/new)/(\w{24})(?:/file|/download)?")
_OWN_OUTPUT = re.compile(r"/(?:files|v1/jobs)/(\w{24})/(?:outputs/)?([^/]+)")
_BLOCK = 1 << 20


class InlineBodies:
    """Reads JSON bodies that may have files inside them, two large ones at once: they are in memory meanwhile."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(2)

    async def read(self, request: Request) -> dict[str, Any]:
        """Return the object that a body holds.

        Raises:
            RefusedError: it is too large, or no JSON object.
        """
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length[:30]) <= MOST_JSON:
            return await read_json(request)
        async with self._turn:
            return await read_json(request, MOST_INLINE * 4 // 3 + MOST_JSON)


def base_of(request: HTTPConnection) -> str:
    """Return the address that a client calls this server by, without a slash at its end."""
    scheme = {"ws": "http", "wss": "https"}.get(request.url.scheme, request.url.scheme)
    return f"{scheme}://{request.url.netloc}"


def routes(studio: Studio) -> list[BaseRoute]:
    """Return where outputs are got by whoever knows their address: a job's id is the key to them."""

    async def output(request: Request) -> Response:
        job, name = studio.job(request.path_params["key"]), request.path_params["name"]
        return output_answer(studio, job, name)

    return [Route("/files/{key}/{name}", output)]


def output_answer(studio: Studio, job: Job, name: str) -> Response:
    """Return an output of a job: a file, a folder as a zip, or a zip of files that the job's notes name.

    Raises:
        RefusedError: there is none of that name.
    """
    folder = studio.data.job(job.id)
    bundle = job.notes.get("bundle")
    paths = studio.outputs(job)
    if bundle and name == bundle["name"] and job.state == SUCCEEDED:
        return zip_of(name, {inner: paths[number] for inner, number in bundle["files"].items()})
    finished = (job.notes.get("finish") or {}).get("name")
    for path in [*paths, *([folder / finished] if finished else [])]:
        if name == path.name and path.is_file():
            return file_answer(path, as_download=False)
        if name == f"{path.name}.zip" and path.is_dir():
            return zip_answer(path)
    raise not_found("output of that name")


def output_address(base: str, job: Job, path: Path) -> str:
    """Return where a client gets an output."""
    return f"{base}/files/{job.id}/{quote(path.name)}{'.zip' if path.is_dir() else ''}"


def content_type(path: Path) -> str:
    """Return what kind of file an output is, for clients."""
    kinds = {".mov": "video/quicktime", ".webm": "video/webm"}
    return kinds.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"


def data_uri(path: Path) -> str:
    """Return a file inside an address.

    Raises:
        RefusedError: it is too large for that.
    """
    if path.stat().st_size > MOST_INLINE:
        most = f"{MOST_INLINE >> 20} MB"
        raise RefusedError(422, "too_large", f"the result is larger than {most}: ask for its address instead")
    return f"data:{content_type(path)};base64,{base64.b64encode(path.read_bytes()).decode()}"


async def take(studio: Studio, connection: HTTPConnection, field: str, value: Any, *, is_clip: bool = True) -> Upload:
    """Return the file that a client names: inside the value, on this server, or at an address.

    Args:
        studio: where it goes.
        connection: the client's.
        field: name of the input, for messages.
        value: a data URI, an address, or the id of an upload.
        is_clip: whether it has to be a clip or picture.

    Raises:
        FieldError: it is none of these, or cannot be fetched.
        BirefvideoError: it is no clip or picture.
    """
    if not isinstance(value, str):
        raise FieldError(field, f"{field} is {shown(value)}: give an address", "type_error")
    if value.startswith("data:"):
        return await _from_data(studio, field, value, is_clip=is_clip)
    if is_id(value):
        return studio.upload(value)
    if path := _own_path(connection, value):
        return await _from_here(studio, path)
    try:
        return await fetch(studio, value, is_clip=is_clip)
    except RefusedError as error:
        if error.kind != "bad_url":
            raise
        raise FieldError(field, f"{field}: {error}", "file_download_error") from None


def _own_path(connection: HTTPConnection, value: str) -> str:
    """Return the path of an address of this very server, or ''."""
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https"):
        return ""
    own = urlsplit(base_of(connection))
    is_own = parts.netloc == own.netloc or (is_loopback(host) and is_loopback(own.hostname or "") and port == own.port)
    return unquote(parts.path) if is_own else ""


async def _from_here(studio: Studio, path: str) -> Upload:
    if found := _OWN_UPLOAD.fullmatch(path):
        return studio.upload(found[1])
    if found := _OWN_OUTPUT.fullmatch(path):
        for one in studio.outputs(studio.job(found[1])):
            if one.name == found[2] and one.is_file():
                return await studio.receive(one.name, _blocks(one))
    raise not_found("file at that address")


async def _from_data(studio: Studio, field: str, value: str, *, is_clip: bool) -> Upload:
    head, comma, body = value.partition(",")
    kind, _, coding = head.removeprefix("data:").partition(";")
    if not comma or coding.rpartition(";")[2] != "base64":
        raise FieldError(field, f"{field} is no data URI of base64: give data:video/mp4;base64,…", "value_error")
    ending = mimetypes.guess_extension(kind) or ""
    return await studio.receive(f"{field.removesuffix('_url')}{ending}", decoded(field, body), is_clip=is_clip)


async def decoded(field: str, text: str) -> AsyncIterator[bytes]:
    """Yield what a base64 text stands for, a piece at a time.

    Raises:
        FieldError: it is none.
    """
    step = 4 * (_BLOCK // 3)
    for begin in range(0, len(text), step):
        try:
            yield base64.b64decode(text[begin : begin + step], validate=True)
        except ValueError:
            raise FieldError(field, f"{field} holds no base64: encode the file again", "value_error") from None


async def _blocks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block
