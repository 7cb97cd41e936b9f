"""Predictions, as Replicate's interface and Cog's call jobs: made of a request, and told."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from birefvideo.errors import BirefvideoError
from birefvideo.serve.faults import RefusedError, refusal
from birefvideo.serve.names import is_id
from birefvideo.serve.order import UPLOAD, Order, file_options
from birefvideo.serve.services.fields import Field, FieldError, read, shown
from birefvideo.serve.services.places import InlineBodies, base_of, output_address, take
from birefvideo.serve.services.programs import MATTE, PROGRAMS, Program, is_place
from birefvideo.serve.services.results import progress_line, why_failed
from birefvideo.serve.services.webhooks import EVENTS, check_webhook
from birefvideo.serve.store import QUEUED, RUNNING, SUCCEEDED, Job
from birefvideo.serve.studio import Studio
from birefvideo.serve.view import timestamp

Values = dict[str, Any]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_LONGEST_WAIT = 60.0
_STATES = {QUEUED: "starting", RUNNING: "processing"}
"""Their names of states; the others are called as ours."""

BODY = (
    Field("version", "owner/name, owner/name:version, or a version of this server's."),
    Field("input", "Inputs of the model.", "object", {}),
    Field("webhook", "Address that is told how it goes."),
    Field("webhook_events_filter", "What is told.", "array"),
    Field("webhook_completed", "Address that is told of the end alone."),
    Field("stream", "Whether it is followed by its stream.", "boolean", False),
    Field("id", "What the client calls it."),
)


def answered(handler: Callable[..., Coroutine[Any, Any, Response]]) -> Callable[..., Coroutine[Any, Any, Response]]:
    """Let refusals come in Replicate's form: title, detail, status, and the inputs that are wrong."""

    @wraps(handler)
    async def wrapped(self: Any, request: Request) -> Response:
        try:
            return await handler(self, request)
        except BirefvideoError as error:
            return problem(refusal(error))

    return wrapped


def problem(error: RefusedError) -> Response:
    """Return a refusal in Replicate's form."""
    body: Values = {"title": _title(error.status), "detail": str(error), "status": error.status, "type": error.kind}
    if isinstance(error, FieldError):
        body["detail"] = f"- input.{error.field}: {error}\n"
        body["invalid_fields"] = [{"type": error.kind, "field": f"input.{error.field}", "description": str(error)}]
    headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
    return JSONResponse(body, error.status, headers, media_type="application/problem+json")


def _title(status: int) -> str:
    titles = {400: "Bad request", 404: "Not found", 413: "Too large", 422: "Input validation failed", 429: "Busy"}
    return titles.get(status, "Refused")


def seconds_to_wait(request: Request) -> float:
    """Return how long the client waits for the result: `Prefer: wait=N`."""
    found = re.search(r"\bwait(?:=(\d{1,6}))?", request.headers.get("prefer", ""))
    return 0.0 if found is None else min(_LONGEST_WAIT, float(found[1] or _LONGEST_WAIT))


class Predictions:
    """Makes and tells them.

    Args:
        studio: the jobs.
        service: as which interface's jobs they count.
    """

    def __init__(self, studio: Studio, service: str) -> None:
        self._studio = studio
        self._service = service
        self._bodies = InlineBodies()

    async def read(self, request: Request) -> Values:
        """Return the fields of a request for a prediction.

        Raises:
            RefusedError: it is no such request.
        """
        return read(BODY, await self._bodies.read(request))

    async def create(self, request: Request, program: Program, body: Values, key: str = "") -> Job:
        """Queue a job.

        Raises:
            BirefvideoError: as `Studio.submit`; an input or address is refused.
        """
        given: Values = body["input"]
        options = program.options(given)
        hook = await self._webhook(body)
        taken = {}
        for name in file_options():
            if is_place(options.get(name)):
                taken[name] = await take(self._studio, request, name, options[name], is_clip=False)
                options[name] = f"{UPLOAD}{taken[name].id}"
        order = Order.of(options)
        source = program.source
        taken[source] = upload = await take(self._studio, request, source, given[source])
        base = base_of(request)
        places = {name: f"{base}/v1/files/{one.id}" for name, one in taken.items()}
        notes = {"program": program.name, "input": {**given, **places}, "base": base, "webhook": hook}
        notes["key"] = key or None
        return await self._studio.submit(upload.id, order, service=self._service, notes=notes)

    def get(self, key: str) -> Job:
        """Return a prediction's job.

        Raises:
            RefusedError: there is none of that id.
        """
        if is_id(key) and self._studio.store.job(key):
            return self._studio.job(key)
        own = self._studio.store.noted(self._service, "key", key)
        return self._studio.job(own.id if own else key)

    async def wait(self, job: Job, deadline: float) -> Job:
        """Return a job once it has ended, or as it is at a time of `time.monotonic`."""
        return await self._studio.wait(job.id, max(0.0, deadline - time.monotonic()))

    def view(self, job: Job, base: str = "", *, is_still_starting: bool = False) -> Values:
        """Return a prediction as JSON values.

        Args:
            job: the job.
            base: how the client calls this server; '' as it did when it made it.
            is_still_starting: whether the client would take anything but `starting` for the end.
        """
        base = base or str(job.notes.get("base", ""))
        program = PROGRAMS.get(job.notes.get("program", MATTE), PROGRAMS[MATTE])
        key = job.notes.get("key") or job.id
        at = f"{base}/v1/predictions/{key}"
        urls = {"get": at, "cancel": f"{at}/cancel", "stream": f"{at}/stream", "web": f"{base}/"}
        taken = None if job.started is None or job.ended is None else round(job.ended - job.started, 3)
        return {
            "id": key,
            "model": program.name,
            "version": program.version,
            "status": "starting" if is_still_starting else _STATES.get(job.state, job.state),
            "input": job.notes.get("input", {}),
            "output": self._output(job, base, program),
            "logs": self.logs(job),
            "error": why_failed(job) if job.state == "failed" else None,
            "created_at": timestamp(job.created),
            "started_at": timestamp(job.started),
            "completed_at": timestamp(job.ended),
            "metrics": {} if taken is None else {"predict_time": taken},
            "urls": urls,
            "data_removed": False,
            "source": "api",
        }

    def logs(self, job: Job) -> str:
        """Return what a job has said, and how far it is."""
        return "\n".join(filter(None, (*self._studio.log(job), progress_line(job))))

    def _output(self, job: Job, base: str, program: Program) -> list[str] | str | None:
        if job.state != SUCCEEDED:
            return None
        found = [output_address(base, job, path) for path in self._studio.outputs(job)]
        return found if program.is_list else found[0]

    async def _webhook(self, body: Values) -> Values | None:
        url, asked = body["webhook"], body["webhook_events_filter"]
        events = list(EVENTS) if asked is None else asked
        if url is None and body["webhook_completed"] is not None:
            url, events = body["webhook_completed"], ["completed"]
        if wrong := [event for event in events if event not in EVENTS]:
            raise FieldError(
                "webhook_events_filter", f"webhook_events_filter has {shown(wrong[0])}: name {', '.join(EVENTS)}"
            )
        if not url:
            return None
        await check_webhook(self._studio, "webhook", url)
        return {"url": url, "events": events}


async def news(studio: Studio, job: Job, event: str) -> Values:
    """Return what a webhook is told."""
    return Predictions(studio, job.service).view(job)
