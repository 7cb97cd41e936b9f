"""Processes that are to be workers, begun before it is known what for: what all of them load takes seconds."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from birefvideo.memory import free_memory

_BYTES = 1 << 30
"""Free memory for each process that is begun before it is known how much its network takes."""


class Blank:
    """A process that has begun; it ends with the one that began it."""

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.asks, asks = spawn.Pipe()
        self.orders, orders = spawn.Pipe()
        self.process = spawn.Process(target=_begin, args=(asks, orders), daemon=True, name="birefvideo worker")
        with _without_main(), _without_ctrl_c():
            self.process.start()
        asks.close()
        orders.close()

    def end(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.join()


class Blanks:
    """Those that wait for someone to need them.

    Args:
        count: how many are begun now.
    """

    def __init__(self, count: int = 0) -> None:
        self._waiting = [Blank() for _ in range(count)]

    def taken(self) -> Blank:
        """Return one that waits, or a new one."""
        while self._waiting:
            blank = self._waiting.pop(0)
            if blank.process.is_alive():
                return blank
        return Blank()

    def close(self) -> None:
        """End those that wait."""
        while self._waiting:
            self._waiting.pop().end()


def early(count: int) -> int:
    """Return how many of so many workers may begin before it is known what memory they take."""
    free = free_memory()
    return count if count < 2 else max(1, min(count, os.cpu_count() or 1, count if free is None else free // _BYTES))


def begun_for(device: str) -> Blanks:
    """Begin workers for the text of a device, where it asks for several; to check it would take torch, and seconds."""
    word, _, number = device.partition(":")
    is_shared = word == "cpu" and number.isdecimal() and len(number) < 4
    count = int(number) if is_shared else device.count(",") + 1
    return Blanks(early(count) if count > 1 else 0)


@contextmanager
def _without_main() -> Iterator[None]:
    """Keep a process that is started from running the caller's script once more: it needs nothing of it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Start processes that a terminal's Ctrl-C does not reach: their parent ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(asks: Connection, orders: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from birefvideo.jobs.worker_process import serve

    serve(asks, orders)
