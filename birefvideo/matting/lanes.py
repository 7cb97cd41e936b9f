"""Several frames computed at a time on a CPU, each with its share of the threads.

A small network is hundreds of short steps, and where all threads share each step, they wait for each other after each:
for the last of them always, and for a whole turn of the system's scheduler where other programs run. Threads that have
a frame each need not wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import nn

from birefvideo.matting.devices import Device
from birefvideo.matting.streams import Backend, FirstToLast, SerialBackend, Stream
from birefvideo.network.birefnet import BiRefNet
from birefvideo.network.swin import SwinTransformer

MOST = 4
"""Batches computed at a time at most: each takes memory of its own, with `talk` 300 bytes a pixel."""
LARGEST = 2**20
"""Pixels of the network's input, of all frames of a batch, up to which several batches are computed at a time."""

_setting_threads = threading.Lock()


class _Threads(FirstToLast):
    """The threads of lanes, there while somebody is at work: they do not outlive what they are for."""

    pool: ThreadPoolExecutor

    def __init__(self, count: int, threads: int) -> None:
        super().__init__()
        self._count = count
        self.shares = (threads, torch.get_num_threads())
        """Threads of OpenMP in each, and in others."""

    def _make(self) -> None:
        self.pool = self._kept.enter_context(ThreadPoolExecutor(self._count, "lane"))
        threads, others = self.shares
        # Setting a thread's number also goes to where threads look when they start. Set again by one that ends at once,
        # that is as before; all of the pool have started by then, so that others start into the right number.
        with _setting_threads:
            _all_in(self.pool, self._count, partial(_use_threads, threads))
            setting = threading.Thread(target=_use_threads, args=(others,))
            setting.start()
            setting.join()


class Lanes(SerialBackend):
    """Work of Stream.COMPUTE waits for one of `count` threads, each of which uses `threads` threads of OpenMP.

    Both sides of a buffer are the same memory, so there is nothing to upload or download.
    """

    def __init__(self, device: torch.device, count: int, threads: int) -> None:
        super().__init__(device, depth=count + 1)  # one waits, so that none idles while the host looks after a result
        self.count = count
        """Batches computed at a time."""
        self._threads = _Threads(count, threads)
        self._handed_over: list[Future[None]] = []

    def at_work(self) -> AbstractContextManager[None]:
        """Return what keeps the threads, which all who are at work share."""
        return self._threads()

    def run(self, stream: Stream, work: Callable[[], None]) -> None:
        """Do `work` now, or of Stream.COMPUTE in a lane."""
        if stream is Stream.COMPUTE:
            pending = [future for future in self._handed_over if not future.done()]
            self._handed_over = [*pending, self._threads.pool.submit(work)]
        else:
            work()

    def record(self, stream: Stream) -> Any:
        """Return what the work that was handed over last will have done."""
        return self._handed_over[-1] if self._handed_over else None

    def host_wait(self, event: Future[None] | None) -> None:
        """Wait for a lane's work, and raise what it raised."""
        if event is not None:
            event.result()

    def join(self) -> None:
        """Wait for all work, however it ends."""
        wait(self._handed_over)


def _all_in(pool: ThreadPoolExecutor, count: int, work: Callable[[], None]) -> None:
    """Do `work` once in each of the pool's `count` threads, and wait for it."""
    all_here = threading.Barrier(count)

    def once() -> None:
        try:
            work()
            all_here.wait()  # so that no thread takes a second one
        except BaseException:
            all_here.abort()  # those who wait would do so for ever
            raise

    try:
        for future in [pool.submit(once) for _ in range(count)]:
            future.result()
    except BaseException:
        all_here.abort()  # as the pool waits for its threads when it ends
        raise


def _use_threads(count: int) -> None:
    """Let this thread compute with `count` threads."""
    torch.get_num_threads()  # which a thread's first work asks for, and then takes what was set last anywhere
    torch.set_num_threads(count)


def lanes_for(network: nn.Module, device: Device) -> Backend[Any] | None:
    """Return lanes where the frames of a clip come faster from them, else None.

    That is with networks of convolutions alone, on a CPU with several threads. The steps of larger ones are long, and
    what each frame takes in memory is much.
    """
    threads = torch.get_num_threads()
    is_small = isinstance(network, BiRefNet) and not isinstance(network.bb, SwinTransformer)
    if not (is_small and device.kind.has_lanes and threads > 1):
        return None
    count = min(MOST, threads)
    return Lanes(device.torch_device, count, threads // count)
