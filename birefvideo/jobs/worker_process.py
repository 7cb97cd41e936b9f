"""What runs in a process that is a worker: it hears orders and questions through two pipes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing.connection import Connection
from typing import Any

import av.logging
import torch

from birefvideo.jobs.hands import Answer, Failed, Frames, answer_to_begin, answered
from birefvideo.jobs.worker import Worker

GONE = (EOFError, OSError)
"""What a pipe raises whose other end is no more."""


def serve(asks: Connection, orders: Connection) -> None:
    """Be a worker until the parent closes its ends of the pipes."""
    av.logging.set_level(None)  # what matters comes as our own words

    def tell(answer: Answer) -> None:
        try:
            orders.send(answer)
        except GONE:
            os._exit(0)

    loaded: Future[Worker | Failed] = Future()
    threading.Thread(target=_answer, args=(asks, loaded), daemon=True, name="answers").start()
    while True:
        try:
            what, argument = orders.recv()
        except GONE:
            os._exit(0)
        if what == "load":
            options, name, threads = argument
            torch.set_num_threads(threads)
            loaded.set_result(answered(lambda: Worker(options, name)))  # noqa: B023
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
        except GONE:
            os._exit(0)
