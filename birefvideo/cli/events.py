"""What `--json` and `--progress json` say of a command's jobs: one JSON object a line, as it happens."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birefvideo.cli.printing import errors_go_to, event_line
from birefvideo.errors import OptionError, named, with_flags

if TYPE_CHECKING:
    from birefvideo.jobs.model_identity import ModelIdentity
    from birefvideo.jobs.plan import Plan
    from birefvideo.jobs.progress import FrameProgress
    from birefvideo.jobs.result import Progress, Result

_BETWEEN_FRAMES = 0.1
"""Seconds between two events of frames, but for the first and the last of a job."""


_KINDS = ("bar", "json")
"""What `--progress` takes."""


class Events:
    """Writes the events of a command.

    Args:
        on_stderr: write them there instead of stdout, and the lines of errors as events too.
    """

    def __init__(self, *, on_stderr: bool = False) -> None:
        self.on_stderr = on_stderr
        self._writing = threading.Lock()
        if on_stderr:
            errors_go_to(lambda line: self.say("message", None, message=line))

    def of(self, clip: Path) -> JobEvents:
        """Return what writes the events of the job of one clip."""
        return JobEvents(self, clip)

    def failed(self, item: object, error: BaseException, line: str, exit_code: int) -> None:
        """Say that there is nothing of an input, or of all where `item` is None, and why."""
        name = "Stopped" if isinstance(error, KeyboardInterrupt) else type(error).__name__
        self.say("failed", item, is_last=True, error=name, message=line, exit_code=exit_code)

    def warned(self, item: object, line: str, *, is_loss: bool = False) -> None:
        """Say what the user should know of an input, or of all where `item` is None."""
        self.say("warning", item, message=with_flags(line), loss=is_loss)

    def say(self, event: str, item: object, *, is_last: bool = False, may_drop: bool = False, **facts: Any) -> None:
        """Write one event.

        Args:
            event: its kind.
            item: the input that it concerns, or None.
            is_last: whether nothing more comes of that input: it waits until somebody reads it.
            may_drop: whether it is left out where nobody reads, since the next one says as much.
            **facts: what it says.
        """
        values = {"event": event, "input": None if item is None else str(item), **facts}
        stream = sys.stderr if self.on_stderr else sys.stdout
        with self._writing:
            event_line(values, stream, matters=is_last, may_drop=may_drop)


def events_asked_for(progress: str, *, as_json: bool, plan: bool, preview: bool) -> Events | None:
    """Return what writes events, where the options of a command ask for them.

    Raises:
        OptionError: they contradict each other.
    """
    if progress not in _KINDS:
        raise OptionError(f"{named('progress')} is {progress!r}: give {' or '.join(_KINDS)}")
    is_wanted = as_json or progress == "json"
    if preview and (plan or is_wanted):
        other = named("plan", True) if plan else named("json", True) if as_json else named("progress", "json")
        raise OptionError(f"{named('preview', True)} draws a picture and goes without {other}: leave one of them out")
    return Events(on_stderr=not as_json) if is_wanted else None


class JobEvents:
    """Writes the events of one job."""

    def __init__(self, events: Events, clip: Path) -> None:
        self._events = events
        self._clip = clip
        self._plan: Plan | None = None
        self._told = -math.inf
        self._unsaid: FrameProgress | None = None

    @property
    def progress(self) -> Progress:
        """The callbacks for jobs.run."""
        from birefvideo.jobs.result import Progress

        return Progress(
            self._planned,
            self._frame,
            self._resumed,
            self._stage,
            self._warned,
            self._transfer,
            finishing=self._finishing,
        )

    def finished(self, result: Result) -> None:
        """Say what was made."""
        for warning in dict.fromkeys([*result.losses, *result.warnings]):
            self._warned(warning, is_loss=warning in result.losses)
        self._events.say(
            "finished",
            self._clip,
            is_last=True,
            outputs=[{"path": str(p), "bytes": size} for p, size in zip(result.outputs, result.sizes, strict=True)],
            receipts=[str(path) for path in result.receipts],
            review=None if result.review is None else str(result.review),
            timelines=[str(path) for path in result.timelines],
            frames=result.frames,
            computed=result.computed,
            seconds=round(result.seconds, 3),
            model=result.model,
            device=result.device,
            warnings=[with_flags(line) for line in result.warnings],
            losses=[with_flags(line) for line in result.losses],
            was_done=result.was_done,
        )

    def _planned(self, plan: Plan, model: ModelIdentity) -> None:
        from birefvideo.jobs.plan_facts import plan_facts

        self._plan = plan
        self._events.say("planned", self._clip, **plan_facts(plan, model.reason))

    def _resumed(self, frames: int) -> None:
        assert self._plan is not None
        from birefvideo.jobs.progress import total_frames

        self._say_frame(frames, total_frames(self._plan), None, None, None, len(self._plan.segments))

    def _stage(self, number: int, count: int) -> None:
        self._say_unsaid()
        self._told = -math.inf
        self._events.say("pass", self._clip, number=number, passes=count)

    def _frame(self, progress: FrameProgress) -> None:
        now = time.monotonic()
        if now - self._told < _BETWEEN_FRAMES:
            self._unsaid = progress
            return
        self._told, self._unsaid = now, None
        self._say(progress, may_drop=True)

    def _say(self, at: FrameProgress, *, may_drop: bool = False) -> None:
        self._say_frame(at.frame, at.total, at.fps, at.eta, at.segment, at.segments, may_drop=may_drop)

    def _say_frame(
        self,
        done: int,
        total: int | None,
        fps: float | None,
        eta: float | None,
        segment: int | None,
        segments: int,
        *,
        may_drop: bool = False,
    ) -> None:
        self._events.say(
            "frame",
            self._clip,
            may_drop=may_drop,
            done=done,
            total=total,
            fps=_rounded(fps),
            eta=_rounded(eta),
            segment=segment,
            segments=segments,
        )

    def _transfer(self, kind: str, urls: Sequence[str], size: int | None) -> None:
        self._say_unsaid()
        self._events.say(kind, self._clip, urls=list(urls), bytes=size)

    def _say_unsaid(self) -> None:
        if self._unsaid is not None:
            self._say(self._unsaid)
            self._unsaid = None

    def _finishing(self) -> None:
        self._say_unsaid()
        self._events.say("finishing", self._clip)

    def _warned(self, line: str, *, is_loss: bool = False) -> None:
        self._events.warned(self._clip, line, is_loss=is_loss)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
