"""The queue: jobs that need the same device run one after another, each in a process of its own."""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
import time
from collections import deque
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from birefvideo.serve.child import Child, Event
from birefvideo.serve.data_folder import DataFolder
from birefvideo.serve.faults import not_found
from birefvideo.serve.live import Changes
from birefvideo.serve.order import Order
from birefvideo.serve.settings import Settings
from birefvideo.serve.store import CANCELED, FAILED, QUEUED, RUNNING, SUCCEEDED, Job, Store
from birefvideo.serve.turns import Turns

_LOG = "log.txt"
_MOST_LOG = 1 << 20
"""Bytes of a job's log from which on it is not continued."""
_GOOD = (0, 3)
"""Exit codes of a job that has made what was asked: 3 where the input lacks something."""
_AFTER_TROUBLE = 1.0
"""Seconds before the next job, where one could not be begun."""
_LOGGER = logging.getLogger(__name__)
_PROGRESS = ("done", "total", "fps", "eta")


class Queue:
    """Runs the jobs of the table.

    Args:
        settings: the limits.
        data: where inputs and outputs are.
        store: the table.
        changes: who is told.
        folder: where the processes run; nothing is in it.
    """

    def __init__(self, settings: Settings, data: DataFolder, store: Store, changes: Changes, folder: Path) -> None:
        self._settings = settings
        self._data = data
        self._store = store
        self._changes = changes
        self._folder = folder
        self._turns = Turns()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._children: dict[str, Child] = {}
        self._progress: dict[str, dict[str, Any]] = {}
        self._unwritten: dict[str, dict[str, Any]] = {}
        self._canceled: set[str] = set()
        self._places = re.compile(re.escape(str(data.path)) + r"[/\\](?:(?:uploads|jobs)[/\\]\w{24}[/\\]?)?")

    def __len__(self) -> int:
        """Return how many jobs wait or run."""
        return len(self._turns)

    def open(self) -> None:
        """Go on with what waits, and before that with what ran when an earlier server ended."""
        for job in self._store.in_state(RUNNING):
            self._store.change_job(job.id, state=QUEUED)
        for job in self._store.in_state(QUEUED):
            self._turns.add(job.id, job.devices)
        self._begin()

    async def close(self) -> None:
        """Stop what runs; it stays in the table as running, and the next server goes on with it."""
        self._turns = Turns()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def add(self, job: Job) -> None:
        """Let a new job wait for its turn."""
        self._turns.add(job.id, job.devices)
        self._begin()
        self._changes.tell(job.id)

    def position(self, job: Job) -> int:
        """Return how many jobs are to end before this one begins."""
        return self._turns.position(job.id)

    async def cancel(self, job: Job) -> None:
        """Stop a job and remove what it has made; one that has ended stays."""
        if job.has_ended:
            return
        if job.state == QUEUED:
            self._end(job, CANCELED)
            self._give_turn_back(job.id)
            return
        self._canceled.add(job.id)
        if job.id in self._children:
            await self._children[job.id].stop()
        while True:
            seen, now = self._changes.count(job.id), self._store.job(job.id)
            if now is None or self.as_it_is(now).has_ended:
                return
            await self._changes.after(job.id, seen, 1.0)

    def as_it_is(self, job: Job) -> Job:
        """Return a job of the table with how far it is now, and with what the disk has refused to write down."""
        found = self._progress.get(job.id)
        now = {**({"progress": found} if found else {}), **self._unwritten.get(job.id, {})}
        return replace(job, **now) if now else job

    def change(self, key: str, **values: Any) -> None:
        """Say what a job has become, and write it down, if need be once the disk takes it again."""
        self._unwritten.setdefault(key, {}).update(values)
        with suppress(sqlite3.Error):
            for one in list(self._unwritten):
                self._store.change_job(one, **self._unwritten[one])
                del self._unwritten[one]
        self._changes.tell(key)

    def seconds_left(self) -> int:
        """Return after how many seconds a job may have ended: a guess for those who are to ask again."""
        left = [found.get("eta") for found in self._progress.values()]
        known = [eta for eta in left if isinstance(eta, int | float)]
        return int(min(600, max(5, min(known, default=30))))

    def log(self, job: Job) -> list[str]:
        """Return what a job has said."""
        try:
            text = (self._data.job(job.id) / _LOG).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        return text.splitlines()

    def without_places(self, text: str) -> str:
        """Return a message without the folders of this machine, which are nobody else's business."""
        return self._places.sub("", text)

    def _begin(self) -> None:
        """Begin the jobs whose turn it is."""
        for key in self._turns.begin():
            self._tasks[key] = asyncio.create_task(self._see_through(key))

    def _give_turn_back(self, key: str) -> None:
        """Let those behind a job move up."""
        self._turns.end(key)
        self._begin()
        for waiting in self._turns:
            self._changes.tell(waiting)

    async def _see_through(self, key: str) -> None:
        try:
            job = self._store.job(key)
            if job is not None and job.state == QUEUED:  # it may have been cancelled meanwhile
                self._data.grow("jobs", key)
                await self._run(job)
        except Exception as error:  # the disk is full or gone, or an earlier version wrote what nobody reads
            _LOGGER.warning("a job could not be run", exc_info=True)
            self._give_up(key, error)
            await asyncio.sleep(_AFTER_TROUBLE)
        finally:
            self._data.settle("jobs", key)
            del self._tasks[key]
            self._give_turn_back(key)

    def _give_up(self, key: str, error: Exception) -> None:
        """Let a job fail that cannot even be begun; what there is of it stays."""
        why = str(getattr(error, "strerror", None) or error) or type(error).__name__
        told = {"kind": "failed", "message": f"the server could not run it ({self.without_places(why)}): send it again"}
        self._progress.pop(key, None)
        self.change(key, state=FAILED, ended=time.time(), error=told)

    async def _run(self, job: Job) -> None:
        job = replace(job, state=RUNNING, started=job.started or time.time())
        self.change(job.id, state=job.state, started=job.started)
        told: dict[str, Event] = {}
        child = Child(self._words(job), self._folder, self._data.lock, lambda event: self._take(job, event, told))
        self._children[job.id] = child
        try:
            code = await child.run(self._settings.most_hours * 3600)
        finally:
            del self._children[job.id]
        if job.id in self._canceled:
            self._canceled.discard(job.id)
            self._end(job, CANCELED)
        elif code in _GOOD and "finished" in told:
            self._end(job, SUCCEEDED, result=self._result(job, told["finished"]))
        else:
            self._end(job, FAILED, error=self._error(job, code, told))

    def _words(self, job: Job) -> list[str]:
        order, folder = Order.from_dict(job.order), self._data.job(job.id)
        source = self._data.upload(job.upload, job.name)
        return ["matte", "--json", f"--out={folder}/", *order.words(self._place_of), str(source)]

    def _place_of(self, key: str) -> Path:
        upload = self._store.upload(key)
        if upload is None:
            raise not_found("upload of that id")
        return self._data.upload(upload.id, upload.name)

    def _take(self, job: Job, event: Event, told: dict[str, Event]) -> None:
        """Note what a job says."""
        kind = event.pop("event")
        event.pop("input", None)
        told[kind] = event
        if kind == "frame":
            self._progress[job.id] = {name: event.get(name) for name in _PROGRESS}
        elif kind == "planned":
            self.change(job.id, plan=self._clean(event))
        elif isinstance(message := event.get("message"), str):
            self._note(job, self.without_places(message))
        self._changes.tell(job.id)

    def _note(self, job: Job, line: str) -> None:
        path = self._data.job(job.id) / _LOG
        with suppress(OSError):
            if not path.exists() or path.stat().st_size < _MOST_LOG:
                with path.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")

    def _end(self, job: Job, state: str, **values: Any) -> None:
        progress = self._progress.pop(job.id, {})
        if state != SUCCEEDED:
            self._drop_outputs(job)
        ended = max(time.time(), job.started or 0.0)  # the clock may have been set back
        self.change(job.id, state=state, ended=ended, progress=progress, **values)

    def _drop_outputs(self, job: Job) -> None:
        """Remove parts and outputs; what was said stays."""
        lines = self.log(job)
        self._data.remove("jobs", job.id)
        self._data.make("jobs", job.id)
        for line in lines:
            self._note(job, line)
        self._data.settle("jobs", job.id)

    def _result(self, job: Job, finished: Event) -> dict[str, Any]:
        """Return what was made, by names in the job's folder: outputs, and receipts and a player with its films."""
        outputs = [{"name": Path(one["path"]).name, "bytes": one["bytes"]} for one in finished["outputs"]]
        known = {_LOG, *(output["name"] for output in outputs)}
        files = [path.name for path in self._data.job(job.id).iterdir() if path.is_file()]
        extra = sorted(name for name in files if name not in known and not name.startswith("."))
        kept = {
            name: value
            for name, value in finished.items()
            if name not in ("outputs", "receipts", "review", "timelines")
        }
        return {**self._clean(kept), "outputs": outputs, "extra": extra}

    def _error(self, job: Job, code: int | None, told: dict[str, Event]) -> dict[str, Any]:
        if code is None:
            hours = f"{self._settings.most_hours:g}"
            return {"kind": "too_long", "message": f"it ran for more than {hours} hours: cut the clip into parts"}
        if "failed" in told:
            failed = told["failed"]
            return {"kind": failed.get("error"), "message": self.without_places(str(failed.get("message")))}
        if code < 0:
            return {"kind": "killed", "message": f"the system ended it (signal {-code}): perhaps memory ran out"}
        lines = deque(self.log(job), 1)
        return {"kind": "failed", "message": lines[0] if lines else f"it ended with exit code {code}"}

    def _clean(self, value: Any) -> Any:
        """Return JSON values without the folders of this machine."""
        if isinstance(value, dict):
            return {name: self._clean(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self._clean(one) for one in value]
        return self.without_places(value) if isinstance(value, str) else value
