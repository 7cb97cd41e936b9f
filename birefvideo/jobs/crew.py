"""The model of a job that several workers share: each has loaded the network, in a process of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic

from birefvideo.errors import DeviceError, named
from birefvideo.frames import VideoInfo
from birefvideo.jobs.deal import Deal, in_all
from birefvideo.jobs.engines import Made, Work
from birefvideo.jobs.hands import Facts, H, Hands
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import Plan, Segment
from birefvideo.jobs.progress import Meter
from birefvideo.matting.predict import PredictReport


class Crew(Generic[H]):
    """Workers that do the segments of one job after another; see `JobModel`.

    Jobs in several threads take turns. What has died is started anew for the next job. Where one ends by an error, the
    workers are ended, whatever they do.

    Args:
        options: of the jobs.
        makers: starts the workers.

    Raises:
        BirefvideoError: there is no such model or device, or the weights do not fit.
    """

    def __init__(self, options: Options, makers: Hands[H]) -> None:
        self.options = options
        self._makers = makers
        self._hands: dict[int, H] = {}
        self._turn = threading.Lock()
        self._starting = threading.Lock()
        self._is_stopped = False
        self._lost: list[str] = []
        """Workers that died while a job was planned, one line each, until a job tells of them."""
        try:
            facts: Facts = self._asked("facts")
        except BaseException:
            self.close()
            raise
        self.identity, self.size, self.kind = facts.identity, facts.size, facts.kind

    @property
    def place(self) -> str:
        """Where it runs, for people."""
        return self._makers.place

    @property
    def workers(self) -> int:
        """How many segments it does at once."""
        return self._makers.count

    def check_fits(self, info: VideoInfo) -> None:
        """Refuse what memory cannot hold, all workers together; else those load that have not; see `LoadedModel`."""
        self._asked("check_fits", info, self._makers.beside)
        self._started(self.workers)

    def settings(self, info: VideoInfo) -> dict[str, Any]:
        """Return what decides the bytes of a clip's alpha, for the manifest."""
        found: dict[str, Any] = self._asked("settings", info)
        return found

    @contextmanager
    def at_work(self, plan: Plan) -> Iterator[Together[H]]:
        """Give what does the segments of a job; no two jobs are at work at a time."""
        with self._turn:
            try:
                lost, self._lost = self._lost, []
                yield Together(plan, self.place, self._makers, self._started, lost)
            except BaseException as error:
                self._is_stopped = not isinstance(error, Exception)  # Ctrl-C: jobs in other threads begin no more
                self.end()
                raise

    def end(self) -> None:
        """End all workers at once."""
        with self._starting:
            hands, self._hands = list(self._hands.values()), {}
        self._makers.end(hands)

    def close(self) -> None:
        """End all workers, and give back what else was taken."""
        self.end()
        self._makers.close()

    def _asked(self, method: str, *arguments: Any) -> Any:
        """Return what the first worker answers; where it dies, another takes its place, as often as there are any."""
        for left in reversed(range(self.workers)):
            while True:
                hand = self._first()
                try:
                    return hand.ask(method, *arguments)
                except DeviceError as error:
                    with self._starting:
                        is_ours = any(hand is one for one in self._hands.values())
                    if is_ours and self._makers.is_alive(hand):
                        raise
                    if is_ours and not left:
                        raise DeviceError(
                            f"{error}, and no worker is left: try again, best with fewer workers ({named('device')})"
                        ) from error
                    if is_ours:
                        self._lost.append(f"{error}; another takes its place")
                        break
                    # Else another job has ended it with its own: that is no fault of this one.
        raise AssertionError(method)

    def _first(self) -> H:
        return self._started(1)[0]

    def _started(self, count: int) -> list[H]:
        """Return so many workers, or as many as there can be; those that are missing are started, as are early ones."""
        with self._starting:
            if self._is_stopped:
                raise KeyboardInterrupt
            self._hands = {number: hand for number, hand in self._hands.items() if self._makers.is_alive(hand)}
            for number in range(self._makers.count):
                if number not in self._hands and len(self._hands) < max(count, self._makers.early):
                    self._hands[number] = self._makers.start(number)
            hands = list(self._hands.values())[:count]
            for hand in hands:
                hand.load()
            return hands


class Together(Generic[H]):
    """The workers of one job; see `Engine`."""

    def __init__(
        self, plan: Plan, place: str, makers: Hands[H], started: Callable[[int], list[H]], lost: list[str]
    ) -> None:
        self.notes: list[str] = []
        self._lost = lost
        self._place, self._makers, self._started = place, makers, started
        settings = plan.settings
        self._reports = [
            PredictReport(place, settings["dtype"], batch=settings["batch"], form=settings.get("form", ""))
        ]

    @property
    def report(self) -> PredictReport:
        """What all networks did so far."""
        return in_all(self._reports, self._place)

    def run(
        self, work: Work, segments: Sequence[Segment], meter: Meter, told: Callable[[str], object]
    ) -> Generator[tuple[Segment, Made], None, None]:
        """See `Engine`."""

        def note(line: str) -> None:
            self.notes.append(line)
            told(line)

        while self._lost:
            note(self._lost.pop(0))
        hands = self._started(len(segments)) if segments else []
        deal = Deal(self._makers, hands, meter, note)
        try:
            yield from deal.done(work, segments)
        finally:
            self._reports += deal.reports.values()
