"""How jobs are, for those who ask again and again: bytes that are kept, and 304 where nothing has changed."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from birefvideo.serve.view import Views

_ASK_AGAIN = (b"cache-control", b"no-cache")
"""Lets browsers keep an answer, and ask whether it is still the newest."""


class Status:
    """Answers `GET /v1/jobs/{key}`, in ASGI itself: a request and a response as objects cost more than the answer."""

    def __init__(self, views: Views) -> None:
        self._views = views

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            RefusedError: there is no such job.
        """
        body, tag = self._views.tagged(scope["path_params"]["key"])
        status, body, headers = _answer(scope, body, tag)
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
