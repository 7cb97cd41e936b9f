"""Stand-in streams for a machine without a GPU: they do the work late, early and out of order, as a GPU may.

Each stream keeps its work in order; which stream goes on next, and when, is drawn from a seed. Only recorded events
hold anything back, so a missing wait gives wrong numbers for some seed, as it would on a GPU on some day.

A captured piece of work is what a CUDA graph is: the tensors' operations with the very memory they were recorded on.
Python does not run again, so a value or a buffer of the recorded batch that is still in use gives wrong numbers too.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

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


def addresses(values: object) -> set[int]:
    """Where the tensors among `values` lie."""
    return {leaf.untyped_storage().data_ptr() for leaf in tree_leaves(values) if isinstance(leaf, Tensor)}


class Recording(TorchDispatchMode):
    """Notes every operation done under it, with its tensors."""

    def __init__(self) -> None:
        super().__init__()
        self._tape: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], Any]] = []
        self._made: set[int] = set()
        self.read: set[int] = set()
        """Addresses of the memory that was read, and not made, by these operations."""

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.item.default):
            raise RuntimeError("operation not permitted when stream is capturing")
        self.read |= addresses((args, kwargs)) - self._made
        result = func(*args, **(kwargs or {}))
        self._made |= addresses(result) - self.read
        self._tape.append((func, args, kwargs or {}, result))
        return result

    @torch.inference_mode()
    def replay(self) -> None:
        """Do all of it again, each result going where it went before."""
        for func, args, kwargs, results in self._tape:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(results), tree_leaves(again), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class DeferredBackend(Backend[DeferredEvent]):
    """Runs queued work in an order drawn from `seed`; a wait at the site `ignored` is left out."""

    def __init__(self, seed: int, depth: int = 3, ignored: Site | None = None, captures: bool = False) -> None:
        self.depth = depth
        self.captured = 0
        self.read: set[int] = set()
        """Addresses of all that captured work reads."""
        self._captures = captures
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

    def capture(self, work: Callable[[], None]) -> Callable[[], None] | None:
        """Record `work`, if this backend can; what it recorded is not to be relied on before it is replayed."""
        if not self._captures:
            return None
        if self.not_captured:
            return None
        self.captured += 1
        try:
            with Recording() as recording:
                work()
        except RuntimeError as error:
            self.not_captured = str(error)
            return None
        self.read |= recording.read
        return recording.replay

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
