"""How far a running job is: what its callbacks are told after each frame, and how they stop it."""

from __future__ import annotations

import inspect
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from birefvideo.advice.advise import frames_of
from birefvideo.errors import CancelledError, OptionError, named
from birefvideo.jobs.plan import Plan

_LATELY = 64
"""Frames of which the last times are kept, to tell how fast they come."""


@dataclass(frozen=True)
class FrameProgress:
    """How far a job is after one of its frames."""

    source: Path
    """The clip."""
    frame: int
    """Frames that are done, those of an earlier run that was stopped too; fewer than before where a worker was lost."""
    total: int | None
    """Frames of the whole job, about; None where the file does not say."""
    fps: float | None
    """Frames a second of late; None after the first frame."""
    eta: float | None
    """Seconds until the last frame at that pace, about; joining and checking the outputs come after it."""
    segment: int
    """The segment that the frame belongs to, counted from 1."""
    segments: int
    """How many there are."""


OnFrame = Callable[[FrameProgress], object] | Callable[[], object]
"""What callers pass as `progress`."""


def on_frame(function: OnFrame | None) -> Callable[[FrameProgress], object] | None:
    """Return a caller's function as one that takes a `FrameProgress`; one without a required argument is given none.

    Raises:
        OptionError: it cannot be called with one argument or with none.
    """
    if function is None:
        return None
    if not callable(function):
        raise OptionError(f"{named('progress')} is {function!r}: give a function")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of some built-in functions
        return lambda progress: cast(Callable[[], object], function)()
    needed = [p for p in signature.parameters.values() if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    if not needed:
        return lambda progress: cast(Callable[[], object], function)()
    if len(needed) > 1 or needed[0].kind is inspect.Parameter.KEYWORD_ONLY:
        raise OptionError(f"{named('progress')} is {function!r}: give a function of one argument")
    return cast(Callable[[FrameProgress], object], function)


class Meter:
    """Counts the frames of a job, and tells of each.

    Args:
        plan: the job.
        done: frames that an earlier run finished.
        tell: called after each frame; where it returns False, the job is cancelled.
    """

    def __init__(self, plan: Plan, done: int, tell: Callable[[FrameProgress], object]) -> None:
        self.done = done
        self._of_segments: Counter[int] = Counter()
        self._plan = plan
        self._tell = tell
        self._total = total_frames(plan)
        self._times: deque[float] = deque(maxlen=_LATELY)

    def frame(self, segment: int) -> None:
        """Take note of a frame of the segment of that number.

        Raises:
            CancelledError: the job is to end.
        """
        self.done += 1
        self._of_segments[segment] += 1
        self._times.append(time.monotonic())
        if self._tell(self._now(segment)) is False:
            raise cancelled(self._plan.source.path, self.done)

    def lost(self, segment: int) -> None:
        """Take note that a segment must be begun again."""
        self.done -= self._of_segments.pop(segment, 0)

    def _now(self, segment: int) -> FrameProgress:
        took = self._times[-1] - self._times[0]
        fps = (len(self._times) - 1) / took if took > 0 else None
        total = None if self._total is None else max(self._total, self.done)
        return FrameProgress(
            source=self._plan.source.path,
            frame=self.done,
            total=total,
            fps=fps,
            eta=(total - self.done) / fps if fps and total is not None else None,
            segment=segment + 1,
            segments=len(self._plan.segments),
        )


def total_frames(plan: Plan) -> int | None:
    """Return how many frames a job has, about; None where the file does not say."""
    return frames_of(plan.source, plan.span) or None


def cancelled(source: Path, done: int) -> CancelledError:
    """Return the error of a job that was cancelled after so many frames."""
    return CancelledError(
        f"{source.name} was cancelled after {done} frames: the same call goes on from what is finished"
    )
