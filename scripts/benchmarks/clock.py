"""A run of independent steps under a clock: each writes what it finds at once, and none can spoil another."""

from __future__ import annotations

import faulthandler
import json
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

GRACE = 30.0
"""Seconds after its end at which a run that hangs where nothing can be raised is ended, results kept."""


class StepTimeoutError(Exception):
    """A step has used up its time."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise StepTimeoutError in the main thread after `seconds`, as soon as Python runs there."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise StepTimeoutError(f"its {seconds:.0f} s are over")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Clock:
    """Runs steps until `seconds` are over; all of it goes to `folder`, as JSON lines and as a table.

    A step that fails or takes too long is told with its error, one that the time left does not allow is told as
    skipped. Every result is on file before the next is measured.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._seconds = seconds
        self._began = time.monotonic()
        self.failed: list[str] = []
        """Steps that did not come to their end, and measurements that failed."""
        for name in ("results.jsonl", "table.md"):
            (folder / name).write_text("")

    @contextmanager
    def running(self) -> Iterator[None]:
        """End the process some seconds after the clock, with a trace, where a step hangs outside of Python."""
        faulthandler.dump_traceback_later(self.left() + GRACE, exit=True)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()

    def left(self) -> float:
        """Return the seconds that are left."""
        return self._seconds - (time.monotonic() - self._began)

    def note(self, step: str, what: str, **values: object) -> None:
        """Write one result, flushed, and print it."""
        second = round(time.monotonic() - self._began, 1)
        with (self.folder / "results.jsonl").open("a") as lines:
            print(json.dumps({"second": second, "step": step, "what": what, **values}, default=str), file=lines)
        shown = ", ".join(f"{name} {value}" for name, value in values.items())
        with (self.folder / "table.md").open("a") as table:
            print(f"| {step} | {what} | {shown} |", file=table)
        print(f"{second:6.1f} s  {step}: {what}: {shown}", flush=True)

    def step(self, name: str, limit: float, work: Callable[[], None]) -> None:
        """Run one step for at most `limit` seconds, or for what is left; skip it where less than a quarter is left."""
        left = self.left()
        if left < limit / 4:
            self.note(name, "skipped", limit=limit, left=round(left))
            return
        began = time.monotonic()
        try:
            with limited(min(limit, left)):
                work()
        except Exception as error:
            self._fail(name, name, "failed", error)
        self.note(name, "took", s=round(time.monotonic() - began, 1))

    def row(self, step: str, what: str, measure: Callable[[], dict[str, Any]]) -> None:
        """Note what one measurement of a step gives; where it fails, note that and let the step go on."""
        try:
            values = measure()
        except StepTimeoutError:
            raise
        except Exception as error:
            self._fail(f"{step}: {what}", step, what, error)
        else:
            self.note(step, what, **values)

    def _fail(self, name: str, step: str, what: str, error: Exception) -> None:
        self.failed.append(name)
        with (self.folder / f"error_{step}.txt").open("a") as traces:
            print(f"{name}\n{traceback.format_exc()}", file=traces)
        self.note(step, what, error=f"{type(error).__name__}: {error}"[:300])
