"""One network for several jobs at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from birefvideo.jobs.options import Options

if TYPE_CHECKING:
    from birefvideo.jobs.engines import JobModel

_LOOKS_EVERY = 0.2
"""Seconds between two looks whether all was stopped."""


class OneNetwork:
    """Loads models for jobs in several threads, one at a time: a job that needs another one waits for those that run.

    So the memory holds one network, however many jobs there are.
    """

    def __init__(self, load: Callable[[Options], JobModel], stop: threading.Event) -> None:
        self._load = load
        self._options: Options | None = None
        self._users: set[int] = set()
        self._changed = threading.Condition()
        self._stop = stop

    def __call__(self, options: Options) -> JobModel:
        """Return the model that `options` choose, which is the calling thread's until it calls `leave`.

        Raises:
            KeyboardInterrupt: all was stopped meanwhile.
            BirefvideoError: as `LoadedModel`.
        """
        with self._changed:
            while self._users and self._options != options:
                if self._stop.is_set():
                    raise KeyboardInterrupt
                self._changed.wait(_LOOKS_EVERY)
            self._options = options
            model = self._load(options)
            self._users.add(threading.get_ident())
            return model

    def leave(self) -> None:
        """Say that the calling thread's job is over."""
        with self._changed:
            self._users.discard(threading.get_ident())
            self._changed.notify_all()
