"""Workers that are processes of this machine, one a device: heard through pipes, and ended with their parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from birefvideo.errors import DeviceError, named
from birefvideo.jobs.engines import Work
from birefvideo.jobs.hands import Answer, Failed, Frames, Lost, answer_to_begin, answered
from birefvideo.jobs.loaded_model import threads_each
from birefvideo.jobs.options import Options
from birefvideo.jobs.worker import Worker
from birefvideo.matting.devices import device_names
from birefvideo.memory import free_memory

_GONE = (EOFError, OSError)
"""What a pipe raises whose other end is no more."""
_PATIENCE = 2.0
"""Seconds that a process may take to end after its pipes."""
_BYTES_EARLY = 1 << 30
"""Free memory for each process that is started before it is known how much its network takes."""


class Process:
    """One worker; see `Hand`."""

    def __init__(self, options: Options, device: str, name: str, threads: int) -> None:
        self.name = name
        self._has_loaded = False
        self._asking = threading.Lock()
        spawn = multiprocessing.get_context("spawn")
        self._asks, asks = spawn.Pipe()
        self.orders, orders = spawn.Pipe()
        arguments = (asks, orders, options.changed(device=device), name, threads)
        self.process = spawn.Process(target=_serve, args=arguments, daemon=True, name=f"birefvideo {name}")
        with _without_main(), _without_ctrl_c():
            self.process.start()
        asks.close()
        orders.close()

    def load(self) -> None:
        """See `Hand`."""
        if not self._has_loaded:
            self._has_loaded = True
            self._order(("load", None))

    def ask(self, method: str, *arguments: Any) -> Any:
        """See `Hand`."""
        with self._asking:
            try:
                self._asks.send((method, arguments))
                answer = self._asks.recv()
            except _GONE:
                raise DeviceError(f"the worker on {self.name} {self.why()}") from None
            except BaseException:  # Ctrl-C: its answer would be taken for that to another question
                self.process.kill()
                raise
        if isinstance(answer, Failed):
            raise answer.error
        return answer

    def begin(self, work: Work, number: int) -> None:
        """See `Hand`."""
        self._order(("begin", (work, number)))

    def do(self, number: int) -> None:
        """See `Hand`."""
        self._order(("do", number))

    def _order(self, order: tuple[str, object]) -> None:
        with suppress(OSError):  # that it is lost is told when it is waited for
            self.orders.send(order)

    def answer(self) -> Answer:
        """Return what has come from it."""
        try:
            found: Answer = self.orders.recv()
        except _GONE:
            return Lost(self.why())
        return found

    def why(self) -> str:
        """Return how it ended, whose pipes are closed."""
        self.process.join(_PATIENCE)
        code = self.process.exitcode
        self.process.kill()
        if code is None:
            return "does not answer"
        if code >= 0:
            return f"ended with exit code {code}"
        memory = ", as where memory runs out" if -code == getattr(signal, "SIGKILL", 9) else ""
        return f"was ended by {signal.Signals(-code).name}{memory}"


class Processes:
    """Starts a process for each of the devices that options name; see `Hands`.

    Raises:
        DeviceError: this process may start none.
    """

    def __init__(self, options: Options) -> None:
        if multiprocessing.current_process().daemon:
            raise DeviceError(
                f"{named('device')} is {options.device!r}, and a daemonic process of multiprocessing may start no "
                "others: name one device there"
            )
        self._options = options
        self._devices = device_names(options.device)
        self._threads = threads_each(options)
        self.count = self.beside = len(self._devices)
        self.early = min(self.count, os.cpu_count() or 1, (free_memory() or 0) // _BYTES_EARLY + 1)
        self.place = options.device

    def start(self, number: int) -> Process:
        """See `Hands`."""
        device = self._devices[number]
        is_alone = self._devices.count(device) == 1
        name = device if is_alone else f"{device}, number {number + 1}"
        return Process(self._options, device, name, self._threads)

    def wait(self, hands: Sequence[Process]) -> Iterator[tuple[Process, Answer]]:
        """See `Hands`."""
        by_pipe = {hand.orders: hand for hand in hands}
        for pipe in wait(list(by_pipe)):
            hand = by_pipe[pipe]  # type: ignore[index]
            yield hand, hand.answer()

    def is_alive(self, hand: Process) -> bool:
        """See `Hands`."""
        return hand.process.is_alive()

    def end(self, hands: Sequence[Process]) -> None:
        """See `Hands`."""
        for hand in hands:
            hand.process.kill()
        for hand in hands:
            hand.process.join()

    def close(self) -> None:
        """See `Hands`."""


@contextmanager
def _without_main() -> Iterator[None]:
    """Keep a process that is started from running the caller's script once more: it needs nothing of it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Start processes that a terminal's Ctrl-C does not reach: their parent ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(asks: Connection, orders: Connection, options: Options, name: str, threads: int) -> None:
    """Be a worker until the parent closes its ends of the pipes."""
    import av.logging
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    av.logging.set_level(None)  # what matters comes as our own words
    torch.set_num_threads(threads)

    def tell(answer: Answer) -> None:
        try:
            orders.send(answer)
        except _GONE:
            os._exit(0)

    loaded: Future[Worker | Failed] = Future()
    threading.Thread(target=_answer, args=(asks, loaded), daemon=True, name="answers").start()
    while True:
        try:
            what, argument = orders.recv()
        except _GONE:
            os._exit(0)
        if what == "load":
            loaded.set_result(answered(lambda: Worker(options, name)))
            continue
        tell(_done(loaded.result(), what, argument, lambda: tell(Frames(1))))


def _done(worker: Worker | Failed, what: str, argument: Any, on_frame: Callable[[], object]) -> Answer:
    if isinstance(worker, Failed):
        return worker
    if what == "begin":
        work, number = argument
        return answer_to_begin(lambda: worker.begin(work), number)
    return answered(lambda: worker.do(argument, on_frame))


def _answer(asks: Connection, loaded: Future[Worker | Failed]) -> None:
    """Answer questions while segments are done; end with the parent, whatever is under way."""
    while True:
        try:
            method, arguments = asks.recv()
            worker = loaded.result()
            is_there = not isinstance(worker, Failed)
            asks.send(answered(lambda: getattr(worker, method)(*arguments)) if is_there else worker)  # noqa: B023
        except _GONE:
            os._exit(0)
