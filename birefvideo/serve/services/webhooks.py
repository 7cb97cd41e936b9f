"""Tells addresses that clients have named how their jobs go: again after a restart, and never private ones.

An address is checked as those of clips are (`--urls`), when it is named and at each call; no redirect is followed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx

from birefvideo.errors import BirefvideoError
from birefvideo.serve.faults import RefusedError
from birefvideo.serve.fetch import request_to
from birefvideo.serve.live import ANY
from birefvideo.serve.services.fields import FieldError
from birefvideo.serve.store import SUCCEEDED, Job
from birefvideo.serve.studio import Studio

if TYPE_CHECKING:
    from birefvideo.serve.services import Service

EVENTS = ("start", "output", "logs", "completed")
"""What can be told; `completed` is told again and again until somebody has taken it."""
_PAUSES = (1.0, 4.0, 15.0, 60.0, 240.0)
"""Seconds before each further try."""
_SILENCE = 15.0
_EVERY = 0.5
"""Seconds between two looks at a job that runs: as often as hosted services tell of logs."""


async def check_webhook(studio: Studio, field: str, url: str) -> None:
    """Refuse an address that must not be called.

    Raises:
        FieldError: it is one.
    """
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            await request_to(client, "POST", url, studio.settings.urls)
        except RefusedError as error:
            why = str(error).removeprefix("the address cannot be fetched: ")
            raise FieldError(field, f"{field} cannot be called: {why}") from None


class Messenger:
    """Calls the addresses, from its start until it is cancelled.

    Args:
        studio: the jobs; their note "webhook" has `url` and `events`.
        services: what each of them tells.
    """

    def __init__(self, studio: Studio, services: Mapping[str, Service]) -> None:
        self._studio = studio
        self._services = services
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Follow jobs with a webhook: those there already, and new ones."""
        try:
            async with httpx.AsyncClient(timeout=_SILENCE, trust_env=False, follow_redirects=False) as client:
                while True:
                    seen = self._studio.changes.count(ANY)
                    for job in self._studio.store.untold():
                        if job.id not in self._tasks:
                            self._tasks[job.id] = asyncio.create_task(self._follow(client, job))
                    await self._studio.changes.after(ANY, seen)
                    await asyncio.sleep(_EVERY)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _follow(self, client: httpx.AsyncClient, job: Job) -> None:
        """Tell of one job until it has ended."""
        events, told, lines = set(job.notes["webhook"]["events"]), set[str](), 0
        while True:
            seen = self._studio.changes.count(job.id)
            try:
                job = self._studio.job(job.id)
            except RefusedError:  # it was deleted
                return
            if job.started is not None and "start" in events - told:  # also where it has ended since
                told.add("start")
                await self._tell(client, job, "start")
            if "logs" in events and lines < (now := len(self._studio.log(job))):
                lines = now
                await self._tell(client, job, "logs")
            if job.has_ended:
                break
            await self._studio.changes.after(job.id, seen)
            await asyncio.sleep(_EVERY)
        if job.state == SUCCEEDED and "output" in events:
            await self._tell(client, job, "output")
        answer = await self._tell_end(client, job) if "completed" in events else "not asked for"
        self._studio.note(job.id, told=answer)

    async def _tell_end(self, client: httpx.AsyncClient, job: Job) -> str:
        """Tell how a job has ended until it is taken; return the last answer."""
        answer = await self._tell(client, job, "completed")
        for pause in _PAUSES:
            if answer.startswith("2"):
                break
            await asyncio.sleep(pause)
            answer = await self._tell(client, job, "completed")
        return answer

    async def _tell(self, client: httpx.AsyncClient, job: Job, event: str) -> str:
        """Call the address once; return the status, or why there is none."""
        service, url = self._services[job.service], job.notes["webhook"]["url"]
        try:
            content = json.dumps(await service.news(self._studio, job, event)).encode()
            headers = {"content_type": "application/json", **service.sign(self._studio, job, content)}
            request = await request_to(client, "POST", url, self._studio.settings.urls, content=content, **headers)
            answer = await client.send(request)
        except (httpx.HTTPError, BirefvideoError, OSError) as error:  # of the last kind where its files are gone
            return f"no answer ({error or type(error).__name__})"
        return str(answer.status_code)


async def nothing(studio: Studio, job: Job, event: str) -> dict[str, Any]:
    """Tell nothing: for services without webhooks."""
    return {}
