"""Handing out the segments of a job to workers: whoever is free takes the next, so that the slowest sets no limit.

A worker that dies gives its segment back, to be the next. An error that a worker reports is the job's.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic

from birefvideo.errors import DeviceError, named
from birefvideo.jobs.engines import Made, Work
from birefvideo.jobs.hands import Done, Failed, Frames, H, Hands, Lost, Ready
from birefvideo.jobs.plan import Segment
from birefvideo.jobs.progress import Meter
from birefvideo.matting.predict import PredictReport

_NUMBERS = itertools.count()
"""Tells works apart: a worker may have been loading its network while others did all of the last one."""


@dataclass
class Deal(Generic[H]):
    """One work, and those who do it."""

    makers: Hands[H]
    """What hears them."""
    hands: list[H]
    """Those who live."""
    meter: Meter
    """Counts frames."""
    told: Callable[[str], object]
    """Takes a line on each worker that is lost."""
    reports: dict[str, PredictReport] = field(default_factory=dict)
    """What each network did, by the name of its worker."""
    _waiting: deque[Segment] = field(default_factory=deque)
    _under_way: dict[str, Segment] = field(default_factory=dict)
    _free: list[H] = field(default_factory=list)

    def done(self, work: Work, segments: Sequence[Segment]) -> Generator[tuple[Segment, Made], None, None]:
        """Yield segments as they are done.

        Raises:
            DeviceError: all workers are lost.
            BirefvideoError: a worker met it.
            CancelledError: whoever follows the job wants an end.
        """
        self._waiting.extend(segments)
        number = next(_NUMBERS)
        for hand in self.hands:
            hand.begin(work, number)
        while self._waiting or self._under_way:
            for hand, answer in self.makers.wait(self.hands):
                if isinstance(answer, Ready | Failed) and answer.number not in (None, number):
                    continue  # to a work that others have done: its folder may be gone
                if isinstance(answer, Failed):
                    raise answer.error
                if isinstance(answer, Lost):
                    self._lose(hand, answer.reason)
                elif isinstance(answer, Frames):
                    for _ in range(answer.count):
                        self.meter.frame(self._under_way[hand.name].number)
                else:
                    finished = self._under_way.pop(hand.name, None)
                    self._free.append(hand)
                    self._hand_out()  # before others are told: nobody waits while parts are sealed
                    if isinstance(answer, Done) and finished is not None:
                        self.reports[hand.name] = answer.predicted
                        yield finished, answer.made

    def _hand_out(self) -> None:
        while self._waiting and self._free:
            hand, segment = self._free.pop(0), self._waiting.popleft()
            self._under_way[hand.name] = segment
            hand.do(segment.number)

    def _lose(self, hand: H, reason: str) -> None:
        self.hands.remove(hand)
        self._free = [one for one in self._free if one is not hand]
        segment = self._under_way.pop(hand.name, None)
        if segment is not None:
            self.meter.lost(segment.number)
            self._waiting.appendleft(segment)
        if not self.hands:
            raise DeviceError(
                f"no worker is left: the one on {hand.name} {reason}; the same command goes on from what is finished, "
                f"best with fewer workers ({named('device')})"
            )
        others = "others do its segment" if segment is not None else "the others go on"
        self.told(f"the worker on {hand.name} {reason}: {others}")
        self._hand_out()


def in_all(reports: Sequence[PredictReport], device: str) -> PredictReport:
    """Return what several networks did together."""
    busy = [report for report in reports if report.size is not None] or list(reports)
    return replace(
        busy[0],
        device=device,
        frames=sum(report.frames for report in busy),
        out_of_memory=[batch for report in busy for batch in report.out_of_memory],
        not_captured=next((report.not_captured for report in busy if report.not_captured), ""),
    )
