"""Workers that are actors of a Ray cluster (https://docs.ray.io): each loads the network once, wherever it runs.

Ray places them, and tells when one is lost with its node. What goes to them is small: the plan, and the number of a
segment. Pictures stay in the files, which all nodes must see under the same names.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from birefvideo.errors import DeviceError, OptionError, named
from birefvideo.jobs.engines import Work
from birefvideo.jobs.hands import Answer, Failed, Frames, Lost, answer_to_begin, answered
from birefvideo.jobs.manifest import versions
from birefvideo.jobs.options import Options
from birefvideo.jobs.ray_cluster import joined, reason
from birefvideo.jobs.worker import Worker

_BETWEEN_LOOKS, _A_LOOK = 0.3, 0.03
"""Seconds between two questions of how many frames a worker has done, and between those to any two, at least."""
_PATIENCE = 5.0
"""Seconds after which it is told that a worker is not there, where others hold what it takes."""
_LONG = 30.0
"""Seconds after which it is told that a worker is not there yet, though the cluster had room for it."""


class RayHand:
    """One worker; see `Hand`."""

    def __init__(self, actor: Any, name: str, wait_for: Callable[..., object] = lambda *_: None) -> None:
        self.name = name
        self.actor = actor
        self._wait_for = wait_for
        self.is_lost = False
        self._has_loaded = False
        self.under_way: Any = None
        """Reference to what it answers to its last order."""
        self.asked: Any = None
        """Reference to the frames of its segment, where these were asked for."""
        self.looked = 0.0
        self.number = -1
        """Of its segment."""
        self.counted = 0
        """Frames of the segment that were told."""

    def load(self) -> None:
        """See `Hand`."""
        if not self._has_loaded:
            self._has_loaded = True
            self.actor.load.options(concurrency_group="asks").remote()

    def ask(self, method: str, *arguments: Any) -> Any:
        """See `Hand`."""
        import ray

        try:
            self._wait_for(self.actor.here.options(concurrency_group="asks").remote(), True)
            asked = self.actor.ask.options(concurrency_group="asks").remote(method, arguments)
            self._wait_for(asked)
            answer = ray.get(asked)
        except ray.exceptions.RayError as error:
            self.is_lost = True
            raise DeviceError(f"the worker on {self.name} was lost: {reason(error)}") from error
        if isinstance(answer, Failed):
            raise answer.error
        return answer

    def begin(self, work: Work, number: int) -> None:
        """See `Hand`."""
        self.under_way = self.actor.begin.remote(work, number)

    def do(self, number: int) -> None:
        """See `Hand`."""
        self.number, self.counted, self.looked = number, 0, time.monotonic()
        self.asked = None  # it would tell of a segment of the last work, which may have this number too
        self.under_way = self.actor.do.remote(number)


class RayHands:
    """Starts actors on a cluster, an existing one or one of this machine; see `Hands`.

    Args:
        options: of the jobs; their device is 'auto', GPUs where the cluster has some, or 'cpu'.
        address: of the cluster's head, as `ray.init` takes it; None: the one that this process belongs to, or one that
            is started here.
        workers: how many; None: one for each GPU, or for each node without GPUs.
        told: takes a line where a worker is long in coming.
        is_stopped: whether who waits in another thread than the main one, which Ctrl-C does not reach, is to give up.

    Raises:
        OptionError: Ray is not installed, or an option does not go with it.
        DeviceError: the cluster does not answer, or has no room.
    """

    def __init__(
        self,
        options: Options,
        address: str | None,
        workers: int | None,
        told: Callable[[str], object] = lambda line: None,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._told, self._has_told, self._is_stopped = told, False, is_stopped
        if options.device not in ("auto", "cpu"):
            raise OptionError(
                f"{named('device')} is {options.device!r}, but Ray places the workers: give auto (GPUs, where the "
                "cluster has some) or cpu"
            )
        self._ray, self._is_ours = joined(address)
        try:
            self._divide(options, workers)
        except BaseException:
            self.close()
            raise

    def _divide(self, options: Options, workers: int | None) -> None:
        """Settle how many workers there are, and what of the cluster each takes."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        cpus = [int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1]
        gpus = 0 if options.device == "cpu" else sum(int(node.get("GPU", 0)) for node in nodes)
        if not gpus and not cpus:
            raise DeviceError("the Ray cluster has neither CPUs nor GPUs for workers: add nodes to it")
        self.count = workers or gpus or len(cpus)
        self.beside = -(-self.count // len(nodes))
        self._threads = 1 if gpus else max(1, min(cpus) // -(-self.count // len(cpus)))
        self._gpus = 1 / -(-self.count // gpus) if gpus else 0
        if not gpus and self.count > sum(cpu // self._threads for cpu in cpus):
            raise OptionError(f"{named('workers')} is {self.count}, and the cluster has {sum(cpus)} CPUs: give less")
        self._takes = {"num_cpus": self._threads, "num_gpus": self._gpus}
        self._free = self._ray.available_resources()
        # Where others hold the cluster, the first to be asked is not to wait for the place that the second one has.
        takes = {"CPU": self._threads * self.count, "GPU": self._gpus * self.count}
        self.early = self.count if all(self._free.get(name, 0) >= much for name, much in takes.items()) else 1
        self._options = options.changed(device="cuda" if gpus else "cpu")
        self.place = f"ray, {self.count} × {self._options.device}"

    def start(self, number: int) -> RayHand:
        """See `Hands`."""
        name = f"Ray, number {number + 1}"
        node = self._ray.remote(**self._takes, max_restarts=0, concurrency_groups={"asks": 1})(_Node)
        actor = node.remote(self._options, name, self._threads, str(Path.cwd()), versions())
        return RayHand(actor, name, self._wait_for)

    def _wait_for(self, answer: Any, is_place: bool = False) -> None:
        """Wait; for a place on the cluster, which gives them as they become free, tell of it once, after some seconds.

        Raises:
            KeyboardInterrupt: all was stopped meanwhile.
        """
        lacks = self._free.get("CPU", 0) < self._threads or self._free.get("GPU", 0) < self._gpus
        late = time.monotonic() + (_PATIENCE if lacks else _LONG)
        while not self._ray.wait([answer], timeout=_BETWEEN_LOOKS)[0]:
            if self._is_stopped():
                raise KeyboardInterrupt
            if is_place and not self._has_told and time.monotonic() > late:
                self._has_told = True
                self._tell_what_is_waited_for(lacks=lacks)

    def _tell_what_is_waited_for(self, *, lacks: bool) -> None:
        gpus = f" and {self._gpus:g} GPU" if self._gpus else ""
        why = ", which others hold" if lacks else ""
        self._told(
            f"waiting for the Ray cluster to start a worker, which takes {self._threads} CPU{gpus}{why}: "
            "'ray status' shows what is free, Ctrl-C ends it"
        )

    def wait(self, hands: Sequence[RayHand]) -> Iterator[tuple[RayHand, Answer]]:
        """See `Hands`; it yields nothing where nothing has come for a while."""
        now, between = time.monotonic(), max(_BETWEEN_LOOKS, len(hands) * _A_LOOK)
        for hand in hands:
            if hand.under_way is not None and hand.asked is None and now - hand.looked > between:
                hand.asked, hand.looked = hand.actor.frames.options(concurrency_group="asks").remote(), now
        orders = {hand.under_way: hand for hand in hands if hand.under_way is not None}
        looks = {hand.asked: hand for hand in hands if hand.asked is not None}
        waited_for = [*orders, *looks]
        if not waited_for:
            time.sleep(_BETWEEN_LOOKS)
            return
        ready, _ = self._ray.wait(waited_for, num_returns=len(waited_for), timeout=0)
        if not ready:
            ready, _ = self._ray.wait(waited_for, timeout=_BETWEEN_LOOKS)
        for reference in ready:
            if reference in looks:
                yield from self._looked(looks[reference], reference)
        for reference in ready:
            if reference in orders:
                yield from self._answered(orders[reference], reference)

    def is_alive(self, hand: RayHand) -> bool:
        """See `Hands`."""
        return not hand.is_lost

    def end(self, hands: Sequence[RayHand]) -> None:
        """See `Hands`."""
        for hand in hands:
            hand.is_lost = True
            with suppress(Exception):  # gone already, or its cluster is
                self._ray.kill(hand.actor)

    def close(self) -> None:
        """See `Hands`."""
        if self._is_ours:
            self._ray.shutdown()

    def _looked(self, hand: RayHand, reference: Any) -> Iterator[tuple[RayHand, Answer]]:
        hand.asked = None
        try:
            number, count = self._ray.get(reference)
        except self._ray.exceptions.RayError:  # the order that is under way tells more
            return
        if number == hand.number and count > hand.counted:
            told, hand.counted = count - hand.counted, count
            yield hand, Frames(told)

    def _answered(self, hand: RayHand, reference: Any) -> Iterator[tuple[RayHand, Answer]]:
        hand.under_way = None
        try:
            answer, count = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self.end([hand])  # it may live on a node that is cut off
            yield hand, Lost(f"was lost ({reason(error)})")
            return
        if count > hand.counted:
            told, hand.counted = count - hand.counted, count
            yield hand, Frames(told)
        yield hand, answer


def _same_as_ours(wanted: Mapping[str, object], name: str) -> None:
    """Refuse a node on which frames would differ.

    Raises:
        DeviceError: it has another version of something.
    """
    for what, version in versions().items():
        if version != wanted.get(what):
            raise DeviceError(
                f"the worker on {name} has another version of {what} than the machine that the command runs on, so "
                "that frames may differ: install the same versions on every node"
            )


class _Node:
    """What runs on the nodes: a `Worker`, whose frames are counted, and whose errors are answers.

    Ray would take one that cannot load its network for lost.
    """

    def __init__(self, options: Options, name: str, threads: int, folder: str, wanted: Mapping[str, object]) -> None:
        import av.logging
        import torch

        self._at = (-1, 0)
        with suppress(OSError):  # what is then not found is told with its name
            os.chdir(folder)
        av.logging.set_level(None)
        torch.set_num_threads(threads)
        self._loaded: Future[Any] = Future()

        def load() -> Worker:
            where = f"{socket.gethostname()} ({name})"
            _same_as_ours(wanted, where)
            return Worker(options, where)

        self._to_load = load

    def load(self) -> None:
        """Load the network, in a thread: meanwhile it is to be heard."""
        threading.Thread(
            target=lambda: self._loaded.set_result(answered(self._to_load)), daemon=True, name="loads"
        ).start()

    def here(self) -> None:
        """Do nothing: whoever hears of it knows that there is a place for this worker."""

    def ask(self, method: str, arguments: tuple[Any, ...]) -> Any:
        return self._of(lambda worker: getattr(worker, method)(*arguments))

    def frames(self) -> tuple[int, int]:
        """Return the number of the segment, and how many of its frames are done."""
        return self._at

    def begin(self, work: Work, number: int) -> tuple[Answer, int]:
        worker = self._loaded.result()
        if isinstance(worker, Failed):
            return worker, 0
        return answer_to_begin(lambda: worker.begin(work), number), 0

    def do(self, number: int) -> tuple[Answer, int]:
        self._at = (number, 0)
        done: Answer = self._of(lambda worker: worker.do(number, self._frame))
        return done, self._at[1]

    def _frame(self) -> None:
        number, count = self._at
        self._at = (number, count + 1)

    def _of(self, use: Callable[[Any], Any]) -> Any:
        worker = self._loaded.result()
        return worker if isinstance(worker, Failed) else answered(lambda: use(worker))
