"""Measure `birefvideo serve`: its overhead over the command, status under many pollers and at full speed, memory in an
upload, kills, a long queue, and a full disk.

    python scripts/bench_serve.py CLIP [--only overhead|pollers|answers|upload|kills|queue|disk] [--end 2] [--runs 3]
                                       [--kills 20] [--pollers 50] [--upload-mb 1000] [--queued 1000]

It prints a row of a table for each. Needs the extra birefvideo[serve], and Linux for memory and processor time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

_AT_ONCE = 50
"""Answers that each connection asks for, where speed is measured."""


class Server:
    """A server in a process of its own."""

    def __init__(self, data: Path, *words: str) -> None:
        command = [sys.executable, "-u", "-m", "birefvideo", "serve", "--port=0", f"--data={data}", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.at = self.process.stdout.readline().split()[-1].rstrip("/")

    def stop(self, *, kill: bool = False) -> None:
        (self.process.kill if kill else self.process.terminate)()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def peak_memory(self) -> float:
        """Peak resident megabytes so far."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024

    @property
    def cpu(self) -> float:
        """Seconds of processor that it has taken so far, without the jobs and the helper."""
        return time.clock_gettime(~self.process.pid << 3 | 2)  # Linux's name for another process's clock

    def client(self, connections: int = 10) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=connections)
        return httpx.AsyncClient(base_url=self.at, timeout=120, limits=limits)


class Poller(asyncio.Protocol):
    """A connection that asks again and again, and takes next to no time of the machine that is measured."""

    def __init__(self) -> None:
        self._came = b""
        self._answer: asyncio.Future[bytes] | None = None

    @classmethod
    async def to(cls, client: httpx.AsyncClient) -> Poller:
        return (
            await asyncio.get_running_loop().create_connection(cls, client.base_url.host, client.base_url.port or 80)
        )[1]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._came += data
        head, end, body = self._came.partition(b"\r\n\r\n")
        length = int((head.lower().partition(b"content-length:")[2].split(maxsplit=1) or [b"0"])[0])
        if end and len(body) == length and self._answer is not None:
            assert head.lower().startswith((b"http/1.1 200", b"http/1.1 304")), head
            self._came = b""
            self._answer.set_result(body)

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the server has hung up"))

    async def get(self, path: str, header: str = "") -> bytes:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n".encode())
        return await self._answer

    def close(self) -> None:
        self._transport.close()


@asynccontextmanager
async def serving(*words: str) -> AsyncIterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder, "data"), *words)
        try:
            yield server
        finally:
            server.stop()


def row(what: str, found: str) -> None:
    print(f"| {what} | {found} |", flush=True)


async def send(client: httpx.AsyncClient, clip: Path, end: str) -> str:
    files = {"video": (clip.name, clip.read_bytes())}
    answer = await client.post("/v1/jobs", files=files, data={"to": "green", "end": end})
    answer.raise_for_status()
    return str(answer.json()["id"])


async def ended(client: httpx.AsyncClient, key: str) -> dict[str, Any]:
    poller = await Poller.to(client)
    while not (job := json.loads(await poller.get(f"/v1/jobs/{key}")))["ended"]:
        await asyncio.sleep(0.1)
    poller.close()
    assert job["status"] == "succeeded", job["error"]
    return dict(job)


def command(clip: Path, end: str, folder: Path) -> str:
    """Run the command as a job does; return the hash of what it makes."""
    words = ["matte", "--json", "--to=green", f"--end={end}", f"--out={folder}/", str(clip), "--overwrite"]
    subprocess.run([sys.executable, "-m", "birefvideo", *words], check=True, stdout=subprocess.DEVNULL)
    (made,) = folder.glob("*.mp4")
    return sha256(made.read_bytes()).hexdigest()


async def hash_of(client: httpx.AsyncClient, job: dict[str, Any]) -> str:
    """Return the hash of a job's first output."""
    return sha256((await client.get(job["outputs"][0]["url"])).content).hexdigest()


async def overhead(arguments: argparse.Namespace) -> None:
    clip, end, alone, served = arguments.clip, arguments.end, [], []
    async with serving() as server, server.client() as client:
        with tempfile.TemporaryDirectory() as folder:
            await ended(client, await send(client, clip, "0.1"))  # starts the helper
            for _ in range(arguments.runs):
                started = time.perf_counter()
                await asyncio.to_thread(command, clip, end, Path(folder))
                alone.append(time.perf_counter() - started)
                started = time.perf_counter()
                await ended(client, await send(client, clip, end))
                served.append(time.perf_counter() - started)
    more = 100 * (min(served) / min(alone) - 1)
    row(f"one job, best of {arguments.runs}", f"command {min(alone):.2f} s, served {min(served):.2f} s: {more:+.1f} %")


async def pollers(arguments: argparse.Namespace) -> None:
    async with serving() as server, server.client(arguments.pollers + 10) as client:
        await ended(client, await send(client, arguments.clip, "0.1"))  # starts the helper
        quiet, busy, times = [], [], list[float]()
        taken = {"alone": 0.0, "polled": 0.0, "clients": 0.0}
        for _ in range(arguments.runs):
            started, cpu = time.perf_counter(), server.cpu
            await ended(client, await send(client, arguments.clip, arguments.end))
            quiet.append(time.perf_counter() - started)
            taken["alone"] += server.cpu - cpu
            started, cpu, own = time.perf_counter(), server.cpu, time.process_time()
            await polled(client, arguments, times)
            busy.append(time.perf_counter() - started)
            taken["polled"] += server.cpu - cpu
            taken["clients"] += time.process_time() - own
    p99 = 1000 * sorted(times)[int(0.99 * len(times))]
    slower = 100 * (min(busy) / min(quiet) - 1)
    cores = sum(busy) * len(os.sched_getaffinity(0))
    more = taken["polled"] - taken["alone"]
    row(f"{arguments.pollers} clients that ask twice a second", f"{len(times)} answers, p99 {p99:.1f} ms")
    row("the job meanwhile", f"alone {min(quiet):.2f} s, polled {min(busy):.2f} s: {slower:+.1f} %")
    row("processor that the server took for an answer", f"{1000 * more / len(times):.2f} ms")
    shares = [100 * seconds / cores for seconds in (more, taken["clients"])]
    row("of all cores meanwhile", f"the server for answers {shares[0]:.1f} %, the clients {shares[1]:.1f} %")


async def answers(arguments: argparse.Namespace) -> None:
    """Ask how a job is as fast as the server answers, over many connections; with its tag, and without."""
    async with serving() as server, server.client() as client:
        key = await send(client, arguments.clip, "0.1")
        await ended(client, key)
        tag = (await client.get(f"/v1/jobs/{key}")).headers.get("etag")
        connections = [await Poller.to(client) for _ in range(arguments.pollers)]
        for what, header in (("an answer", ""), ("an answer that nothing has changed", f"If-None-Match: {tag}\r\n")):
            found = []
            for _ in range(arguments.runs):
                cpu = server.cpu
                await asyncio.gather(*(repeat(poller, f"/v1/jobs/{key}", header) for poller in connections))
                found.append(1000 * (server.cpu - cpu) / (_AT_ONCE * len(connections)))
            middle = sorted(found)[len(found) // 2]
            row(f"{what}, at full speed", f"{middle:.3f} ms of processor: {1000 / middle:,.0f} a second on one core")
        for poller in connections:
            poller.close()


async def repeat(poller: Poller, path: str, header: str) -> None:
    for _ in range(_AT_ONCE):
        await poller.get(path, header)


async def polled(client: httpx.AsyncClient, arguments: argparse.Namespace, times: list[float]) -> None:
    """Run a job while many ask how it is; add the seconds of each answer to `times`."""
    key, is_over = await send(client, arguments.clip, arguments.end), False

    async def poll(first: float) -> None:
        poller = await Poller.to(client)
        await asyncio.sleep(first)
        while not is_over:
            asked = time.perf_counter()
            await poller.get(f"/v1/jobs/{key}")
            times.append(time.perf_counter() - asked)
            await asyncio.sleep(0.5)
        poller.close()

    count = arguments.pollers
    tasks = [asyncio.create_task(poll(0.5 * number / count)) for number in range(count)]
    await ended(client, key)
    is_over = True
    await asyncio.gather(*tasks)


async def upload(arguments: argparse.Namespace) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(arguments.upload_mb):
            yield bytes(1 << 20)

    async with serving() as server, server.client() as client:
        await client.get("/v1/health")
        before, started = server.peak_memory, time.perf_counter()
        raw = {"content-type": "video/mp4"}
        answer = await client.post("/v1/uploads?name=x.mp4", content=chunks(), headers=raw)
        seconds, after = time.perf_counter() - started, server.peak_memory
    assert answer.status_code == 422, answer.text  # zeros are no clip
    row(f"{arguments.upload_mb} MB sent", f"{seconds:.1f} s; peak memory {before:.0f} MB before, {after:.0f} MB after")


async def kills(arguments: argparse.Namespace) -> None:
    """Kill the server again and again while it works off three jobs; compare what they make with the command's."""
    clip, chance = arguments.clip, random.Random(0)
    ends = [arguments.end, str(float(arguments.end) / 2), arguments.end]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        server = Server(data)
        async with server.client() as client:
            keys = [await send(client, clip, end) for end in ends]
        in_job = 0
        for _ in range(arguments.kills):
            await asyncio.sleep(chance.uniform(0.3, arguments.longest))
            async with server.client() as client:
                in_job += any([(await client.get(f"/v1/jobs/{key}")).json()["status"] == "running" for key in keys])
            server.stop(kill=True)
            server = Server(data)
        async with server.client() as client:
            made = [await hash_of(client, await ended(client, key)) for key in keys]
        server.stop()
        wanted = {end: command(clip, end, Path(folder, end)) for end in set(ends)}
    same = sum(one == wanted[end] for one, end in zip(made, ends, strict=True))
    row(f"{arguments.kills} kills, {in_job} in mid-job", f"{same} of {len(keys)} jobs give the command's bytes")


async def queue(arguments: argparse.Namespace) -> None:
    """Queue many jobs behind one another, each with the same upload; ask how they are; send one more than may wait."""
    count, submitted, asked, listed = arguments.queued, list[float](), list[float](), list[float]()
    async with serving(f"--most-waiting={count}") as server, server.client() as client:
        first = await client.get(f"/v1/jobs/{await send(client, arguments.clip, arguments.end)}")  # starts the helper
        order = {"upload": first.json()["upload"], "to": "green", "end": arguments.end}
        before, keys = server.peak_memory, []
        while (answer := await timed(submitted, client.post("/v1/jobs", json=order))).status_code == 201:
            keys.append(answer.json()["id"])
        assert answer.status_code == 429, answer.text
        assert int(answer.headers["retry-after"]) > 0
        waiting = (await client.get("/v1/health")).json()["waiting"]
        row(f"{len(keys) + 1} jobs sent, of which {waiting} wait or run", f"the next: 429 {answer.json()['error']}")
        half = len(submitted) // 2
        row("a job sent, of the first half", spread(submitted[:half]))
        row("a job sent, of the second half", spread(submitted[half:-1]))
        states = [(await timed(asked, client.get(f"/v1/jobs/{key}"))).json()["status"] for key in keys]
        assert set(states) <= {"queued", "running", "succeeded"}, set(states)
        row("how one is", spread(asked))
        for _ in range(20):
            await timed(listed, client.get("/v1/jobs?limit=500"))
        row("a list of 500", spread(listed))
        row("peak memory of the server", f"{before:.0f} MB before, {server.peak_memory:.0f} MB after")


async def timed(times: list[float], asked: Awaitable[httpx.Response]) -> httpx.Response:
    started = time.perf_counter()
    answer = await asked
    times.append(time.perf_counter() - started)
    return answer


def spread(times: list[float]) -> str:
    ordered = sorted(times)
    return f"median {1000 * ordered[len(ordered) // 2]:.1f} ms, p99 {1000 * ordered[int(0.99 * len(ordered))]:.1f} ms"


async def disk(arguments: argparse.Namespace) -> None:
    """Send files to a server whose disk is nearly, and then quite full; then make room."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", folder], capture_output=True)
        if mounted.returncode:
            row("a full disk", "skipped: only root can mount one")
            return
        try:
            server = Server(Path(folder, "data"))
            try:
                async with server.client() as client:
                    await fill_up(client, Path(folder), arguments.clip, arguments.end)
            finally:
                server.stop()
        finally:
            subprocess.run(["umount", folder], check=True)


async def fill_up(client: httpx.AsyncClient, folder: Path, clip: Path, end: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield bytes(1 << 20)

    async def refused(what: str) -> None:
        answer = await client.post("/v1/uploads?name=x.mp4", content=chunks(), headers={"content-type": "video/mp4"})
        assert answer.status_code == 507, answer.text
        row(what, f"507: {answer.json()['error']['message']}")
        kept = [path for kind in ("incoming", "uploads", "jobs") for path in (folder / "data" / kind).iterdir()]
        assert sorted(path.name for path in kept) == sorted((upload, job["id"])), kept
        assert (await client.get(f"/v1/jobs/{job['id']}")).json()["status"] == "succeeded"

    job = await ended(client, await send(client, clip, end))
    upload = job["upload"]
    filler = folder / "filler"
    filler.write_bytes(bytes(30 << 20))
    await refused("100 MB sent to a disk of 300 MB with less than that to spare")
    with filler.open("ab", buffering=0) as file:
        while True:
            try:
                file.write(bytes(1 << 20))
            except OSError:
                break
    await refused("100 MB sent to a disk without a byte left")
    answer = await client.post("/v1/jobs", json={"upload": upload})
    row("a job then", f"507: {answer.json()['error']['message']}")
    assert answer.status_code == 507, answer.text
    filler.unlink()
    again = await ended(client, await send(client, clip, end))
    row("with room again, the same job", f"{again['status']}, nothing left of what was refused")


PARTS: dict[str, Callable[[argparse.Namespace], Awaitable[None]]] = {
    "overhead": overhead,
    "pollers": pollers,
    "answers": answers,
    "upload": upload,
    "kills": kills,
    "queue": queue,
    "disk": disk,
}


async def main(arguments: argparse.Namespace) -> None:
    row("what", "found")
    row("---", "---")
    for name in [arguments.only] if arguments.only else PARTS:
        await PARTS[name](arguments)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--only", choices=sorted(PARTS))
    parser.add_argument("--end", default="2", help="seconds of the clip")
    parser.add_argument("--runs", type=int, default=3, help="runs of each kind, of which the fastest counts")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--longest", type=float, default=5.0, help="seconds between two kills at most")
    parser.add_argument("--pollers", type=int, default=50)
    parser.add_argument("--upload-mb", type=int, default=1000)
    parser.add_argument("--queued", type=int, default=1000)
    asyncio.run(main(parser.parse_args()))
