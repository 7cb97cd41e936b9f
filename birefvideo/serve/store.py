"""The table of uploads and jobs: SQLite, so that a kill loses nothing that a client was told."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from birefvideo.errors import OutputError, named

QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELED = "queued", "running", "succeeded", "failed", "canceled"
STATES = (QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELED)
ENDED = (SUCCEEDED, FAILED, CANCELED)


@dataclass(frozen=True)
class Upload:
    """A file that a client sent, or that was fetched for one."""

    id: str
    name: str
    """What the client calls it, cleaned."""
    bytes: int
    created: float
    """Unix seconds."""
    used: float
    """When a job or a look last needed it."""
    facts: dict[str, Any]
    """What the file is: see `helper.probe_facts`."""


@dataclass(frozen=True)
class Job:
    """A job, as it was when it was read."""

    id: str
    number: int
    """Order in which jobs came."""
    service: str
    """Interface that it came through: '' is our own."""
    state: str
    """One of `STATES`."""
    upload: str
    """Id of its input."""
    name: str
    """Name of its input."""
    lane: str
    """Devices that it runs on, with commas between them."""
    order: dict[str, Any]
    """What was asked for: see `order.Order`."""
    created: float
    started: float | None = None
    ended: float | None = None
    progress: dict[str, Any] = field(default_factory=dict)
    """The last event of a frame: done, total, fps, eta."""
    plan: dict[str, Any] = field(default_factory=dict)
    """The event that says what is going to be done."""
    result: dict[str, Any] = field(default_factory=dict)
    """The event that says what was made; its outputs are names in the job's folder."""
    error: dict[str, Any] | None = None
    """kind and message, where it failed."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What the interface that it came through wants to remember."""

    @property
    def devices(self) -> list[str]:
        """Names of the devices that it needs for itself."""
        return self.lane.split(",")

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ENDED


_JSON = {"order", "progress", "plan", "result", "error", "notes", "facts"}
_TABLES = """
create table if not exists uploads (
    id text primary key, name text, bytes integer, created real, used real, facts text);
create table if not exists jobs (
    number integer primary key autoincrement, id text unique, service text, state text, upload text, name text,
    lane text, "order" text, created real, started real, ended real, progress text, plan text, result text, error text,
    notes text);
create index if not exists by_state on jobs (state, lane, number);
create index if not exists by_upload on jobs (upload);
create index if not exists by_service on jobs (service, number);
create index if not exists untold on jobs (number)
    where json_extract(notes, '$.webhook') is not null and json_extract(notes, '$.told') is null;
"""


class Store:
    """The table; used from one thread.

    Raises:
        OutputError: the file is damaged or cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._base = sqlite3.connect(path, isolation_level=None)
            self._base.row_factory = sqlite3.Row
            self._base.execute("pragma journal_mode=wal")
            self._base.executescript(_TABLES)
        except sqlite3.Error as error:
            raise OutputError(f"{path} cannot be read ({error}): name a new folder with {named('data')}") from error

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def add_upload(self, upload: Upload) -> None:
        """Keep a new upload."""
        self._insert("uploads", {column.name: getattr(upload, column.name) for column in fields(Upload)})

    def upload(self, key: str) -> Upload | None:
        """Return the upload of that id, or None."""
        row = self._base.execute("select * from uploads where id = ?", (key,)).fetchone()
        return Upload(**_values(row)) if row else None

    def uploads(self, most: int) -> list[Upload]:
        """Return the newest uploads."""
        rows = self._base.execute("select * from uploads order by created desc limit ?", (most,))
        return [Upload(**_values(row)) for row in rows]

    def touch_upload(self, key: str) -> None:
        """Remember that an upload was needed."""
        self._base.execute("update uploads set used = ? where id = ?", (time.time(), key))

    def unused_uploads(self, before: float) -> list[str]:
        """Return the ids of uploads that no job has and that nobody needed since, those needed longest ago first."""
        rows = self._base.execute(
            "select id from uploads where used < ? and not exists (select 1 from jobs where upload = uploads.id "
            'or instr("order", uploads.id)) order by used',
            (before,),
        )
        return [row["id"] for row in rows]

    def remove_upload(self, key: str) -> None:
        """Forget an upload."""
        self._base.execute("delete from uploads where id = ?", (key,))

    def add_job(self, job: Job) -> Job:
        """Keep a new job; return it with its number."""
        values = {column.name: getattr(job, column.name) for column in fields(Job) if column.name != "number"}
        return replace(job, number=self._insert("jobs", values))

    def change_job(self, key: str, **values: Any) -> None:
        """Change columns of a job."""
        columns = ", ".join(f'"{name}" = ?' for name in values)
        self._base.execute(f"update jobs set {columns} where id = ?", (*_columns(values).values(), key))

    def job(self, key: str) -> Job | None:
        """Return the job of that id, or None."""
        return next(iter(self._jobs("where id = ?", key)), None)

    def jobs(self, most: int = 100, before: int | None = None, service: str | None = None) -> list[Job]:
        """Return jobs, the newest first; `before` is the number of the last one of an earlier call."""
        limit, last = max(0, most), (1 << 62 if before is None else before)
        if service is None:
            return self._jobs("where number < ? order by number desc limit ?", last, limit)
        return self._jobs("where number < ? and service = ? order by number desc limit ?", last, service, limit)

    def newest(self, most: int, before: int | None = None) -> list[tuple[str, int]]:
        """Return ids and numbers of jobs, likewise."""
        last = 1 << 62 if before is None else before
        rows = self._base.execute(
            "select id, number from jobs where number < ? order by number desc limit ?", (last, max(0, most))
        )
        return [(row["id"], row["number"]) for row in rows]

    def noted(self, service: str, name: str, value: str) -> Job | None:
        """Return the newest job of a service that has a note of that value, or None."""
        where = "where service = ? and json_extract(notes, '$.' || ?) = ? order by number desc limit 1"
        return next(iter(self._jobs(where, service, name, value)), None)

    def untold(self) -> list[Job]:
        """Return the jobs with an address in their note "webhook" that has not been told yet how they ended."""
        return self._jobs(
            "where json_extract(notes, '$.webhook') is not null and json_extract(notes, '$.told') is null"
        )

    def in_state(self, state: str) -> list[Job]:
        """Return the jobs in a state, the oldest first."""
        return self._jobs("where state = ? order by number", state)

    def ended(self, before: float) -> list[str]:
        """Return the ids of jobs that ended before a time, the earliest first."""
        rows = self._base.execute("select id from jobs where ended < ? order by ended", (before,))
        return [row["id"] for row in rows]

    def uses(self, upload: str) -> int:
        """Return how many jobs have an upload, as their input or as a file of an option."""
        row = self._base.execute(
            'select count(*) from jobs where upload = ? or instr("order", ?)', (upload, upload)
        ).fetchone()
        return int(row[0])

    def remove_job(self, key: str) -> None:
        """Forget a job."""
        self._base.execute("delete from jobs where id = ?", (key,))

    def _jobs(self, where: str, *values: object) -> list[Job]:
        return [Job(**_values(row)) for row in self._base.execute(f"select * from jobs {where}", values)]

    def _insert(self, table: str, values: dict[str, Any]) -> int:
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" * len(values))
        cursor = self._base.execute(f"insert into {table} ({names}) values ({marks})", tuple(_columns(values).values()))
        return int(cursor.lastrowid or 0)


def _columns(values: dict[str, Any]) -> dict[str, Any]:
    return {name: json.dumps(value) if name in _JSON else value for name, value in values.items()}


def _values(row: Iterable[Any]) -> dict[str, Any]:
    assert isinstance(row, sqlite3.Row)
    return {name: json.loads(row[name]) if name in _JSON else row[name] for name in row.keys()}  # noqa: SIM118
