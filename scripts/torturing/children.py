"""Work in processes of its own, a few at a time: how each ended, what it printed, its time and its memory."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
AT_ONCE = 2
"""Children that run at the same time."""
TIMEOUT = 120.0
"""Seconds that a child may take where nothing else is said."""
_LONGEST_LOOK = 0.5
"""Seconds between two looks at a child beyond which this process was paused."""
FAILED = 99
"""Exit code of a child that ended by an exception."""
_KIB = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Ending:
    """How a child ended."""

    code: int
    """Its exit code, negative for a signal."""
    told: str
    """What it printed."""
    seconds: float
    """How long it ran."""
    taken: int
    """Bytes that it held at most, those that this process held when it began included."""
    is_late: bool = False
    """Whether it was ended because its time was over."""

    @property
    def last_line(self) -> str:
        """The last line that it printed."""
        return (self.told.strip().splitlines() or [""])[-1]


class Child:
    """A process that does something, what it prints in a file.

    Args:
        work: what it does; it may exit with a code. A KeyboardInterrupt exits with 130, another exception with FAILED.
        delay: seconds after which it gets `number`.
        number: a signal, 0: none.
        limit: seconds after which it is killed; those in which this process was paused do not count.
        has_group: whether with all that it starts it is one process group, which gets the signal.
    """

    def __init__(
        self,
        work: Callable[[], object],
        delay: float = 0.0,
        number: int = 0,
        limit: float = TIMEOUT,
        *,
        has_group: bool = False,
    ) -> None:
        sys.stdout.flush()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `ended`
        self._looked, self._seconds = time.monotonic(), 0.0
        self._delay, self._number, self._limit = delay, number, limit
        self._is_late, self._has_group = False, has_group
        self.pid = os.fork()
        if self.pid and has_group:
            with suppress(ProcessLookupError, PermissionError):
                os.setpgid(self.pid, self.pid)  # as the child does: whoever comes first
        if self.pid == 0:
            os._exit(_as_process(work, self._log.fileno(), has_group))

    def ended(self) -> Ending | None:
        """Return how it ended, None while it runs; to be called again and again."""
        done, status, usage = os.wait4(self.pid, os.WNOHANG)
        now = time.monotonic()
        self._seconds += min(now - self._looked, _LONGEST_LOOK)
        self._looked = now
        if not done:
            if self._number and self._seconds > self._delay:
                self._send(self._number)
                self._number = 0
            if self._seconds > self._limit:
                self._is_late = True
                self._send(signal.SIGKILL)
            return None
        if self._has_group:
            self._send(signal.SIGKILL)  # what it has started, such as workers, goes with it
        self._log.seek(0)
        told = self._log.read().decode(errors="replace")
        self._log.close()
        taken = usage.ru_maxrss * _KIB
        return Ending(os.waitstatus_to_exitcode(status), told, self._seconds, taken, self._is_late)

    def wait(self) -> Ending:
        """Return how it ended, once it has."""
        while (ending := self.ended()) is None:
            time.sleep(0.002)
        return ending

    def _send(self, number: int) -> None:
        with suppress(ProcessLookupError):  # it has ended meanwhile
            if self._has_group:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)


def endings(
    works: Iterable[tuple[T, Callable[[], object]]], limit: float, at_once: int = AT_ONCE
) -> Iterator[tuple[T, Ending]]:
    """Do each work in a child, a few at a time; yield what is beside it and how it ended, in the order of ending."""
    running: list[tuple[T, Child]] = []
    waiting = iter(works)
    is_over = False
    while running or not is_over:
        while not is_over and len(running) < at_once:
            following = next(waiting, None)
            if following is None:
                is_over = True
            else:
                running.append((following[0], Child(following[1], limit=limit)))
        for one in list(running):
            ending = one[1].ended()
            if ending is not None:
                running.remove(one)
                yield one[0], ending
        time.sleep(0.002)


def _as_process(work: Callable[[], object], log: int, has_group: bool) -> int:
    if has_group:
        os.setpgid(0, 0)
    for stream in (1, 2):
        os.dup2(log, stream)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", closefd=False) for stream in (1, 2))
    try:
        work()
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 0
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BaseException:
        traceback.print_exc(limit=-5)
        sys.stderr.flush()
        return FAILED
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0
