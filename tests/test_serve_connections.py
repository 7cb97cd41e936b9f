"""How `birefvideo serve` treats those who connect: slow ones, silent ones, too many, and broken requests."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra birefvideo[serve] is not installed")
pytest.importorskip("httpx", reason="the extra birefvideo[serve] is not installed")

from services import answering, echo
from studios import connected, listening, sent, stand_in
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from birefvideo.serve import bodies, http_parsers
from birefvideo.serve.api import Api
from birefvideo.serve.http_parsers import MOST_HEAD
from birefvideo.serve.log import shown_log
from birefvideo.serve.services import runware

GET = b"GET /quick HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /whole HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\n"
CLOSE = b"Connection: close\r\n"
SHORT = 0.3
LARGE = 16 << 20
"""Bytes that no system keeps for a connection."""
Use = Callable[[int], Awaitable[None]]


async def _app(scope: dict[str, Any], receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    """Answers /whole once the body is there, /slow after a while, /large with much, and all others at once."""
    if scope["type"] == "websocket":
        await echo(receive, send)
        return
    if scope["path"] == "/whole":
        while (await receive()).get("more_body"):
            pass
    elif scope["path"] == "/slow":
        await asyncio.sleep(3 * SHORT)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def _parsing(name: str, app: Any) -> AbstractAsyncContextManager[int]:
    parser = {"h11": http_parsers._H11, "httptools": http_parsers._HttpTools}[name]
    return answering(app, parser, timeout_keep_alive=9)


def _run(name: str, use: Use, app: Any = _app) -> None:
    async def whole() -> None:
        async with _parsing(name, app) as port:
            await use(port)

    asyncio.run(whole())


both = pytest.mark.parametrize("name", ["h11", "httptools"])


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_parsers, "_FOR_HEAD", SHORT)


async def _trickled(port: int, first: bytes, piece: bytes) -> bytes:
    """Sends bytes, then a few again and again; returns what comes back until the other side hangs up."""

    async def trickle(writer: asyncio.StreamWriter) -> None:
        while True:
            await asyncio.sleep(SHORT / 4)
            writer.write(piece)

    async with connected(port) as (reader, writer):
        writer.write(first)
        task = asyncio.create_task(trickle(writer))
        found = b""
        with suppress(ConnectionResetError):  # by a piece that came after the end
            while come := await asyncio.wait_for(reader.read(1 << 16), 20):
                found += come
        task.cancel()
        return found


@both
def test_who_never_ends_a_request_s_headers_is_hung_up_on(name: str, short: None) -> None:
    async def use(port: int) -> None:
        for first, piece in ((b"", b""), (GET, b""), (GET, b"X: y\r\n"), (b"G", b"")):
            answer = await _trickled(port, first, piece)
            assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n"), (first, piece, answer)
            assert answer.endswith(b"The request has not come within 0.3 s.")
        assert (await _trickled(port, b"", b"\r\n")).startswith((b"HTTP/1.1 408", b"HTTP/1.1 400"))
        half = await _trickled(port, GET + b"\r\n" + GET + b"X: ", b"z")
        assert (half.count(b"200 OK"), half.count(b"408 Request Timeout")) == (1, 1)

    _run(name, use)


@both
def test_a_body_that_is_answered_already_may_not_go_on_for_ever(name: str, short: None) -> None:
    async def use(port: int) -> None:
        head = GET.replace(b"GET", b"POST") + b"Content-Length: 1000000\r\n\r\n"
        answer = await _trickled(port, head, b"z")
        assert (answer.count(b"200 OK"), answer.count(b"408")) == (1, 1)

    _run(name, use)


@both
def test_slow_answers_slow_bodies_and_waiting_between_requests_are_let_be(name: str, short: None) -> None:
    async def use(port: int) -> None:
        slow = GET.replace(b"quick", b"slow") + b"\r\n"
        async with connected(port) as (reader, writer):
            for request in (GET + b"\r\n", slow, slow + GET[:20], GET[20:] + b"\r\n"):
                writer.write(request)
                assert (await reader.readuntil(b"\r\n\r\nok")).startswith(b"HTTP/1.1 200 OK\r\n")
                if not request.endswith(GET[:20]):  # half a request is no waiting
                    await asyncio.sleep(2 * SHORT)
            writer.write(POST)
            for _ in range(8):
                await asyncio.sleep(SHORT / 4)
                writer.write(b"z")
            assert (await reader.readuntil(b"\r\n\r\nok")).startswith(b"HTTP/1.1 200 OK\r\n")
        async with connect(f"ws://127.0.0.1:{port}/") as client:
            await asyncio.sleep(3 * SHORT)
            await client.send("still here")
            assert await client.recv() == "still here"

    _run(name, use)


@both
def test_more_connections_than_there_may_be_are_refused_until_one_ends(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_parsers, "_MOST_CONNECTIONS", 2)

    async def use(port: int) -> None:
        async with connected(port) as (_, one):
            async with connected(port) as (_, two):
                one.write(GET[:9])
                two.write(GET[:9])
                answer = await sent(port, b"")
                assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\n")
            while not (await sent(port, GET + CLOSE + b"\r\n")).startswith(b"HTTP/1.1 200 OK\r\n"):
                await asyncio.sleep(0.01)

    _run(name, use)


@both
def test_headers_may_be_so_long_and_no_longer(name: str) -> None:
    trailers = b"Transfer-Encoding: chunked\r\n" + CLOSE + b"\r\n2\r\nok\r\n0\r\n"

    async def use(port: int) -> None:
        for size, status in ((MOST_HEAD - 1000, b"200"), (2 * MOST_HEAD, b"400"), (40 * MOST_HEAD, b"400")):
            header = b"X: " + b"y" * size + b"\r\n"
            for request in (
                GET + header + CLOSE + b"\r\n",
                GET + b"X: y\r\n" * (size // 6) + CLOSE + b"\r\n",
                b"GET /?" + b"y" * size + b" HTTP/1.1\r\nHost: localhost\r\n" + CLOSE + b"\r\n",
                GET.replace(b"GET", b"POST").replace(b"quick", b"whole") + trailers + header + b"\r\n",
            ):
                async with connected(port) as (reader, writer):
                    writer.write(request)
                    answer = await asyncio.wait_for(reader.read(12), 20)
                    assert answer == b"HTTP/1.1 " + status, (size, request[:50])

    _run(name, use)


@both
@pytest.mark.parametrize("at_once", [True, False])
def test_who_takes_nothing_of_an_answer_is_left(name: str, at_once: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_parsers, "_FOR_READING", SHORT)
    ended: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % LARGE)]})
        if at_once:  # all that is left is the buffer, of a connection that is closed
            await send({"type": "http.response.body", "body": bytes(LARGE)})
        else:
            for left in reversed(range(LARGE >> 20)):
                await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": left > 0})
        ended.append(True)

    async def use(port: int) -> None:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
            client.send(GET + (CLOSE if at_once else b"") + b"\r\n")
            if not at_once:
                await asyncio.sleep(SHORT / 3)
                client.send(b"G")  # asking for more is no taking
            while not ended:
                await asyncio.sleep(SHORT / 10)
            await asyncio.sleep(4 * SHORT)
            taken = 0
            while piece := await asyncio.get_running_loop().sock_recv(client, 1 << 20):
                taken += len(piece)
            assert 0 < taken < LARGE

    _run(name, use, app)


FORM = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
BROKEN = {
    "no request": b"\0\1\2\r\n\r\n",
    "another version": b"GET / HTTP/9.9\r\n\r\n",
    "no address": b"GET http://[::1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "another protocol": b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n",
    "no form": FORM + CLOSE + b"Content-Length: 7\r\n\r\nno form",
    "a header without an end": FORM + CLOSE + b"Content-Length: 8\r\n\r\n--x\r\nA\r\n",
    "a wrong piece": FORM + CLOSE + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_request_is_answered_and_shows_nothing_in_the_terminal(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch)

    async def use() -> None:
        async with listening(tmp_path / "data") as (port, _):
            assert (await sent(port, BROKEN[what])).startswith(b"HTTP/1.1 ")

    with shown_log():
        asyncio.run(use())
    assert capfd.readouterr() == ("", "")


def test_a_fault_of_ours_is_shown_with_its_place(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    nothing_logged_as_error: list[str],
) -> None:
    stand_in(monkeypatch)

    async def broken(api: Api, request: object) -> None:
        raise KeyError("a fault")

    monkeypatch.setattr(Api, "health", broken)

    async def use() -> None:
        async with listening(tmp_path / "data") as (port, _):
            answer = await sent(port, GET.replace(b"/quick", b"/v1/health") + CLOSE + b"\r\n")
            assert answer.startswith(b"HTTP/1.1 500 ")

    with shown_log():
        asyncio.run(use())
        logging.getLogger("birefvideo.serve.keeper").warning("what is too old could not be removed")
        logging.getLogger("birefvideonot").error("a part of whom nothing is said")
    nothing_logged_as_error.clear()
    shown = capfd.readouterr().err
    assert "KeyError: 'a fault'" in shown
    assert shown.endswith("birefvideo: what is too old could not be removed\n")


def test_a_socket_on_which_nobody_shows_the_token_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch)
    monkeypatch.setattr(runware, "_TO_SHOW_TOKEN", 1.0)  # within which the other one shows it, however busy the machine
    known = '[{"taskType": "authentication", "apiKey": "a-good-token"}]'

    async def use() -> None:
        async with (
            listening(tmp_path / "data", token="a-good-token") as (port, _),
            connect(f"ws://127.0.0.1:{port}/v1") as silent,
            connect(f"ws://127.0.0.1:{port}/v1") as good,
        ):
            await good.send(known)
            assert "connectionSessionUUID" in str(await good.recv())
            with pytest.raises(ConnectionClosed) as caught:
                while True:
                    await silent.send('[{"taskType": "ping"}]')
                    assert "authenticate first" in str(await silent.recv())
                    await asyncio.sleep(SHORT / 4)
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 4401
            await good.send('[{"taskType": "ping"}]')
            assert "pong" in str(await good.recv())

    asyncio.run(use())


@pytest.mark.parametrize("kind", ["application/octet-stream", "multipart/form-data; boundary=x", "application/json"])
def test_a_body_of_a_few_bytes_a_minute_is_refused_and_nothing_of_it_stays(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    monkeypatch.setattr(bodies, "_PATIENCE", SHORT)
    monkeypatch.setattr(http_parsers, "_FOR_HEAD", SHORT)
    head = f"POST /v1/jobs?name=a.mp4 HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
    form = b'--x\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n\r\n'

    async def use() -> None:
        async with listening(tmp_path / "data") as (port, _):
            first = f"{head}Content-Length: 100000\r\n\r\n".encode() + (form if "form" in kind else b"")
            answer = await _trickled(port, first, b" ")
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b'"too_slow"' in answer
            kept = [path for place in ("incoming", "uploads", "jobs") for path in (tmp_path / "data" / place).iterdir()]
            assert not kept

    asyncio.run(use())


def test_a_body_that_comes_slowly_but_comes_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch)
    monkeypatch.setattr(bodies, "_PATIENCE", 1.0)
    monkeypatch.setattr(bodies, "_LEAST", 2)
    head = b"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nContent-Type: video/mp4\r\nContent-Length: 16\r\n\r\n"

    async def use() -> None:
        async with listening(tmp_path / "data") as (port, _), connected(port) as (reader, writer):
            writer.write(head)
            for _ in range(16):
                await asyncio.sleep(0.08)
                writer.write(b"z")
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 201 ")

    asyncio.run(use())
