"""What changes while a job runs, and who waits for it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

ANY = ""
"""Stands for all jobs."""


class Changes:
    """Counts the changes of each job, and wakes those who wait for the next one."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    def count(self, key: str) -> int:
        """Return how often a job has changed."""
        return self._counts.get(key, 0)

    def tell(self, key: str) -> None:
        """Say that a job has changed."""
        for one in (key, ANY):
            self._counts[one] = self.count(one) + 1
            for future in self._waiting.pop(one, ()):
                if not future.done():
                    future.set_result(None)

    async def after(self, key: str, seen: int, seconds: float | None = None) -> int:
        """Wait until a job has changed more than `seen` times, or the time is over; return how often it has."""
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
        """Drop the count of a job that is gone, after telling those who wait."""
        self.tell(key)
        self._counts.pop(key, None)
