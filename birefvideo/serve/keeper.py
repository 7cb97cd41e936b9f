"""What stays on the disk: the age limit, the size limit, and files of which nobody knows."""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

from birefvideo.serve.data_folder import DataFolder
from birefvideo.serve.faults import RefusedError
from birefvideo.serve.incoming import LEAST_FREE
from birefvideo.serve.live import Changes
from birefvideo.serve.settings import Settings
from birefvideo.serve.store import Store

_LOGGER = logging.getLogger(__name__)
_DAY = 86400.0
_EVERY = 600.0
"""Seconds between two looks for what is too old, and between two counts of what there is."""


class Keeper:
    """Removes uploads and jobs, from the disk and from the table."""

    def __init__(self, settings: Settings, data: DataFolder, store: Store, changes: Changes) -> None:
        self._settings = settings
        self._data = data
        self._store = store
        self._changes = changes

    def forget_upload(self, key: str) -> None:
        """Remove an upload."""
        self._store.remove_upload(key)
        self._data.remove("uploads", key)

    def forget_job(self, key: str) -> None:
        """Remove a job that has ended, and the uploads that were there for it alone."""
        job = self._store.job(key)
        self._store.remove_job(key)
        self._data.remove("jobs", key)
        self._changes.forget(key)
        for upload in _uploads_of(job.upload, job.order) if job else ():
            if not self._store.uses(upload):
                self.forget_upload(upload)

    async def make_room(self) -> None:
        """Remove the oldest finished jobs until a new one has room.

        Raises:
            RefusedError: there is none even so.
        """
        while (size := await self._data.size()) > self._settings.most_data:
            oldest = next(iter(self._store.ended(before=math.inf)), None)
            if oldest is None:
                raise RefusedError(
                    507,
                    "full",
                    f"the server holds {size:,} bytes of {self._settings.most_data:,}: delete uploads, or wait",
                    retry_after=60,
                )
            self.forget_job(oldest)
        if self._data.free() < LEAST_FREE:
            raise RefusedError(507, "disk_full", "the server's disk is full: delete jobs, or make room on it")

    async def keep_tidy(self) -> None:
        """Remove what is too old, now and again and again."""
        with _told():
            self._drop_unknown()
        while True:
            with _told():
                self.expire(time.time())
            with _told():
                self._data.recount()
            await asyncio.sleep(_EVERY)

    def expire(self, now: float) -> None:
        """Remove what is too old at that time, in Unix seconds."""
        oldest = now - self._settings.keep_days * _DAY
        for key in self._store.ended(before=oldest):
            self.forget_job(key)
        for key in self._store.unused_uploads(before=max(oldest, now - _DAY)):
            self.forget_upload(key)

    def _drop_unknown(self) -> None:
        """Remove folders of ours that a kill left between disk and table."""
        for key in self._data.keys("jobs"):
            if self._store.job(key) is None:
                self._data.remove("jobs", key)
        for key in self._data.keys("uploads"):
            if self._store.upload(key) is None:
                self._data.remove("uploads", key)


@contextmanager
def _told() -> Iterator[None]:
    """Tell what could not be removed, and go on: it is tried again later."""
    try:
        yield
    except (OSError, sqlite3.Error):
        _LOGGER.warning("what is too old could not be removed", exc_info=True)


def _uploads_of(upload: str, order: dict[str, object]) -> list[str]:
    from birefvideo.serve.order import Order

    return [upload, *Order.from_dict(order).uploads]
