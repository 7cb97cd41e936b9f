"""The heart of the server: uploads, and one queue of jobs. Every interface is made of this and nothing else.

An interface calls `receive` (or `fetch.fetch`) for a file, `submit` with an `Order`, then `job`, `changes`, `cancel`,
`outputs` and `remove`. What cannot be done raises `faults.RefusedError` or another `BirefvideoError`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from birefvideo.errors import BirefvideoError
from birefvideo.serve.data_folder import DataFolder
from birefvideo.serve.desk import Desk
from birefvideo.serve.faults import RefusedError, not_found
from birefvideo.serve.incoming import Incoming
from birefvideo.serve.keeper import Keeper
from birefvideo.serve.live import Changes
from birefvideo.serve.names import clean_name, is_id, new_id
from birefvideo.serve.order import Order
from birefvideo.serve.queue import Queue
from birefvideo.serve.secret import Secret
from birefvideo.serve.settings import Settings
from birefvideo.serve.store import QUEUED, Job, Store, Upload

_Kept = TypeVar("_Kept", Upload, Job)
_FORM = 1 << 20
"""Bytes that a form may have besides its file."""


class Studio:
    """The server without its network: opened in a running event loop, closed with `close`.

    Raises:
        BirefvideoError: the folder cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.data = DataFolder(settings.data)
        self.store = Store(self.data.database)
        self.secret = Secret(self.data.secret)
        self.changes = Changes()
        self.is_closing = False
        """Whether the server is about to end, so that nobody is to wait for anything any more."""
        empty = self.data.path / "empty"
        empty.mkdir(exist_ok=True)
        self.desk = Desk(empty)
        self._queue = Queue(settings, self.data, self.store, self.changes, empty)
        self._keeper = Keeper(settings, self.data, self.store, self.changes)
        self._tidying: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Go on with the jobs of an earlier server, and begin to remove what is too old."""
        self.data.recount()
        self._queue.open()
        self._tidying = asyncio.create_task(self._keeper.keep_tidy())

    async def hurry(self) -> None:
        """End what clients wait for: the server is about to close."""
        self.is_closing = True
        self.changes.tell_all()
        await self.desk.close()

    async def close(self) -> None:
        """Stop what runs, so that the next server goes on with it, and give the folder back."""
        if self._tidying is not None:
            self._tidying.cancel()
        await self._queue.close()
        await self.desk.close()
        self.store.close()
        self.data.close()

    async def receive(self, name: str, chunks: AsyncIterable[bytes], key: str = "", *, is_clip: bool = True) -> Upload:
        """Store a file as it arrives; return it once it is known to be a clip or a picture.

        `key` is one of `new_id` that was given out for it before; `is_clip` is that of `keep`.

        Raises:
            RefusedError: it is larger than allowed, or there is no room.
            InputError: it is no clip.
        """
        incoming = await self.incoming()
        try:
            async for chunk in chunks:
                await incoming.write(chunk)
            return await self.keep(incoming, name, key, is_clip=is_clip)
        finally:
            incoming.drop()

    async def incoming(self) -> Incoming:
        """Return a new file to write what arrives to; `keep` makes an upload of it, `drop` removes it.

        Raises:
            RefusedError: there is no room.
        """
        await self._keeper.make_room()
        return Incoming(self.data, self.settings.most_upload)

    def check_announced(self, length: str | None) -> None:
        """Refuse a body that says itself that it is too large.

        Raises:
            RefusedError: it is.
        """
        if length is not None and length.isdecimal():
            self.check_length(int(length[:30]))

    def check_length(self, length: int) -> None:
        """Refuse a body of so many bytes, if it is too large.

        Raises:
            RefusedError: it is.
        """
        most = self.settings.most_upload + _FORM
        if length > most:
            raise RefusedError(413, "too_large", f"the body is larger than {most:,} bytes: make the clip smaller first")

    async def keep(self, incoming: Incoming, name: str, key: str = "", *, is_clip: bool = True) -> Upload:
        """Make an upload of a file that has arrived, if it is a clip or a picture.

        Where `is_clip` is False, it is the file of an option, which is looked at with the job.

        Raises:
            InputError: it is none, or larger than allowed.
        """
        await incoming.finish()
        key, name, now = key or new_id(), clean_name(name), time.time()
        folder = self.data.make("uploads", key)
        place = folder / name
        try:
            incoming.path.replace(place)
            pixels = self.settings.most_pixels
            facts = await self.ask("probe", path=str(place), most_pixels=pixels) if is_clip else {}
            upload = Upload(key, name, incoming.size, now, now, facts)
            self.store.add_upload(upload)
            self.data.settle("uploads", key)
        except BaseException:
            self.data.remove("uploads", key)
            raise
        return upload

    def upload(self, key: str) -> Upload:
        """Return an upload.

        Raises:
            RefusedError: there is none of that id.
        """
        return _found(self.store.upload, key, "upload")

    def upload_path(self, key: str) -> Path:
        """Return where the file of an upload is."""
        upload = self.upload(key)
        return self.data.upload(upload.id, upload.name)

    def remove_upload(self, key: str) -> None:
        """Remove an upload.

        Raises:
            RefusedError: there is none, or a job has it.
        """
        if self.store.uses(self.upload(key).id):
            raise RefusedError(409, "in_use", "a job has that upload: delete the job, and it goes with it")
        self._keeper.forget_upload(key)

    async def submit(
        self, upload: str, order: Order, *, service: str = "", notes: Mapping[str, Any] | None = None
    ) -> Job:
        """Queue a job.

        Args:
            upload: id of its input.
            order: what is wanted of it.
            service: name of the interface that it came through.
            notes: what that interface wants to remember of it.

        Raises:
            RefusedError: there is no such upload, or too many jobs wait.
            BirefvideoError: it could not be done.
        """
        found = self.upload(upload)
        self._check_room()
        await self._keeper.make_room()
        key = new_id()
        known = await self.ask(
            "check",
            path=str(self.upload_path(upload)),
            options=order.values(self.upload_path),
            to=list(order.to),
            folder=str(self.data.job(key)),
            uploads=[str(self.upload_path(one)) for one in order.uploads],
            most_pixels=self.settings.most_pixels,
        )
        self._check_room()
        self.data.make("jobs", key)
        self.data.settle("jobs", key)
        self.store.touch_upload(upload)
        job = Job(key, 0, service, QUEUED, upload, found.name, known["device"], order.as_dict(), time.time())
        job = self.store.add_job(replace(job, notes=dict(notes or {})))
        self._queue.add(job)
        return job

    def job(self, key: str) -> Job:
        """Return a job as it is now.

        Raises:
            RefusedError: there is none of that id.
        """
        return self._queue.as_it_is(_found(self.store.job, key, "job"))

    def note(self, key: str, **notes: Any) -> None:
        """Remember more of a job for the interface that it came through; nothing where it was deleted."""
        with suppress(RefusedError):
            self._queue.change(key, notes={**self.job(key).notes, **notes})

    def jobs(self, most: int = 100, before: int | None = None, service: str | None = None) -> list[Job]:
        """Return the newest jobs; `before` is the number of the last one of an earlier call."""
        return [self._queue.as_it_is(job) for job in self.store.jobs(most, before, service)]

    async def wait(self, key: str, seconds: float | None = None) -> Job:
        """Return a job once it has ended, or as it is after so many seconds or when the server ends."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            seen, job = self.changes.count(key), self.job(key)
            left = None if deadline is None else deadline - time.monotonic()
            if job.has_ended or self.is_closing or (left is not None and left <= 0):
                return job
            await self.changes.after(key, seen, left)

    async def cancel(self, key: str) -> Job:
        """Stop a job that waits or runs, and remove what it has made; return it. One that has ended stays as it is."""
        job = self.job(key)
        await self._queue.cancel(job)
        return self.job(key)

    async def remove(self, key: str) -> None:
        """Remove a job with its outputs, and its input if no other job has it; one that runs is cancelled before."""
        await self.cancel(key)
        self._keeper.forget_job(key)

    def outputs(self, job: Job) -> list[Path]:
        """Return what a job has made: files, and folders of pictures. Nothing before it has succeeded."""
        folder = self.data.job(job.id)
        return [folder / str(output["name"]) for output in job.result.get("outputs", ())]

    def extras(self, job: Job) -> list[Path]:
        """Return what a job has written beside its outputs: receipts and the review page."""
        return [self.data.job(job.id) / str(name) for name in job.result.get("extra", ())]

    def log(self, job: Job) -> list[str]:
        """Return what a job has said, line by line."""
        return self._queue.log(job)

    @property
    def waiting(self) -> int:
        """How many jobs wait or run."""
        return len(self._queue)

    def position(self, job: Job) -> int:
        """Return how many jobs are to end before this one."""
        return self._queue.position(job)

    async def ask(self, do: str, **values: Any) -> dict[str, Any]:
        """Ask the helper; what it says of files is of their names alone, not of where they are.

        Raises:
            BirefvideoError: as `Desk.ask`.
        """
        try:
            return await self.desk.ask(do, **values)
        except RefusedError as error:
            raise RefusedError(
                error.status, error.kind, self._queue.without_places(str(error)), retry_after=error.retry_after
            ) from None
        except BirefvideoError as error:
            raise type(error)(self._queue.without_places(str(error))) from None

    def _check_room(self) -> None:
        if self.waiting >= self.settings.most_waiting:
            raise RefusedError(
                429,
                "queue_full",
                f"{self.waiting} jobs wait already: send it again later",
                retry_after=self._queue.seconds_left(),
            )


def _found(get: Callable[[str], _Kept | None], key: str, what: str) -> _Kept:
    """Return what the table has under an id of a client's.

    Raises:
        RefusedError: it has nothing.
    """
    found = get(key) if is_id(key) else None
    if found is None:
        raise not_found(f"{what} of that id")
    return found
