"""A server of `birefvideo serve` on a port of this machine, for clients of its own; its jobs are stand-ins."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from birefvideo.errors import ModelError
from birefvideo.serve import child
from birefvideo.serve.desk import Desk
from birefvideo.serve.http_parsers import MOST_HEAD
from birefvideo.serve.pictures import finish
from birefvideo.serve.run import make_server
from birefvideo.serve.settings import Settings
from birefvideo.serve.studio import Studio
from birefvideo.serve.tls import certificate, speaker

COMMAND = Path(__file__).with_name("stand_in_formats.py")


class Served:
    """A server that runs."""

    def __init__(self, folder: Path, base: str, authority: str) -> None:
        self.folder = folder
        self.base = base
        self.host = base.partition("//")[2]
        self.authority = authority

    def words(self, job: str) -> list[str]:
        """Options that a job was run with."""
        return (self.folder / "jobs" / job / "words.txt").read_text().splitlines()


async def _asked(desk: Desk, do: str, **values: Any) -> dict[str, Any]:
    if do == "probe":
        is_picture = values["path"].endswith((".png", ".jpg", ".webp", "image", "media.png"))
        facts = {"width": 12, "height": 8, "fps": 24.0, "seconds": 0.5, "frames": 12, "is_picture": is_picture}
        return facts
    if do == "picture":
        width, height = finish(**values)
        return {"width": width, "height": height}
    if values.get("options", {}).get("model") not in (None, "auto", "talk"):
        raise ModelError("the weights are not on this machine: run birefvideo models --download NAME")
    return {"device": "cpu", "outputs": []}


@contextmanager
def served(folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Iterator[Served]:
    """A server until the block ends."""
    monkeypatch.setattr(child, "PROGRAM", (sys.executable, str(COMMAND)))
    monkeypatch.setattr(Desk, "ask", _asked)
    chosen = Settings(data=folder, **{"urls": "all", **settings})
    context, authority = None, ""
    if chosen.tls:
        files = certificate(folder.parent / "tls", chosen.host)
        context, authority = speaker(*files[1:]), str(files[0])
    found: list[uvicorn.Server] = []
    place = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        server = make_server(chosen, Studio(chosen), context)
        server.config.timeout_graceful_shutdown = 1
        found.append(server)
        asyncio.run(server.serve(sockets=[place]))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        while not (found and found[0].started):
            assert thread.is_alive()
            thread.join(0.01)
        port = place.getsockname()[1]
        yield Served(folder, f"{'https' if chosen.tls else 'http'}://127.0.0.1:{port}", authority)
    finally:
        if found:
            found[0].should_exit = True
        thread.join()
        place.close()


async def echo(receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    """Take a WebSocket, and say once what it says."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": (await receive())["text"]})


@asynccontextmanager
async def answering(app: Any, http: Any, **options: Any) -> AsyncIterator[int]:
    """Let an app answer at a port of this machine, through one of our parsers, until the block ends."""
    options |= {"h11_max_incomplete_event_size": MOST_HEAD}
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", http=http, **options))
    with socket.create_server(("127.0.0.1", 0)) as place:
        task = asyncio.create_task(server.serve(sockets=[place]))
        while not server.started:
            assert not task.done()
            await asyncio.sleep(0.01)
        try:
            yield place.getsockname()[1]
        finally:
            server.should_exit = True
            await task


def client(module: str, script: str, *words: str, **environment: str) -> Any:
    """What a script with a service's own client prints as JSON; the test is skipped where that is not installed."""
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed: it is in the extra dev")
    values = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={**values, **environment},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Told(dict[str, Any]):
    """What a webhook was told."""

    def __init__(self, raw: bytes, headers: dict[str, str]) -> None:
        super().__init__(json.loads(raw))
        self.raw = raw
        self.headers = headers
        """By their names in small letters."""


@contextmanager
def listening() -> Iterator[tuple[str, list[Told]]]:
    """An address that takes webhooks, and what has come."""
    come: list[Told] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            come.append(Told(self.rfile.read(int(headers["content-length"])), headers))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", come
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
