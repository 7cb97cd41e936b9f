"""Workers that are actors of a Ray cluster (https://docs.ray.io): each loads the network once, wherever it runs.

Ray places them, and tells when one is lost with its node. What goes to them is small: the plan, and the number of a
segment. Pictures stay in the files, which all nodes must see under the same names.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from birefvideo.errors import DeviceError, OptionError, named
from birefvideo.jobs.engines import Work
from birefvideo.jobs.hands import Answer, Failed, Frames, Lost, answer_to_begin, answered
from birefvideo.jobs.options import Options

_BETWEEN_LOOKS, _A_LOOK = 0.3, 0.03
"""Seconds between two questions of how many frames a worker has done, and between those to any two, at least."""
_PATIENCE = 5.0
"""Seconds that the head of a cluster may take to answer."""
_STORE = 256 << 20
"""Bytes of shared memory for a cluster that is started here: Ray's own choice is a third of the machine's."""


class RayHand:
    """One worker; see `Hand`."""

    def __init__(self, actor: Any, name: str) -> None:
        self.name = name
        self.actor = actor
        self.is_lost = False
        self.under_way: Any = None
        """Reference to what it answers to its last order."""
        self.asked: Any = None
        """Reference to the frames of its segment, where these were asked for."""
        self.looked = 0.0
        self.number = -1
        """Of its segment."""
        self.counted = 0
        """Frames of the segment that were told."""

    def ask(self, method: str, *arguments: Any) -> Any:
        """See `Hand`."""
        import ray

        try:
            answer = ray.get(self.actor.ask.options(concurrency_group="asks").remote(method, arguments))
        except ray.exceptions.RayError as error:
            self.is_lost = True
            raise DeviceError(f"the worker on {self.name} was lost: {_first_line(error)}") from error
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

    Raises:
        OptionError: Ray is not installed, or an option does not go with it.
        DeviceError: the cluster does not answer, or has no room.
    """

    def __init__(self, options: Options, address: str | None, workers: int | None) -> None:
        if options.device not in ("auto", "cpu"):
            raise OptionError(
                f"{named('device')} is {options.device!r}, but Ray places the workers: give auto (GPUs, where the "
                "cluster has some) or cpu"
            )
        self._ray, self._is_ours = _joined(address)
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
        self._options = options.changed(device="cuda" if gpus else "cpu")
        self.place = f"ray, {self.count} × {self._options.device}"

    def start(self, number: int) -> RayHand:
        """See `Hands`."""
        name = f"Ray, number {number + 1}"
        takes = {"num_cpus": self._threads, "num_gpus": self._gpus}
        node = self._ray.remote(**takes, max_restarts=0, concurrency_groups={"asks": 1})(_Node)
        return RayHand(node.remote(self._options, name, self._threads, str(Path.cwd())), name)

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
            yield hand, Lost(f"was lost ({_first_line(error)})")
            return
        if count > hand.counted:
            told, hand.counted = count - hand.counted, count
            yield hand, Frames(told)
        yield hand, answer


def _joined(address: str | None) -> tuple[Any, bool]:
    """Return Ray, which belongs to a cluster now, and whether we let it join.

    Raises:
        OptionError: it is not installed, or the address is none.
        DeviceError: the cluster does not answer.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError as error:
        raise OptionError(
            f"{named('engine', 'ray')} needs Ray, which is not installed: pip install 'birefvideo[ray]'"
        ) from error
    if ray.is_initialized():
        return ray, False
    _check_answers(address)
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    with _own_signals():
        try:
            if address == "local" or (address is None and not os.environ.get("RAY_ADDRESS")):
                ray.init(address="local", include_dashboard=False, object_store_memory=_STORE, **quiet)
            else:
                ray.init(address=address, **quiet)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise DeviceError(
                f"Ray does not answer: {_first_line(error)}; a cluster that asks for a token wants RAY_AUTH_MODE=token"
            ) from error
    return ray, True


def _check_answers(address: str | None) -> None:
    """Refuse an address that does not answer: Ray itself would try for minutes."""
    if address in (None, "auto", "local"):
        return
    host, _, port = str(address).rpartition(":")
    if not host or "/" in host or not port.isdecimal() or int(port) > 65535:
        raise OptionError(
            f"{named('address')} is {address!r}: give auto, local, or HOST:PORT of the cluster's head, as 'ray start' "
            "prints it"
        )
    try:
        socket.create_connection((host, int(port)), _PATIENCE).close()
    except OSError as error:
        raise DeviceError(
            f"no Ray cluster answers at {address} ({error.strerror or error}): start one with 'ray start --head'"
        ) from error


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep Ray from deciding what a signal does to this program."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".:") if text else type(error).__name__


class _Node:
    """What runs on the nodes: a `Worker`, whose frames are counted, and whose errors are answers.

    Ray would take one that cannot load its network for lost.
    """

    def __init__(self, options: Options, name: str, threads: int, folder: str) -> None:
        import av.logging
        import torch

        from birefvideo.jobs.worker import Worker

        self._at = (-1, 0)
        with suppress(OSError):  # what is then not found is told with its name
            os.chdir(folder)
        av.logging.set_level(av.logging.PANIC)
        torch.set_num_threads(threads)
        self._worker = answered(lambda: Worker(options, f"{socket.gethostname()} ({name})"))

    def ask(self, method: str, arguments: tuple[Any, ...]) -> Any:
        return self._of(lambda worker: getattr(worker, method)(*arguments))

    def frames(self) -> tuple[int, int]:
        """Return the number of the segment, and how many of its frames are done."""
        return self._at

    def begin(self, work: Work, number: int) -> tuple[Answer, int]:
        if isinstance(self._worker, Failed):
            return self._worker, 0
        worker = self._worker
        return answer_to_begin(lambda: worker.begin(work), number), 0

    def do(self, number: int) -> tuple[Answer, int]:
        self._at = (number, 0)
        done: Answer = self._of(lambda worker: worker.do(number, self._frame))
        return done, self._at[1]

    def _frame(self) -> None:
        number, count = self._at
        self._at = (number, count + 1)

    def _of(self, use: Callable[[Any], Any]) -> Any:
        return self._worker if isinstance(self._worker, Failed) else answered(lambda: use(self._worker))
