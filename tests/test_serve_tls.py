"""How `birefvideo serve --tls` treats connections: hands that are never shaken, and answers that are taken slowly."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra birefvideo[serve] is not installed")
pytest.importorskip("httpx", reason="the extra birefvideo[serve] is not installed")

from services import answering, echo
from studios import connected
from websockets.asyncio.client import connect

from birefvideo.serve import http_parsers, transports
from birefvideo.serve.tls import certificate, speaker

GET = b"GET /quick HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SHORT = 0.3
LARGE = 16 << 20
"""Bytes that no system keeps for a connection."""
Use = Callable[[int, ssl.SSLContext], Awaitable[None]]

both = pytest.mark.parametrize("name", ["h11", "httptools"])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    return certificate(tmp_path_factory.mktemp("certificate") / "tls", "127.0.0.1")


@pytest.fixture
def run(
    name: str, files: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[[Use], None]:
    """Runs a use with the port of a server that speaks TLS, and with who trusts it; nothing is to be shown."""
    monkeypatch.setattr(http_parsers, "parser", {"h11": http_parsers._H11, "httptools": http_parsers._HttpTools}[name])

    async def whole(use: Use) -> None:
        async with _listening(speaker(*files[1:])) as port:
            await use(port, ssl.create_default_context(cafile=str(files[0])))

    def found(use: Use) -> None:
        asyncio.run(whole(use))
        assert capfd.readouterr() == ("", "")

    return found


async def _app(scope: dict[str, Any], receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    """Answers /large with much at once, a WebSocket with what it says, others with their scheme and bytes of body."""
    if scope["type"] == "websocket":
        await echo(receive, send)
        return
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message["body"]), message["more_body"]
    body = bytes(LARGE) if scope["path"] == "/large" else f"{scope['scheme']} {size}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def _listening(context: ssl.SSLContext) -> AbstractAsyncContextManager[int]:
    return answering(_app, http_parsers.speaking(context))


async def _got(port: int, trusting: ssl.SSLContext, request: bytes = GET) -> bytes:
    """What a client gets that asks at once, when hands are shaken."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
    writer.write(request)
    found = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return found


async def _end(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other side hangs up."""
    with suppress(ConnectionResetError):
        return await asyncio.wait_for(reader.read(), 20)
    return b""


@both
def test_requests_and_sockets_come_through(name: str, run: Callable[[Use], None]) -> None:
    async def use(port: int, trusting: ssl.SSLContext) -> None:
        for _ in range(20):
            answer = await _got(port, trusting)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answer.endswith(b"https 0")
        head = GET.replace(b"GET", b"POST")[:-2] + b"Content-Length: 900000\r\n\r\n"
        assert (await _got(port, trusting, head + bytes(900_000))).endswith(b"https 900000")
        async with connect(f"wss://127.0.0.1:{port}/", ssl=trusting) as client:
            await client.send("hello")
            assert await client.recv() == "hello"

    run(use)


@both
def test_hands_that_are_never_shaken_count_and_are_let_go(
    name: str, run: Callable[[Use], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_parsers, "_MOST_CONNECTIONS", 2)
    monkeypatch.setattr(http_parsers, "_FOR_HEAD", 1.0)  # within which the others are tried

    async def use(port: int, trusting: ssl.SSLContext) -> None:
        async with connected(port) as (one, _), connected(port) as (two, writer):
            writer.write(b"\x16\x03\x01")  # the beginning of a handshake, and no more of it
            await asyncio.sleep(SHORT / 10)
            async with connected(port) as (three, _):
                assert await _end(three) == b""
                assert not one.at_eof()
                assert not two.at_eof()
            assert await _end(one) == b""
            assert await _end(two) == b""
        assert (await _got(port, trusting)).endswith(b"https 0")

    run(use)


@both
def test_who_speaks_no_tls_or_does_not_trust_it_is_let_go(name: str, run: Callable[[Use], None]) -> None:
    async def use(port: int, trusting: ssl.SSLContext) -> None:
        async with connected(port) as (reader, writer):
            writer.write(GET)
            assert b"HTTP" not in await _end(reader)
        with pytest.raises(ssl.SSLCertVerificationError):
            await _got(port, ssl.create_default_context())
        async with connected(port):
            pass
        assert (await _got(port, trusting)).endswith(b"https 0")

    run(use)


@both
def test_a_large_answer_is_not_cut_however_slowly_it_is_taken(
    name: str, run: Callable[[Use], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio.constants, "SSL_SHUTDOWN_TIMEOUT", SHORT / 3, raising=False)  # type: ignore[attr-defined]
    monkeypatch.setattr(transports, "_EVERY", SHORT / 10)

    def take(port: int, trusting: ssl.SSLContext) -> int:
        with socket.socket() as bare:
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            bare.connect(("127.0.0.1", port))
            with trusting.wrap_socket(bare, server_hostname="127.0.0.1") as client:
                client.settimeout(20)
                client.sendall(GET.replace(b"quick", b"large"))
                time.sleep(4 * SHORT)
                found = bytearray()
                while piece := client.recv(1 << 20):
                    found += piece
                return len(found.partition(b"\r\n\r\n")[2])

    async def use(port: int, trusting: ssl.SSLContext) -> None:
        assert await asyncio.to_thread(take, port, trusting) == LARGE

    run(use)
