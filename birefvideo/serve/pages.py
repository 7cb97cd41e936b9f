"""What people open: the page itself, the description of our interface, and the door where a token is asked for."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from birefvideo.jobs import review
from birefvideo.serve.bodies import read_body
from birefvideo.serve.guard import COOKIE, same
from birefvideo.serve.openapi import description
from birefvideo.serve.services.cog import PLACES, with_cog
from birefvideo.serve.settings import Settings

_PAGE = Path(__file__).parent / "page"
_REVIEW = Path(review.__file__).parent
_DRAWING = {slot: _REVIEW / name for slot, name in review.DRAWING.items()}
"""What marks are drawn with, which lies beside the review page."""
_MONTH = 30 * 86400


def pages(settings: Settings) -> list[BaseRoute]:
    """Return where they are."""

    async def index(request: Request) -> Response:
        if request.headers.get("accept", "").startswith("application/json"):
            return JSONResponse(PLACES)  # which is what clients of Cog's find at /
        return _page("index.html")

    async def openapi(request: Request) -> Response:
        return JSONResponse(with_cog(description()))

    async def marks(request: Request) -> Response:
        page = (_PAGE / "marks.html").read_text(encoding="utf-8")
        return HTMLResponse(page.replace("{{draw_tools}}", _DRAWING["draw_tools"].read_text(encoding="utf-8")))

    async def drawing(request: Request) -> Response:
        return FileResponse(_REVIEW / request.url.path.rpartition("/")[2])

    async def login(request: Request) -> Response:
        given = parse_qs((await read_body(request, 4096)).decode(errors="replace")).get("token", [""])[0]
        if settings.token is None or not same(given, settings.token):
            return RedirectResponse("/login?wrong", 303)
        answer = RedirectResponse("/", 303)
        is_secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, given, max_age=_MONTH, httponly=True, samesite="strict", secure=is_secure)
        return answer

    return [
        Route("/", index),
        Route("/docs", _always("docs.html")),
        Route("/openapi.json", openapi),
        Route("/favicon.ico", _always("icon.svg", "image/svg+xml")),
        Route("/login", _always("login.html")),
        Route("/login", login, methods=["POST"]),
        Route("/page/marks.html", marks),
        *(Route(f"/page/{path.name}", drawing) for path in _DRAWING.values()),
        Mount("/page", StaticFiles(directory=_PAGE)),
    ]


def _always(name: str, kind: str = "text/html") -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """Return what answers every request with a file."""

    async def answer(request: Request) -> Response:
        return _page(name, kind)

    return answer


def _page(name: str, kind: str = "text/html") -> Response:
    return FileResponse(_PAGE / name, media_type=kind, headers={"cache-control": "no-cache"})
