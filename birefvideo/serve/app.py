"""The server as an ASGI application: every interface, behind one guard, around one studio."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from birefvideo.errors import BirefvideoError
from birefvideo.serve.api import Api
from birefvideo.serve.faults import RefusedError, refusal
from birefvideo.serve.guard import Guard
from birefvideo.serve.pages import pages
from birefvideo.serve.services import SERVICES
from birefvideo.serve.services.webhooks import Messenger
from birefvideo.serve.settings import Settings
from birefvideo.serve.status import Status
from birefvideo.serve.studio import Studio

_LOGGER = logging.getLogger(__name__)


def make_app(settings: Settings, studio: Studio) -> Starlette:
    """Return the application; it opens the studio when it starts, and closes it when it ends."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        studio.open()
        telling = asyncio.create_task(Messenger(studio, SERVICES).run())
        try:
            yield
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            await studio.close()

    api = Api(studio)
    routes = [*api.routes(), *pages(settings)]
    for service in SERVICES.values():
        routes += service.routes(studio)
    return Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(Guard, settings=settings), Middleware(Status, views=api.views)],
        exception_handlers={
            BirefvideoError: _refused,
            HTTPException: _wrong,
            OSError: _no_disk,
            sqlite3.Error: _no_disk,
            Exception: _failed,
        },
    )


def error_answer(error: RefusedError) -> Response:
    """Return the answer of our own interface for what is refused."""
    body = {"error": {"kind": error.kind, "message": str(error)}}
    headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
    return JSONResponse(body, error.status, headers)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, BirefvideoError)
    return error_answer(refusal(error))


async def _wrong(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = {404: "not_found", 405: "bad_method"}.get(error.status_code, "refused")
    answer = error_answer(RefusedError(error.status_code, kind, f"{request.method} {request.url.path}: {error.detail}"))
    answer.headers.update(error.headers or {})
    return answer


async def _no_disk(request: Request, error: Exception) -> Response:
    _LOGGER.warning("%s %s: %s", request.method, request.url.path, error)
    why = getattr(error, "strerror", None) or error
    return error_answer(RefusedError(507, "no_disk", f"the server's folder cannot be used ({why}): look at its disk"))


async def _failed(request: Request, error: Exception) -> Response:
    return error_answer(
        RefusedError(500, "failed", f"{type(error).__name__} (unexpected; the server's log shows where)")
    )
