"""Stand-in streams for a machine without a GPU: they do the work late, early and out of order, as a GPU may.

Each stream keeps its work in order; which stream goes on next, and when, is drawn from a seed. Only recorded events
hold anything back, so a missing wait gives wrong numbers for some seed, as it would on a GPU on some day.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

import torch

from birefvideo.matting.streams import Backend, Staging, Stream

Site = tuple[str, str]
"""Who waits ('host' or a stream) for what happened on which stream."""


class DeferredEvent:
    """A point of a stream, reached or not."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.reached = False

    def reach(self) -> None:
        self.reached = True


class DeferredBackend(Backend[DeferredEvent]):
    """Runs queued work in an order drawn from `seed`; a wait at the site `ignored` is left out."""

    def __init__(self, seed: int, depth: int = 3, ignored: Site | None = None) -> None:
        self.depth = depth
        self.sites: set[Site] = set()
        self.host_waits = 0
        self.left_over = 0
        self._ignored = ignored
        self._random = random.Random(seed)
        self._eagerness = self._random.choice((0, 1, 3))
        self._queues: dict[Stream, deque[tuple[DeferredEvent | None, Callable[[], None]]]] = {
            stream: deque() for stream in Stream
        }

    def staging(self, shape: tuple[int, ...], dtype: torch.dtype) -> Staging:
        """Allocate both sides apart, full of rubbish."""
        rubbish = 0.123 if dtype.is_floating_point else 77
        return Staging(torch.full(shape, rubbish, dtype=dtype), torch.full(shape, rubbish, dtype=dtype))

    def run(self, stream: Stream, work: Callable[[], None]) -> None:
        self._enqueue(stream, None, work)

    def record(self, stream: Stream) -> DeferredEvent:
        event = DeferredEvent(stream)
        self._enqueue(stream, None, event.reach)
        return event

    def wait(self, stream: Stream, event: DeferredEvent) -> None:
        if self._heeds((stream.value, event.stream.value)):
            self._enqueue(stream, event, lambda: None)

    def host_wait(self, event: DeferredEvent) -> None:
        self.host_waits += 1
        if self._heeds(("host", event.stream.value)):
            while not event.reached:
                assert self._step(), "deadlock: the host waits for an event that can never be reached"

    def join(self) -> None:
        """Finish what is queued, and note how much it was: a caller that saw all its results left nothing."""
        self.left_over = sum(map(len, self._queues.values()))
        while self._step():
            pass
        assert not any(self._queues.values()), "deadlock: streams wait for each other"

    def _heeds(self, site: Site) -> bool:
        self.sites.add(site)
        return site != self._ignored

    def _enqueue(self, stream: Stream, after: DeferredEvent | None, work: Callable[[], None]) -> None:
        self._queues[stream].append((after, work))
        for _ in range(self._random.randint(0, self._eagerness)):
            self._step()

    def _step(self) -> bool:
        """Run the head of one stream that nothing holds back; return False where all are empty or held."""
        ready = [queue for queue in self._queues.values() if queue and (queue[0][0] is None or queue[0][0].reached)]
        if not ready:
            return False
        self._random.choice(ready).popleft()[1]()
        return True
