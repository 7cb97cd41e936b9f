"""A Ray cluster that this process belongs to, and the line of an error of Ray's that says what happened."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from birefvideo.errors import DeviceError, OptionError, named

_PATIENCE = 5.0
"""Seconds that the head of a cluster may take to answer."""
_STORE = 256 << 20
"""Bytes of shared memory for a cluster that is started here: Ray's own choice is a third of the machine's."""
_COLOUR = re.compile(r"\x1b\[\d*m")
_ERROR = re.compile(r"[\w.]*(?:Error|Exception): ")
"""How the last line of a traceback begins."""


def joined(address: str | None) -> tuple[Any, bool]:
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
                f"Ray does not answer: {reason(error)}; a cluster that asks for a token wants RAY_AUTH_MODE=token"
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


def reason(error: BaseException) -> str:
    """Return the line of an error of Ray's that says what happened: its first, or its last where that is an error's."""
    lines = _COLOUR.sub("", str(error)).strip().splitlines() or [type(error).__name__]
    last = lines[-1].strip()
    line = (last if _ERROR.match(last) else lines[0]).rstrip(".:")
    return f"{line}; install the same versions on every node" if "No module named" in line else line
