"""A studio of `birefvideo serve` inside a test: no network, and stand-ins for the processes that it starts."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from birefvideo.serve import child
from birefvideo.serve.app import make_app
from birefvideo.serve.desk import Desk
from birefvideo.serve.run import make_server
from birefvideo.serve.settings import Settings
from birefvideo.serve.studio import Studio

COMMAND = Path(__file__).with_name("stand_in_command.py")
FACTS = {"width": 96, "height": 64, "fps": 24.0, "seconds": 0.5, "frames": 12, "is_picture": False}
Use = Callable[[httpx.AsyncClient, Studio], Awaitable[None]]


class _StandIn:
    """Answers as the helper does, without a process."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    async def ask(self, do: str, **values: Any) -> dict[str, Any]:
        self.asked.append({"do": do, **values})
        if do == "probe":
            return FACTS
        return {"device": values.get("options", {}).get("device", "cpu"), "outputs": []}


@asynccontextmanager
async def studio_at(folder: Path, **settings: Any) -> AsyncIterator[tuple[httpx.AsyncClient, Studio]]:
    """A studio in a folder, open, and a client of it."""
    chosen = Settings(data=folder, **settings)
    studio = Studio(chosen)
    app = make_app(chosen, studio)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield client, studio


def stand_in(monkeypatch: pytest.MonkeyPatch) -> _StandIn:
    """Replaces the helper and the command by stand-ins, which take no time; returns that of the helper."""
    found = _StandIn()
    monkeypatch.setattr(child, "PROGRAM", (sys.executable, str(COMMAND)))
    monkeypatch.setattr(Desk, "ask", lambda desk, do, **values: found.ask(do, **values))
    return found


def run(folder: Path, use: Use, **settings: Any) -> None:
    """Runs `use` with a client and a studio, and closes them."""

    async def whole() -> None:
        async with studio_at(folder, **settings) as (client, studio):
            await use(client, studio)

    asyncio.run(whole())


@asynccontextmanager
async def listening(folder: Path, at: int = 0, **settings: Any) -> AsyncIterator[tuple[int, Studio]]:
    """A studio behind the real server, in this process, at a port or a free one; yields its port."""
    chosen = Settings(data=folder, **settings)
    studio = Studio(chosen)
    server = make_server(chosen, studio)
    with socket.create_server(("127.0.0.1", at)) as place:
        task = asyncio.create_task(server.serve(sockets=[place]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield place.getsockname()[1], studio
        finally:
            server.should_exit = True
            await task


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a port of this machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def sent(port: int, data: bytes) -> bytes:
    """Sends bytes to a port of this machine; returns all that comes back until the other side hangs up."""
    async with connected(port) as (reader, writer):
        writer.write(data)
        found = b""
        with suppress(ConnectionResetError):  # it had not read everything when it hung up
            while piece := await asyncio.wait_for(reader.read(1 << 16), 20):
                found += piece
        return found


async def until(studio: Studio, key: str, condition: Callable[[Any], bool], seconds: float = 60) -> Any:
    """Waits until a job is as wanted; returns it."""
    for _ in range(int(seconds / 0.01)):
        if condition(job := studio.job(key)):
            return job
        await asyncio.sleep(0.01)
    raise AssertionError(f"never: {studio.job(key)}")


class Served:
    """A server in a process of its own, as a user starts it; a context manager.

    Args:
        folder: its data.
        words: more of its command line.
    """

    def __init__(self, folder: Path, *words: str) -> None:
        self._command = [sys.executable, "-m", "birefvideo", "serve", "--port=0", f"--data={folder}", *words]

    def __enter__(self) -> Served:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "listens at" in line, line
        self.at = line.split()[-1].rstrip("/")
        """Its address."""
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def kill(self) -> None:
        """Ends it as a power cut does, without a chance to tidy up."""
        self.process.kill()
        self.process.wait(60)
