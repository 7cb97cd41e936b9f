"""What reads requests for uvicorn: httptools, which takes half the time of h11, both held to the same limits.

Uvicorn waits for ever for a request that has begun, keeps headers of any length with httptools, and takes connections
until no descriptor is left. With TLS it does not see them before hands are shaken, so that is begun here.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, cast

from h11 import LocalProtocolError
from uvicorn.protocols.http.h11_impl import H11Protocol

from birefvideo.serve.transports import Joining

MOST_HEAD = 64 << 10
"""Bytes of a request's first line and headers."""
_MOST_CONNECTIONS = 500
"""Connections at a time; most systems give a program 1,024 descriptors, and jobs and files need some."""
_FOR_HEAD = 20.0
"""Seconds in which hands are to be shaken, a request's headers to come, and what nobody reads any more of a body."""
_FOR_READING = 1800.0
"""Seconds after which a client that does not take its answer is left; a browser whose video is paused is one."""

if TYPE_CHECKING:
    _Protocol = H11Protocol
else:
    _Protocol = object


class _Limited(_Protocol):
    """Hangs up on who keeps a connection without using it."""

    _hanging_up: asyncio.TimerHandle | None = None
    _leaving: asyncio.TimerHandle | None = None
    _looking: asyncio.TimerHandle | None = None
    _is_taken_over = False
    """Whether the connection has become a WebSocket, which is no longer this class's."""
    context: ssl.SSLContext | None = None
    """What speaks TLS, where the server does."""
    _shaking: asyncio.Task[None] | None = None
    """What shakes hands."""
    _early: bytearray | None = None
    """What has come by TLS before the connection is this class's."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        if self.context is None:
            self._begin(Joining(transport, self.loop))
        elif len(self.connections) >= _MOST_CONNECTIONS:
            transport.abort()  # an answer would cost more than all the rest: shaking hands
        else:
            self.connections.add(self)
            self._early = bytearray()
            self._shaking = self.loop.create_task(self._shake_hands(transport, self.context))

    async def _shake_hands(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        try:
            secured = await self.loop.start_tls(
                transport, self, context, server_side=True, ssl_handshake_timeout=_FOR_HEAD
            )
        except OSError:  # it speaks no TLS, does not trust the certificate, took too long, or is gone
            secured = None
        early, self._early = self._early, None
        if secured is None or secured.is_closing():
            self.connections.discard(self)
            transport.abort()
            return
        self._begin(Joining(secured, self.loop, transport))
        if early:
            self.data_received(bytes(early))

    def _begin(self, joining: Joining) -> None:
        transport = cast(asyncio.Transport, joining)
        super().connection_made(transport)
        self._looking = self.loop.call_later(_FOR_READING, self._look, False)
        if len(self.connections) > _MOST_CONNECTIONS:
            self.connections.discard(self)  # with TLS it ends only when the client says so
            _answer(transport, "503 Service Unavailable", "Too many connections: try again soon.", "retry-after: 5\r\n")
        else:
            self._wait()

    def data_received(self, data: bytes) -> None:
        if self._early is not None:
            self._early += data
            return
        if self.transport.is_closing():  # what came together with the last of TLS: it has been refused
            return
        super().data_received(data)
        if self._is_taken_over or self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self._wait_no_more()
        else:  # the head goes on, or a body that is answered already: neither may go on for ever
            self._wait()

    def handle_websocket_upgrade(self, *event: Any) -> None:
        self._is_taken_over = True
        self._forget()
        self.transport = cast(Joining, self.transport).bare
        super().handle_websocket_upgrade(*event)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._leaving = self.loop.call_later(_FOR_READING, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._leaving is not None:
            self._leaving.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _forget(self) -> None:
        """Let no time run any more."""
        self._wait_no_more()
        for timer in (self._leaving, self._looking):
            if timer is not None:
                timer.cancel()

    def _wait(self) -> None:
        """Let the time run, unless it does already."""
        if self._hanging_up is None:
            self._hanging_up = self.loop.call_later(_FOR_HEAD, self._hang_up)

    def _wait_no_more(self) -> None:
        if self._hanging_up is not None:
            self._hanging_up.cancel()
            self._hanging_up = None

    def _look(self, was_closing: bool) -> None:
        """Leave a client for whom a connection is kept that is closed but for what it does not take of it."""
        if was_closing:
            self.transport.abort()
        else:
            self._looking = self.loop.call_later(_FOR_READING, self._look, self.transport.is_closing())

    def _hang_up(self) -> None:
        if not self.transport.is_closing():
            _answer(self.transport, "408 Request Timeout", f"The request has not come within {_FOR_HEAD:g} s.")


def _answer(transport: asyncio.Transport, status: str, text: str, header: str = "") -> None:
    """Answer without asking the application, and hang up."""
    head = f"HTTP/1.1 {status}\r\n{header}content-type: text/plain; charset=utf-8\r\ncontent-length: {len(text)}\r\n"
    transport.write(f"{head}connection: close\r\n\r\n{text}".encode("ascii"))
    transport.close()


class _H11(_Limited, H11Protocol):
    """Uvicorn's, which is told by its settings how long headers may be."""

    def send_400_response(self, msg: str) -> None:
        try:
            super().send_400_response(msg)
        except LocalProtocolError:  # an answer has begun
            self.transport.close()


parser: type[asyncio.Protocol] = _H11
"""What uvicorn is to use."""
try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError:  # it has no wheel for this machine
    pass
else:

    class _HttpTools(_Limited, HttpToolsProtocol):  # type: ignore[misc]
        """Uvicorn's, which alone would keep headers and trailers of any length."""

        _unfinished = 0
        """Bytes that have come since the last piece of a body, or the last whole request."""
        _kept = 0
        """Bytes of the request's address, headers and trailers so far."""

        def data_received(self, data: bytes) -> None:
            is_early = self._early is not None  # it comes again
            self._unfinished += 0 if is_early else len(data)
            super().data_received(data)
            if self._unfinished > MOST_HEAD and not self._is_taken_over and not self.transport.is_closing():
                self.send_400_response("The request's headers are too long.")

        def on_message_begin(self) -> None:
            self._kept = 0
            super().on_message_begin()

        def on_url(self, url: bytes) -> None:
            self._keep(len(url))
            super().on_url(url)

        def on_header(self, name: bytes, value: bytes) -> None:
            self._keep(len(name) + len(value))
            super().on_header(name, value)

        def _keep(self, length: int) -> None:
            self._kept += length
            if self._kept > MOST_HEAD:
                raise ValueError("too long, though it came at once")  # which Uvicorn answers with 400

        def on_body(self, body: bytes) -> None:
            self._unfinished = 0
            super().on_body(body)

        def on_message_complete(self) -> None:
            self._unfinished = 0
            super().on_message_complete()

    parser = _HttpTools


def speaking(context: ssl.SSLContext | None) -> type[asyncio.Protocol]:
    """Return what uvicorn is to use, with TLS where there is a context."""
    return parser if context is None else type("Secured", (parser,), {"context": context})
