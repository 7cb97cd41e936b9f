"""What changes while a job runs, and who waits for it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

ANY = ""
"""Stands for all jobs."""


class Changes:
    """Numbers the changes of jobs, and wakes those who wait for the next one."""

    def __init__(self) -> None:
        self._last = 0
        self._changed: dict[str, int] = {}
        self._forgotten = 0
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    def count(self, key: str) -> int:
        """Return the number of a job's last change: another one whenever it has changed, or is there no more."""
        return self._changed.get(key, self._forgotten)

    def tell(self, key: str) -> None:
        """Say that a job has changed."""
        self._last += 1
        for one in (key, ANY):
            self._changed[one] = self._last
            for future in self._waiting.pop(one, ()):
                if not future.done():
                    future.set_result(None)

    async def after(self, key: str, seen: int, seconds: float | None = None) -> int:
        """Wait until another change of a job than `seen` is its last one, or the time is over; return its number."""
        if self.count(key) == seen:
            future = asyncio.get_running_loop().create_future()
            waiting = self._waiting.setdefault(key, set())
            waiting.add(future)
            try:
                with suppress(TimeoutError, asyncio.TimeoutError):
                    await asyncio.wait_for(future, seconds)
            finally:
                waiting.discard(future)
                if not waiting and self._waiting.get(key) is waiting:
                    del self._waiting[key]
        return self.count(key)

    def tell_all(self) -> None:
        """Wake everybody who waits."""
        for key in list(self._waiting):
            self.tell(key)

    def forget(self, key: str) -> None:
        """Keep nothing of a job that is gone, after telling those who wait."""
        self.tell(key)
        self._changed.pop(key, None)
        self._forgotten = self._last
