"""Workers that are processes of this machine, one a device: heard through pipes, and ended with their parent."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any

from birefvideo.errors import DeviceError, named
from birefvideo.jobs.blank import Blank, Blanks, early
from birefvideo.jobs.engines import Work
from birefvideo.jobs.hands import Answer, Failed, Lost
from birefvideo.jobs.loaded_model import threads_each
from birefvideo.jobs.options import Options
from birefvideo.jobs.worker_process import GONE
from birefvideo.matting.devices import device_names

_PATIENCE = 2.0
"""Seconds that a process may take to end after its pipes."""


class Process:
    """One worker; see `Hand`."""

    def __init__(self, blank: Blank, options: Options, name: str, threads: int) -> None:
        self.name = name
        self._asking = threading.Lock()
        self._asks, self.orders, self.process = blank.asks, blank.orders, blank.process
        self._to_load: Any = (options, name, threads)

    def load(self) -> None:
        """See `Hand`."""
        if self._to_load is not None:
            self._order(("load", self._to_load))
            self._to_load = None

    def ask(self, method: str, *arguments: Any) -> Any:
        """See `Hand`."""
        with self._asking:
            try:
                self._asks.send((method, arguments))
                answer = self._asks.recv()
            except GONE:
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
        except GONE:
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

    Args:
        options: of the jobs.
        blanks: processes that were begun before.

    Raises:
        DeviceError: this process may start none.
    """

    def __init__(self, options: Options, blanks: Blanks) -> None:
        if multiprocessing.current_process().daemon:
            raise DeviceError(
                f"{named('device')} is {options.device!r}, and a daemonic process of multiprocessing may start no "
                "others: name one device there"
            )
        self._options, self._blanks = options, blanks
        self._devices = device_names(options.device)
        self._threads = threads_each(options)
        self.count = self.beside = len(self._devices)
        self.early = early(self.count)
        self.place = options.device

    def start(self, number: int) -> Process:
        """See `Hands`."""
        device = self._devices[number]
        is_alone = self._devices.count(device) == 1
        name = device if is_alone else f"{device}, number {number + 1}"
        return Process(self._blanks.taken(), self._options.changed(device=device), name, self._threads)

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
