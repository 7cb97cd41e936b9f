"""fal's interface: its queue, its synchronous form, uploads, and the proxy of its JavaScript client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Receive, Scope, Send

from birefvideo.errors import BirefvideoError
from birefvideo.serve.bodies import chunks_of, read_json
from birefvideo.serve.faults import RefusedError, not_found, refusal
from birefvideo.serve.names import new_id
from birefvideo.serve.order import Order
from birefvideo.serve.services.fal_endpoints import ENDPOINTS
from birefvideo.serve.services.fields import FieldError, read, shown
from birefvideo.serve.services.places import InlineBodies, base_of, take
from birefvideo.serve.services.results import file_view, progress_line, results, warnings_of, why_failed
from birefvideo.serve.services.signatures import JWKS, fals_public_keys
from birefvideo.serve.services.webhooks import check_webhook
from birefvideo.serve.store import CANCELED, QUEUED, SUCCEEDED, Job
from birefvideo.serve.studio import Studio
from birefvideo.serve.view import timestamp

Values = dict[str, Any]
SERVICE = "fal"
_HOSTS = {"queue.fal.run": "", "fal.run": "/fal/run", "rest.fal.ai": "/fal/rest", "rest.alpha.fal.ai": "/fal/rest"}
"""Where the proxy finds what its client asks of fal's hosts."""
_MOST_PENDING = 1000
"""Uploads that are begun and not sent."""


def routes(studio: Studio) -> list[BaseRoute]:
    """Return where it answers: the queue at the root, as its clients are given a host alone."""
    it = _Fal(studio)
    apps = sorted({endpoint.app for endpoint in ENDPOINTS.values()})
    found: list[BaseRoute] = []
    for name in ENDPOINTS:
        found.append(Route(f"/{name}", it.submit, methods=["POST"]))
        found.append(Route(f"/fal/run/{name}", it.run, methods=["POST"]))
    for name in dict.fromkeys([*apps, *ENDPOINTS]):
        at = f"/{name}/requests/{{key}}"
        found += [
            Route(at, it.result),
            Route(f"{at}/status", it.status),
            Route(f"{at}/status/stream", it.stream),
            Route(f"{at}/cancel", it.cancel, methods=["PUT"]),
        ]
    for owner in sorted({name.partition("/")[0] for name in ENDPOINTS}):
        found += [Route(f"{at}/{owner}/{{rest:path}}", it.unknown, methods=["POST"]) for at in ("", "/fal/run")]
    found += [
        Route("/fal/rest/storage/upload/initiate", it.begin_upload, methods=["POST"]),
        Route("/files/new/{key}", it.upload, methods=["PUT"]),
        *(Route(f"{before}{JWKS}", it.keys) for before in ("", "/fal/rest")),
    ]
    inner = Router(found)
    return [*found, Route("/fal/proxy", _Proxy(inner))]


def _answered(handler: Callable[..., Coroutine[Any, Any, Response]]) -> Callable[..., Coroutine[Any, Any, Response]]:
    """Let refusals come in fal's form."""

    @wraps(handler)
    async def wrapped(self: Any, request: Request) -> Response:
        try:
            return await handler(self, request)
        except BirefvideoError as error:
            return _refused(refusal(error))

    return wrapped


def _refused(error: RefusedError) -> Response:
    detail: Any = str(error)
    if isinstance(error, FieldError):
        detail = [{"loc": ["body", error.field], "msg": str(error), "type": error.kind}]
    elif error.status in (400, 422):
        detail = [{"loc": ["body"], "msg": str(error), "type": error.kind}]
    headers = {"x-fal-error-type": error.kind}
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    status = 422 if error.status == 400 else error.status
    return JSONResponse({"detail": detail, "error_type": error.kind}, status, headers)


class _Fal:
    """Answers requests; one method each."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._bodies = InlineBodies()
        self._begun: dict[str, str] = {}

    @_answered
    async def submit(self, request: Request) -> Response:
        job = await self._add(request)
        at = f"{base_of(request)}/{job.notes['endpoint']}/requests/{job.id}"
        return JSONResponse(
            {
                "status": "IN_QUEUE",
                "request_id": job.id,
                "response_url": at,
                "status_url": f"{at}/status",
                "cancel_url": f"{at}/cancel",
                "queue_position": self._studio.position(job),
                "logs": None,
                "metrics": {},
            }
        )

    @_answered
    async def run(self, request: Request) -> Response:
        job = await self._add(request)
        return await self._result(await self._studio.wait(job.id), base_of(request))

    @_answered
    async def status(self, request: Request) -> Response:
        view = self._status(self._job(request), request)
        return JSONResponse(view, 200 if view["status"] == "COMPLETED" else 202)

    @_answered
    async def stream(self, request: Request) -> Response:
        events = self._events(self._job(request), request)
        return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-store"})

    @_answered
    async def result(self, request: Request) -> Response:
        return await self._result(self._job(request), base_of(request))

    async def cancel(self, request: Request) -> Response:
        try:
            job = self._job(request)
        except BirefvideoError:
            return JSONResponse({"status": "NOT_FOUND"}, 404)
        if job.has_ended:
            return JSONResponse({"status": "ALREADY_COMPLETED"}, 400)
        await self._studio.cancel(job.id)
        return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202)

    @_answered
    async def unknown(self, request: Request) -> Response:
        name = request.url.path.removeprefix("/fal/run").strip("/")
        raise RefusedError(404, "not_found", f"{shown(name)} is not on this server: call {', '.join(ENDPOINTS)}")

    @_answered
    async def begin_upload(self, request: Request) -> Response:
        body = await read_json(request)
        if len(self._begun) >= _MOST_PENDING:
            self._begun.pop(next(iter(self._begun)))
        key = new_id()
        self._begun[key] = str(body.get("file_name") or "clip")
        at = f"{base_of(request)}/files/new/{key}"
        return JSONResponse({"upload_url": at, "file_url": at})

    @_answered
    async def upload(self, request: Request) -> Response:
        key = request.path_params["key"]
        if key not in self._begun:
            raise not_found("upload that was begun at that address")
        self._studio.check_announced(request.headers.get("content-length"))
        upload = await self._studio.receive(self._begun.pop(key), chunks_of(request), key)
        return JSONResponse({"file_url": f"{base_of(request)}/files/new/{upload.id}"})

    async def keys(self, request: Request) -> Response:
        return JSONResponse(fals_public_keys(self._studio.secret))

    def _job(self, request: Request) -> Job:
        job = self._studio.job(request.path_params["key"])
        if job.service != SERVICE:
            raise not_found("request of that id")
        return job

    async def _add(self, request: Request) -> Job:
        """Queue what a request asks for."""
        name = request.url.path.removeprefix("/fal/run").strip("/")
        endpoint, hook = ENDPOINTS[name], request.query_params.get("fal_webhook")
        values = read(endpoint.fields, await self._bodies.read(request))
        wish = endpoint.wish(values)
        order = Order.of(wish.options)
        if hook:
            await check_webhook(self._studio, "fal_webhook", hook)
        upload = await take(self._studio, request, endpoint.source, values[endpoint.source])
        notes = {
            "endpoint": name,
            "base": base_of(request),
            "roles": wish.roles,
            "more": wish.more,
            "finish": wish.finish,
            "inline": bool(values.get("sync_mode")),
            "webhook": {"url": hook, "events": ["completed"]} if hook else None,
        }
        return await self._studio.submit(upload.id, order, service=SERVICE, notes=notes)

    def _status(self, job: Job, request: Request) -> Values:
        with_logs = request.query_params.get("logs", "").lower() in ("1", "true")
        at = f"{base_of(request)}/{job.notes['endpoint']}/requests/{job.id}"
        found: Values = {"request_id": job.id, "response_url": at, "status_url": f"{at}/status"}
        found |= {"cancel_url": f"{at}/cancel", "logs": self._logs(job) if with_logs else [], "metrics": {}}
        if job.state == QUEUED:
            return {**found, "status": "IN_QUEUE", "queue_position": self._studio.position(job)}
        if not job.has_ended:
            return {**found, "status": "IN_PROGRESS"}
        if job.started and job.ended:
            found["metrics"] = {"inference_time": round(job.ended - job.started, 3)}
        if job.state != SUCCEEDED:
            found |= {"error": _why(job), "error_type": _error_type(job)}
        return {**found, "status": "COMPLETED"}

    def _logs(self, job: Job) -> list[Values]:
        lines = [line for line in (*self._studio.log(job), progress_line(job)) if line]
        at = timestamp(job.started or job.created)
        return [{"message": line, "level": "INFO", "source": "USER", "timestamp": at} for line in lines]

    async def _events(self, job: Job, request: Request) -> AsyncIterator[str]:
        while True:
            seen, job = self._studio.changes.count(job.id), self._studio.job(job.id)
            view = self._status(job, request)
            yield f"data: {json.dumps(view)}\n\n"
            if view["status"] == "COMPLETED":
                return
            await self._studio.changes.after(job.id, seen, 10.0)

    async def _result(self, job: Job, base: str) -> Response:
        if not job.has_ended:
            return JSONResponse({"detail": "Request is still in progress"}, 400, {"x-fal-request-id": job.id})
        headers = {"x-fal-request-id": job.id}
        if job.state != SUCCEEDED:
            kind = _error_type(job)
            status = 499 if job.state == CANCELED else 422
            detail = [{"loc": ["body"], "msg": _why(job), "type": kind}]
            return JSONResponse({"detail": detail, "error_type": kind}, status, headers)
        return JSONResponse(await payload(self._studio, job, base), headers=headers)


async def payload(studio: Studio, job: Job, base: str) -> Values:
    """Return the result of a job that has succeeded.

    Raises:
        BirefvideoError: a picture cannot be made.
    """
    paths = await results(studio, job)
    found: Values = dict(job.notes["more"])
    for role, number in job.notes["roles"].items():
        found[role] = await file_view(studio, base, job, paths[number], inline=job.notes["inline"])
    if warnings := warnings_of(job):
        found["warnings"] = warnings
    return found


async def news(studio: Studio, job: Job, event: str) -> Values:
    """Return what a webhook is told of the end."""
    found: Values = {"request_id": job.id, "gateway_request_id": job.id}
    if job.state == SUCCEEDED:
        try:
            return {**found, "status": "OK", "payload": await payload(studio, job, job.notes["base"])}
        except BirefvideoError as error:
            return {**found, "status": "OK", "payload": None, "payload_error": str(error)}
    detail = [{"loc": ["body"], "msg": _why(job), "type": _error_type(job)}]
    return {**found, "status": "ERROR", "error": _why(job), "payload": {"detail": detail}}


def _why(job: Job) -> str:
    return "the request was cancelled" if job.state == CANCELED else why_failed(job)


def _error_type(job: Job) -> str:
    return "request_cancelled" if job.state == CANCELED else str((job.error or {}).get("kind") or "failed")


class _Proxy:
    """Answers at one address what the client asks of fal's hosts: the header `x-fal-target-url` says what."""

    def __init__(self, inner: Router) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        target = request.headers.get("x-fal-target-url", "")
        try:
            parts = urlsplit(target)
            before = _HOSTS.get(parts.hostname or "") if parts.netloc else None
        except ValueError:
            before = None
        if before is None:
            error = RefusedError(400, "bad_target", f"x-fal-target-url is {shown(target)}: it is no address of fal's")
            await _refused(error)(scope, receive, send)
            return
        path = f"{before}{parts.path}".rstrip("/")
        asked = {**scope, "path": path, "raw_path": path.encode(), "query_string": parts.query.encode()}
        await self._inner(asked, receive, send)
