"""How jobs are, for those who ask again and again: bytes that are kept, and 304 where nothing has changed."""

from __future__ import annotations

import sqlite3
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from birefvideo.serve.faults import RefusedError
from birefvideo.serve.view import Views

_JOBS = "/v1/jobs/"
_ASK_AGAIN = (b"cache-control", b"no-cache")
"""Lets browsers keep an answer, and ask whether it is still the newest."""


class Status:
    """Answers `GET /v1/jobs/{key}` before anybody looks for a route: finding it costs as much as the answer."""

    def __init__(self, app: ASGIApp, views: Views) -> None:
        self._app = app
        self._views = views

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass on what is none of these or cannot be answered."""
        found = None
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"].startswith(_JOBS):
            with suppress(RefusedError, OSError, sqlite3.Error):  # the route says what is wrong
                found = self._views.tagged(scope["path"][len(_JOBS) :])
        if found is None:
            await self._app(scope, receive, send)
            return
        status, body, headers = _answer(scope, *found)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def tagged(request: Request, body: bytes, tag: bytes) -> Response:
    """Return JSON that has an entity tag, or that what the client has is the newest."""
    status, body, headers = _answer(request.scope, body, tag)
    answer = Response(body, status)
    answer.raw_headers = headers
    return answer


def _answer(scope: Scope, body: bytes, tag: bytes) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
    headers = [(b"etag", tag), _ASK_AGAIN]
    if any(name == b"if-none-match" and (tag in value or value.strip() == b"*") for name, value in scope["headers"]):
        return 304, b"", headers
    return 200, body, [*headers, (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
