"""Asks the helper process: starts it when it is needed, ends it when it hangs or nobody needs it any more."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from birefvideo import errors
from birefvideo.serve.child import environment
from birefvideo.serve.faults import RefusedError

_SECONDS = 120.0
"""Time that an answer may take; a clip that is damaged on purpose may keep a library busy for ever."""
_IDLE = 300.0
"""Seconds after which the helper ends, and with it the network that it holds."""
_MOST_WAITING = 8
_ANSWER = 64 << 20
"""Bytes of an answer at most: a picture."""
_KINDS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}


class Desk:
    """One helper, which is asked one thing at a time.

    Args:
        folder: where it runs; nothing is in it.
    """

    def __init__(self, folder: Path, seconds: float = _SECONDS) -> None:
        self._folder = folder
        self._seconds = seconds
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._idle: asyncio.TimerHandle | None = None

    async def ask(self, do: str, **values: Any) -> dict[str, Any]:
        """Return the helper's answer.

        Raises:
            BirefvideoError: what it was asked cannot be done.
            RefusedError: too many ask at the same time, it takes too long, or the file ended it.
        """
        if self._waiting >= _MOST_WAITING:
            raise RefusedError(429, "busy", "too many files are being looked at: try again soon", retry_after=5)
        self._waiting += 1
        try:
            async with self._turn:
                return await self._asked({"do": do, **values})
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """End the helper."""
        if self._idle is not None:
            self._idle.cancel()
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    async def _asked(self, question: dict[str, Any]) -> dict[str, Any]:
        if self._idle is not None:
            self._idle.cancel()
        try:
            process = await self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(question).encode() + b"\n")
            line = await asyncio.wait_for(process.stdout.readline(), self._seconds)
        except (TimeoutError, asyncio.TimeoutError):
            await self.close()
            raise RefusedError(
                422, "bad_input", f"looking at the file took more than {self._seconds:g} s: export it again"
            ) from None
        except (OSError, ValueError):  # it is gone, or answered more than there is room for
            line = b""
        except BaseException:  # the client is gone: its answer must not be taken for the next one's
            await self.close()
            raise
        if not line.endswith(b"\n"):
            await self.close()
            raise RefusedError(422, "bad_input", "looking at the file ended the program that did: export it again")
        self._idle = asyncio.get_running_loop().call_later(_IDLE, lambda: asyncio.ensure_future(self._rest()))
        answer = json.loads(line)
        if "answer" in answer:
            found: dict[str, Any] = answer["answer"]
            return found
        kind = _KINDS.get(answer["error"])
        if kind is None:
            raise RefusedError(500, "failed", answer["message"])
        raise kind(answer["message"])

    async def _rest(self) -> None:
        if not self._turn.locked():
            async with self._turn:
                await self.close()

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "birefvideo.serve.helper"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                cwd=self._folder,
                env=environment(),
                limit=_ANSWER,
                start_new_session=True,  # Ctrl-C in a terminal is for the server alone
            )
        return self._process
