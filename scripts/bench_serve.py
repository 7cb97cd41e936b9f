"""Measure `birefvideo serve`: its overhead over the command, status under many pollers, memory in an upload, kills.

    python scripts/bench_serve.py CLIP [--end 2] [--kills 20] [--pollers 50] [--upload-mb 1000]

Needs the extra birefvideo[serve], and Linux for the memory.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx


class Server:
    """A server in a process of its own."""

    def __init__(self, data: Path) -> None:
        command = [sys.executable, "-u", "-m", "birefvideo", "serve", "--port=0", f"--data={data}"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.at = self.process.stdout.readline().split()[-1].rstrip("/")

    def stop(self, *, kill: bool = False) -> None:
        (self.process.kill if kill else self.process.terminate)()
        self.process.wait()

    @property
    def peak_memory(self) -> int:
        """Peak resident kilobytes so far."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


async def send(client: httpx.AsyncClient, clip: Path, end: str) -> str:
    files = {"video": (clip.name, clip.read_bytes())}
    answer = await client.post("/v1/jobs", files=files, data={"to": "green", "end": end})
    answer.raise_for_status()
    return str(answer.json()["id"])


async def ended(client: httpx.AsyncClient, key: str) -> dict[str, Any]:
    while True:
        job: dict[str, Any] = (await client.get(f"/v1/jobs/{key}")).json()
        if job["ended"]:
            assert job["status"] == "succeeded", job["error"]
            return job
        await asyncio.sleep(0.1)


async def overhead(client: httpx.AsyncClient, clip: Path, end: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        words = ["matte", "--json", "--to=green", f"--end={end}", f"--out={folder}/", str(clip)]
        alone, served = [], []
        await ended(client, await send(client, clip, "0.1"))  # starts the helper
        for _ in range(3):
            started = time.perf_counter()
            again = [sys.executable, "-m", "birefvideo", *words, "--overwrite"]
            subprocess.run(again, check=True, stdout=subprocess.DEVNULL)
            alone.append(time.perf_counter() - started)
            started = time.perf_counter()
            await ended(client, await send(client, clip, end))
            served.append(time.perf_counter() - started)
    print(f"command {min(alone):.2f} s, served {min(served):.2f} s: {100 * (min(served) / min(alone) - 1):+.1f} %")


async def polled(client: httpx.AsyncClient, clip: Path, end: str, pollers: int) -> None:
    started = time.perf_counter()
    await ended(client, await send(client, clip, end))
    quiet = time.perf_counter() - started
    key, times, is_over = await send(client, clip, end), list[float](), False

    async def poll() -> None:
        while not is_over:
            asked = time.perf_counter()
            await client.get(f"/v1/jobs/{key}")
            times.append(time.perf_counter() - asked)
            await asyncio.sleep(0.5)

    started = time.perf_counter()
    tasks = [asyncio.create_task(poll()) for _ in range(pollers)]
    await ended(client, key)
    busy, is_over = time.perf_counter() - started, True
    await asyncio.gather(*tasks)
    p99 = sorted(times)[int(0.99 * len(times))]
    print(f"{pollers} pollers, {len(times)} answers: p99 {1000 * p99:.1f} ms; job {100 * (busy / quiet - 1):+.1f} %")


async def upload(client: httpx.AsyncClient, server: Server, megabytes: int) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(megabytes):
            yield bytes(1 << 20)

    before, started = server.peak_memory, time.perf_counter()
    answer = await client.post("/v1/uploads?name=x.mp4", content=chunks(), headers={"Content-Type": "video/mp4"})
    grown = (server.peak_memory - before) / 1024
    print(
        f"{megabytes} MB in {time.perf_counter() - started:.1f} s, answer {answer.status_code} (it is no clip); "
        f"peak memory {server.peak_memory / 1024:.0f} MB, {grown:+.0f} MB"
    )


async def killed(data: Path, clip: Path, end: str, kills: int) -> None:
    server = Server(data)
    async with httpx.AsyncClient(base_url=server.at, timeout=120) as client:
        key = await send(client, clip, end)
    for number in range(kills):
        await asyncio.sleep(0.5 + 0.37 * number % 5)
        server.stop(kill=True)
        server = Server(data)
    async with httpx.AsyncClient(base_url=server.at, timeout=120) as client:
        job = await ended(client, key)
    server.stop()
    print(f"{kills} kills: {job['status']}, {job['progress']['done']} of {job['progress']['total']} frames")


async def main(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder, "data"))
        limits = httpx.Limits(max_connections=arguments.pollers + 10)
        async with httpx.AsyncClient(base_url=server.at, timeout=120, limits=limits) as client:
            await upload(client, server, arguments.upload_mb)
            await overhead(client, arguments.clip, arguments.end)
            await polled(client, arguments.clip, arguments.end, arguments.pollers)
        server.stop()
        await killed(Path(folder, "killed"), arguments.clip, arguments.end, arguments.kills)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--end", default="2")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--pollers", type=int, default=50)
    parser.add_argument("--upload-mb", type=int, default=1000)
    asyncio.run(main(parser.parse_args()))
