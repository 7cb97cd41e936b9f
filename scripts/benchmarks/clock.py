"""A run of independent steps under a clock: each writes what it finds at once, and none can spoil another."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path


class Clock:
    """Runs steps until `seconds` are over; all of it goes to `folder`, as JSON lines and as a table.

    A step that fails is told with its error, one that the time left does not allow is told as skipped.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._seconds = seconds
        self._began = time.monotonic()
        self.failed: list[str] = []
        """Steps that did not come to their end."""
        for name in ("results.jsonl", "table.md"):
            (folder / name).write_text("")

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

    def step(self, name: str, needs: float, work: Callable[[], None]) -> None:
        """Run one step where `needs` seconds are left."""
        if self.left() < needs:
            self.note(name, "skipped", needs=needs, left=round(self.left()))
            return
        began = time.monotonic()
        try:
            work()
        except Exception as error:
            self.failed.append(name)
            (self.folder / f"error_{name}.txt").write_text(traceback.format_exc())
            self.note(name, "failed", error=f"{type(error).__name__}: {error}"[:300])
        self.note(name, "took", s=round(time.monotonic() - began, 1))
