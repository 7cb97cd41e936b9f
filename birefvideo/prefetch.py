"""Threads between the stages, and only here: read ahead, work on several items, and feed several sinks at once."""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from types import TracebackType
from typing import ClassVar, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class _Channel(Generic[T]):
    """A bounded first-in-first-out buffer between one writing and one reading thread; either can end it."""

    def __init__(self, depth: int) -> None:
        if depth < 1:
            raise ValueError(f"depth is {depth}; it must be at least 1")
        self._depth = depth
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._cancelled = False

    def put(self, item: T) -> bool:
        """Append `item` once there is room and return True; return False if the channel is cancelled."""
        with self._changed:
            self._changed.wait_for(lambda: self._cancelled or len(self._items) < self._depth)
            if not self._cancelled:
                self._items.append(item)
                self._changed.notify_all()
            return not self._cancelled

    def end(self) -> None:
        """Let the reader stop after the items that are in the channel."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Stop both sides now and drop the items that are in the channel."""
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._cancelled or self._ended or self._items)
                if self._cancelled or not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
            del item  # a frame is large: do not hold it while waiting for the next


class _Thread:
    """A thread that works at one end of a channel, and that is stopped and joined when the interpreter exits.

    It is a daemon, so that a generator that was never closed cannot keep the interpreter from exiting; but a daemon
    that is inside PyTorch or FFmpeg when the interpreter goes away aborts the process.
    """

    _running: ClassVar[set[_Thread]] = set()

    def __init__(self, work: Callable[[], object], cancel: Callable[[], object], name: str) -> None:
        self._thread = threading.Thread(target=work, name=name, daemon=True)
        self._cancel = cancel

    def start(self) -> None:
        """Begin to work."""
        self._running.add(self)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the work is done."""
        # The garbage collector may close a forgotten generator from the generator's own thread, which cannot wait for
        # itself.
        if self._thread is not threading.current_thread():
            self._thread.join()
        self._running.discard(self)

    def stop(self) -> None:
        """End the channel, and wait for what is being worked on."""
        self._cancel()
        self.wait()

    @classmethod
    def stop_all(cls) -> None:
        """Stop every thread that still works."""
        for thread in list(cls._running):  # all first: one may wait for another
            thread._cancel()
        for thread in list(cls._running):
            thread.wait()


atexit.register(_Thread.stop_all)


def prefetch(items: Iterable[T], depth: int = 4) -> Generator[T, None, None]:
    """Yield `items` while a thread of its own works up to `depth` of them ahead.

    The thread starts when the first item is requested. An error in `items` is raised here, with its traceback, after
    the items before it. When this generator ends or is closed, the thread closes `items` (if they can be closed) and
    is joined. That waits for the item being worked on; errors that the consumer did not reach are dropped.
    """
    channel: _Channel[T] = _Channel(depth)
    errors: list[BaseException] = []

    def produce() -> None:
        try:
            iterator = iter(items)
            try:
                for item in iterator:
                    if not channel.put(item):
                        break
                    del item
            finally:
                # Generators must be closed by the thread that runs them: this one.
                close = getattr(iterator, "close", None)
                if close is not None:
                    close()
        except BaseException as error:  # raised again by the consumer
            errors.append(error)
        finally:
            channel.end()

    thread = _Thread(produce, channel.cancel, "birefvideo-prefetch")
    thread.start()
    try:
        yield from channel
    finally:
        thread.stop()
    if errors:
        raise errors.pop()  # and not [0]: the traceback holds the list


class Workers(Generic[T, R]):
    """Does the same to every item, to several at a time, and gives the results back in the order of the items.

    It holds at most `count` items that are not given back. An error is raised in place of the item's result. To be
    closed after use, which waits for the items being worked on and leaves no thread.
    """

    def __init__(self, work: Callable[[T], R], count: int) -> None:
        self._work, self._count = work, count
        self._pool = ThreadPoolExecutor(count, "birefvideo-worker")
        self._waiting: deque[Future[R]] = deque()

    def put(self, item: T) -> Iterator[R]:
        """Take the next item; yield the earliest result if there is no room, waiting for it."""
        if len(self._waiting) == self._count:
            yield self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._work, item))

    def rest(self) -> Iterator[R]:
        """Yield the results of all items that are still worked on."""
        while self._waiting:
            yield self._waiting.popleft().result()

    def close(self) -> None:
        """Drop the results, and the items that nobody works on yet."""
        self._waiting.clear()
        self._pool.shutdown(cancel_futures=True)


def thread_count(least: int, cores: int | None = None) -> int:
    """Return how many threads share the frames of a stage, at least so many, on this machine or one of `cores`.

    Each holds a frame, so that there are no more than six. How many there are changes no byte.
    """
    return max(least, min(6, (cores or os.cpu_count() or 1) // 2))


class Once(Generic[T]):
    """A value that the first thread that asks for it computes, while others that ask wait for it."""

    def __init__(self, compute: Callable[[], T]) -> None:
        self._lock = threading.Lock()
        self._compute: Callable[[], T] | None = compute
        self._values: list[T] = []

    def __call__(self) -> T:
        """Return the value. An error of its computation is raised here, and the next one who asks tries again."""
        with self._lock:
            if self._compute is not None:
                self._values.append(self._compute())
                self._compute = None  # and all that it holds
        return self._values[0]


def in_parallel(work: Callable[[T], R], items: Iterable[T], count: int) -> Generator[R, None, None]:
    """Yield `work(item)` for each item, in order, while up to `count` are worked on at once.

    An error in `items` or in `work` is raised here, after the results before it. When this generator ends or is closed,
    no thread is left; errors that the consumer did not reach are dropped. `items` itself is not closed.
    """
    iterator = iter(items)
    failure: Exception | None = None
    with closing(Workers(work, count)) as workers:
        while True:
            try:
                item = next(iterator)
            except StopIteration:
                break
            except Exception as error:
                failure = error
                break
            yield from workers.put(item)
            del item
        yield from workers.rest()
    if failure is not None:
        raise failure


class Fanout(Generic[T]):
    """Hands every item to several sinks, each called in a thread of its own, in order.

        with Fanout([writer.write for writer in writers]) as fanout:
            for frame in frames:
                fanout.put(frame)

    `put` waits while a sink has `depth` items still to take. An error in a sink stops all sinks, and is raised by the
    next `put` or when the block ends. A block that ends normally waits until every sink has taken every item; one
    that ends with an error drops the waiting items. Either way no thread is left.
    """

    def __init__(self, sinks: Sequence[Callable[[T], object]], depth: int = 4) -> None:
        self._channels: list[_Channel[T]] = [_Channel(depth) for _ in sinks]
        self._errors: list[BaseException] = []
        self._threads = [
            _Thread(partial(self._drain, sink, channel), channel.cancel, f"birefvideo-sink-{i}")
            for i, (sink, channel) in enumerate(zip(sinks, self._channels, strict=True))
        ]

    def __enter__(self) -> Fanout[T]:
        for thread in self._threads:
            thread.start()
        return self

    def put(self, item: T) -> None:
        """Hand one item to every sink, waiting for room; raise the first error that a sink had."""
        if not all(channel.put(item) for channel in self._channels):
            self._raise()
            raise RuntimeError("put on a Fanout that has ended")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                for channel in self._channels:
                    channel.end()
                for thread in self._threads:
                    thread.wait()
        finally:
            self._cancel()
            for thread in self._threads:
                thread.stop()
        if error is None:
            self._raise()

    def _drain(self, sink: Callable[[T], object], channel: _Channel[T]) -> None:
        try:
            for item in channel:
                sink(item)
                del item
        except BaseException as error:  # raised again by put or __exit__
            self._errors.append(error)
            self._cancel()

    def _cancel(self) -> None:
        for channel in self._channels:
            channel.cancel()

    def _raise(self) -> None:
        if self._errors:
            raise self._errors[0]
