"""Workers, as the one who hands out segments sees them, wherever they are; and what they answer."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from birefvideo.jobs.engines import Made, Work
from birefvideo.jobs.model_identity import ModelIdentity
from birefvideo.matting.input_size import InputSize
from birefvideo.matting.predict import PredictReport


@dataclass(frozen=True)
class Facts:
    """What the network of a worker is."""

    identity: ModelIdentity
    """Its name and its weights."""
    size: InputSize
    """The size at which it sees pictures."""
    kind: str
    """The kind of device that it runs on, such as 'cpu'."""


@dataclass(frozen=True)
class Ready:
    """A worker has a work, and can do its segments."""

    number: int
    """Of the work."""


@dataclass(frozen=True)
class Frames:
    """A worker has done some more frames of its segment."""

    count: int
    """How many."""


@dataclass(frozen=True)
class Done:
    """A worker has done its segment."""

    made: Made
    """What it made."""
    predicted: PredictReport
    """What its network did since the work began."""


@dataclass(frozen=True)
class Failed:
    """A worker met an error, which is the job's."""

    error: BaseException
    """As the worker raised it."""
    number: int | None = None
    """Of the work that it could not begin, where it is no more than that."""


@dataclass(frozen=True)
class Lost:
    """A worker is no more."""

    reason: str
    """Why, as far as is known: "was ended by SIGKILL"."""


Answer: TypeAlias = "Ready | Frames | Done | Failed | Lost"
"""What comes from a worker while there is work."""


class Hand(Protocol):
    """One worker. None of these wait, but for `ask`."""

    name: str
    """What it is called in messages."""

    def load(self) -> None:
        """Let it load its network, unless it has been told so; until then it answers nothing."""

    def ask(self, method: str, *arguments: Any) -> Any:
        """Return what a method of its `Worker` answers, which may be called while it works.

        Raises:
            BirefvideoError: as the method; or the worker is no more.
        """

    def begin(self, work: Work, number: int) -> None:
        """Give it a work, known by that number; it answers `Ready`."""

    def do(self, number: int) -> None:
        """Let it do the segment of that number; it answers `Frames`, and then `Done`."""


H = TypeVar("H", bound=Hand)
T = TypeVar("T")


class Hands(Protocol[H]):
    """Makes workers, hears them and ends them: one kind of engine."""

    count: int
    """How many workers there can be."""
    early: int
    """How many may be started before it is known that there is memory for all networks."""
    beside: int
    """How many of them share a machine's memory."""
    place: str
    """Where they are, for people."""

    def start(self, number: int) -> H:
        """Start one, which loads all but its network, seconds of work; the number is from 0 to `count` - 1."""

    def wait(self, hands: Sequence[H]) -> Iterator[tuple[H, Answer]]:
        """Yield answers, waiting for the first of them."""

    def is_alive(self, hand: H) -> bool:
        """Return whether a worker can be given work."""

    def end(self, hands: Sequence[H]) -> None:
        """End workers at once, whatever they do, and wait until they are gone."""

    def close(self) -> None:
        """Give back what else was taken; no worker is started any more."""


def answered(use: Callable[[], T]) -> T | Failed:
    """Return what a function returns, or its error as another process can be sent it."""
    try:
        return use()
    except BaseException as error:
        try:
            return Failed(pickle.loads(pickle.dumps(error)))
        except Exception:
            return Failed(RuntimeError(f"{type(error).__name__}: {error}"))


def answer_to_begin(begin: Callable[[], object], number: int) -> Ready | Failed:
    """Return a worker's answer where it is to make ready for the work of that number."""
    found = answered(begin)
    return Failed(found.error, number) if isinstance(found, Failed) else Ready(number)
