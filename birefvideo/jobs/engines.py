"""What does the segments of a job: this process, or workers elsewhere; see `crew`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from birefvideo.frames import VideoInfo
from birefvideo.jobs.model_identity import ModelIdentity
from birefvideo.jobs.plan import Plan, Segment
from birefvideo.jobs.progress import Meter
from birefvideo.matting.input_size import InputSize
from birefvideo.matting.predict import Predictor, PredictReport
from birefvideo.pipeline import Matter, SegmentReport


@dataclass(frozen=True)
class Made:
    """What one attempt has made of a segment."""

    report: SegmentReport
    """Of the segment."""
    attempt: str
    """By which the names of its parts are known; see `PartPlaces.part`."""


DoSegment = Callable[[Segment, Callable[[], object]], Made]
"""Writes the unfinished parts of a segment, and calls the function after each frame."""


class Work(Protocol):
    """What is to be done to each segment of a plan; it can be sent to another process."""

    @property
    def plan(self) -> Plan:
        """The plan."""

    def begun(self, predictor: Matter) -> DoSegment:
        """Return what does a segment with a network."""


class Engine(Protocol):
    """Does segments."""

    notes: list[str]
    """What the user should know of it, one line each."""

    @property
    def report(self) -> PredictReport:
        """What the network did so far."""

    def run(
        self, work: Work, segments: Sequence[Segment], meter: Meter, told: Callable[[str], object]
    ) -> Generator[tuple[Segment, Made], None, None]:
        """Do segments; yield each when it is done, in any order.

        Args:
            work: what is done.
            segments: which are to be done.
            meter: counts the frames.
            told: takes each of `notes` as it comes.

        Raises:
            BirefvideoError: the input, the outputs or the machine do not allow it.
        """


class JobModel(Protocol):
    """A network as a job asks for it, wherever it runs."""

    identity: ModelIdentity
    """What it is."""
    size: InputSize
    """The size at which it sees pictures."""

    @property
    def kind(self) -> str:
        """The kind of device that it runs on, such as 'cpu'."""

    @property
    def place(self) -> str:
        """Where it runs, for people."""

    @property
    def workers(self) -> int:
        """How many segments it does at once."""

    def check_fits(self, info: VideoInfo) -> None:
        """Refuse what memory cannot hold.

        Raises:
            OptionError: says how much it takes, and how much is free.
        """

    def settings(self, info: VideoInfo) -> dict[str, Any]:
        """Return what decides the bytes of a clip's alpha, for the manifest."""

    def at_work(self, plan: Plan) -> AbstractContextManager[Engine]:
        """Give what does the segments of a job."""


class Here:
    """Does segments in this process, one after another."""

    def __init__(self, predictor: Predictor) -> None:
        self.notes: list[str] = []
        self._predictor = predictor

    @property
    def report(self) -> PredictReport:
        """See `Engine`."""
        return self._predictor.report

    def run(
        self, work: Work, segments: Sequence[Segment], meter: Meter, told: Callable[[str], object]
    ) -> Generator[tuple[Segment, Made], None, None]:
        """See `Engine`."""
        do = work.begun(self._predictor)
        for segment in segments:
            yield segment, do(segment, partial(meter.frame, segment.number))
