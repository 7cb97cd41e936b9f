"""Who may ask: the checks before every request, whatever interface it is for.

A page of another site can make a browser send requests here, and a name that its owner points at 127.0.0.1 makes them
look like its own. So requests must call this machine by a name that is known (`Host`), those that change something must
not come from a page of another origin (`Origin`, `Sec-Fetch-Site`), and where a token is set, they must show it.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import re
import socket
from functools import lru_cache
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from birefvideo.serve.faults import RefusedError
from birefvideo.serve.settings import Settings

COOKIE = "birefvideo_token"
"""Cookie that holds the token: what plays a video in a page sends no other header."""
_SAFE = ("GET", "HEAD", "OPTIONS")
_OPEN_PATHS = ("/login", "/favicon.ico", "/.well-known/jwks.json")
"""What may be asked without a token."""
_OPEN_FOLDERS = ("/page/", "/files/")
"""What is below these too: files whose address, which nobody guesses, is the key to them, as with hosted services."""
_MOST_HOST = 300
"""Letters of a name with a port."""
SOCKETS = ("/", "/v1", "/runware")
"""WebSockets that ask for the token in their first message."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; frame-ancestors 'self'; base-uri 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"SAMEORIGIN"),
]


class Guard:
    """Lets requests through that may come in, and writes what browsers are to obey into every answer."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        names = {"localhost", settings.host.lower(), *(name.lower() for name in settings.names)}
        self._names = names if settings.is_local else {*names, socket.gethostname().lower()}
        self._is_known = lru_cache(maxsize=64)(self._is_name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request, or pass on what is none."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers, origin = Headers(scope=scope), ""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(one for one in _HEADERS if one[0] not in there)]
                if origin:
                    answer = MutableHeaders(scope=message)
                    answer["access-control-allow-origin"] = origin
                    answer["vary"] = "Origin"
            await send(message)

        try:
            self._check_host(headers.get("host", ""))
            origin = self._check_origin(scope, headers)
            self._check_token(scope, headers)
        except RefusedError as error:
            await _refuse(scope, receive, send_with_headers, error)
            return
        if scope["type"] == "http" and scope["method"] == "OPTIONS" and origin:
            await _allow(send_with_headers, headers.get("access-control-request-headers", ""))
            return
        await self._app(scope, receive, send_with_headers)

    def _check_host(self, host: str) -> None:
        """Refuse a name that only another site's owner can have given this machine."""
        if len(host) > _MOST_HOST or not self._is_known(host):
            raise RefusedError(
                421, "bad_host", f"this server is not called {host[:100]!r}: use its address, or start it with --name"
            )

    def _is_name(self, host: str) -> bool:
        name = re.sub(r":\d*$", "", host).strip("[]").lower().rstrip(".")
        return name in self._names or _is_address(name, self._settings.is_local)

    def _check_origin(self, scope: Scope, headers: Headers) -> str:
        """Return the origin of another site that may use this one, or ''.

        Raises:
            RefusedError: the request comes from a page that may not make it.
        """
        origin = headers.get("origin", "")
        is_safe = scope["type"] == "http" and scope["method"] in _SAFE
        if origin in self._settings.origins:
            return origin
        refused = RefusedError(
            403, "cross_site", "the request comes from a page of another site: --origin allows one to use this server"
        )
        if origin and not is_safe and re.sub(r"^(https?|wss?)://", "", origin) != headers.get("host"):
            raise refused
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            is_link = headers.get("sec-fetch-mode") == "navigate" and is_safe and scope["path"] in ("/", "/docs")
            if not is_link:
                raise refused
        return ""

    def _check_token(self, scope: Scope, headers: Headers) -> None:
        token = self._settings.token
        is_socket = scope["type"] == "websocket"
        is_open = scope["path"] in (SOCKETS if is_socket else _OPEN_PATHS) or scope["path"].startswith(_OPEN_FOLDERS)
        if token is None or is_open or (scope["type"] == "http" and scope["method"] == "OPTIONS"):
            return
        if any(same(shown, token) for shown in shown_tokens(headers)):
            return
        raise RefusedError(401, "no_token", "show the server's token: Authorization: Bearer TOKEN, or X-Api-Key: TOKEN")


def same(shown: str, token: str) -> bool:
    """Return whether a token is the one; it takes as long whatever is wrong."""
    return hmac.compare_digest(shown.encode(), token.encode())


def shown_tokens(headers: Headers) -> list[str]:
    """Return the tokens that a request shows, in the headers in which hosted services want theirs."""
    found = [headers.get("x-api-key", ""), headers.get("authorization", "").rpartition(" ")[2]]
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        cookie = None
    return [one for one in (*found, cookie.value if cookie else "") if one]


def _is_address(name: str, is_local: bool) -> bool:
    """Return whether a host is written as an address, which no other site's owner can give to this machine."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or not is_local


async def _refuse(scope: Scope, receive: Receive, send: Send, error: RefusedError) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 4403, "reason": str(error)[:100]})
        return
    is_page = error.status == 401 and "text/html" in Headers(scope=scope).get("accept", "")
    if is_page and scope["method"] == "GET":
        await send({"type": "http.response.start", "status": 303, "headers": [(b"location", b"/login")]})
        await send({"type": "http.response.body", "body": b""})
        return
    body = json.dumps({"error": {"kind": error.kind, "message": str(error)}}, ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"www-authenticate", b"Bearer")] if error.status == 401 else []
    headers += [(b"connection", b"close")]  # what of the body is still to come is not read
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _allow(send: Send, asked: str) -> None:
    """Answer a browser that asks whether a page of an allowed origin may send a request."""
    headers = {
        "access-control-allow-methods": "GET, HEAD, POST, PUT, DELETE",
        "access-control-allow-headers": asked,
        "access-control-max-age": "600",
    }
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 204, "headers": raw})
    await send({"type": "http.response.body", "body": b""})
