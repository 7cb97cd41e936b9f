"""The process of one job: the very command, `birefvideo matte … --json`, and what it tells of its progress.

The command stops as by Ctrl-C when its stdin closes, which happens when the server closes it or is gone.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from birefvideo.with_parent import STOP_WITH_STDIN

Event = dict[str, Any]
"""What a line says: its kind in "event", and more: planned, frame, warning, finishing, finished, failed, log."""

PROGRAM = (sys.executable, "-m", "birefvideo")
"""What runs a command line."""
_LINE = 16 << 20
_NICENESS = 5
"""How far a job steps back behind whoever sits at the machine, and behind the server's answers."""
_TO_STOP = 40.0
"""Seconds that a job has to stop cleanly: a batch of a large network on a CPU takes that long."""


class Child:
    """A job's process, from its start on.

    Args:
        words: the command line behind `birefvideo`.
        folder: where it runs; nothing that clients name is in it.
        held: a descriptor that it keeps open until it ends.
        on_event: is called with each event.
    """

    def __init__(self, words: Sequence[str], folder: Path, held: int, on_event: Callable[[Event], None]) -> None:
        self._words = words
        self._folder = folder
        self._held = held
        self._on_event = on_event
        self._process: asyncio.subprocess.Process | None = None
        self._is_to_stop = False

    async def run(self, seconds: float | None = None) -> int | None:
        """Run it to its end; return its exit code, or None where it had to be stopped after `seconds`.

        When this is cancelled, the job is stopped, and can go on later.
        """
        self._process = process = await asyncio.create_subprocess_exec(
            *(*PROGRAM, *self._words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self._folder,
            env={**environment(), STOP_WITH_STDIN: "1", "BIREFVIDEO_NO_CONFIG": "1"},
            limit=_LINE,
            start_new_session=True,  # Ctrl-C in a terminal is for the server alone, which stops it
            creationflags=getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),  # of Windows
            pass_fds=(self._held,) if os.name == "posix" else (),
        )
        _step_back(process.pid)
        assert process.stdout is not None
        assert process.stderr is not None
        reading = asyncio.gather(self._read(process.stdout, _event), self._read(process.stderr, _log))
        try:
            if self._is_to_stop:
                await self.stop()
            await asyncio.wait_for(asyncio.shield(reading), seconds)
            return await process.wait()
        except (TimeoutError, asyncio.TimeoutError):
            await self.stop()
            return None
        finally:
            await self.stop()
            await asyncio.wait([asyncio.ensure_future(reading)], timeout=5)
            reading.cancel()

    async def stop(self) -> None:
        """Stop it as Ctrl-C does, and wait until it is gone."""
        process, self._is_to_stop = self._process, True
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(asyncio.shield(process.wait()), _TO_STOP)
        except (TimeoutError, asyncio.TimeoutError):
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _read(self, stream: asyncio.StreamReader, meaning: Callable[[str], Event]) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # longer than any line of ours
                continue
            if not line:
                return
            if text := line.decode(errors="replace").strip():
                self._on_event(meaning(text))


def _step_back(process: int) -> None:
    """Let a process that has just begun, and what it starts, take the processor only where nobody else wants it."""
    if sys.platform != "win32":
        with suppress(OSError):  # it is gone already
            os.setpriority(os.PRIO_PROCESS, process, os.getpriority(os.PRIO_PROCESS, 0) + _NICENESS)


def environment() -> dict[str, str]:
    """Return the environment of a process that is started: without the server's secrets, and finding this package."""
    values = {name: value for name, value in os.environ.items() if name != "BIREFVIDEO_TOKEN"}
    root = Path(__file__).parents[2]
    if root.name not in ("site-packages", "dist-packages"):  # the source, which may lie in the current folder
        values["PYTHONPATH"] = os.pathsep.join(filter(None, (str(root), values.get("PYTHONPATH"))))
    return values


def _event(text: str) -> Event:
    try:
        found = json.loads(text)
    except ValueError:
        return _log(text)
    return found if isinstance(found, dict) and isinstance(found.get("event"), str) else _log(text)


def _log(text: str) -> Event:
    return {"event": "log", "message": text.removeprefix("birefvideo: ")}
