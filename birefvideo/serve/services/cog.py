"""Cog's HTTP interface, which Replicate's containers speak: one program, `birefvideo/matte`, on this server."""

from __future__ import annotations

import re
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from birefvideo.errors import BirefvideoError
from birefvideo.serve.faults import RefusedError, refusal
from birefvideo.serve.services.fields import FieldError
from birefvideo.serve.services.places import base_of
from birefvideo.serve.services.predictions import Predictions, news
from birefvideo.serve.services.programs import MATTE, PROGRAMS
from birefvideo.serve.services.webhooks import EVENTS
from birefvideo.serve.store import Job
from birefvideo.serve.studio import Studio
from birefvideo.serve.view import timestamp

__all__ = ["news", "routes"]

SERVICE = "cog"
_SHOWN = (
    *("id", "version", "status", "input", "output", "logs", "error"),
    *("created_at", "started_at", "completed_at", "metrics"),
)
PLACES = {
    "docs_url": "/docs",
    "openapi_url": "/openapi.json",
    "healthcheck_url": "/health-check",
    "predictions_url": "/predictions",
    "predictions_idempotent_url": "/predictions/{prediction_id}",
    "predictions_cancel_url": "/predictions/{prediction_id}/cancel",
}
"""What is at / for who asks for JSON."""
_KEY = re.compile(r"[\w.-]{1,64}")


def routes(studio: Studio) -> list[BaseRoute]:
    """Return where it answers; /openapi.json, which describes our own interface too, is among the pages."""
    it = _Cog(studio)
    return [
        Route("/health-check", it.health),
        Route("/predictions", it.add, methods=["POST"]),
        Route("/predictions/{key}", it.put, methods=["PUT"]),
        Route("/predictions/{key}/cancel", it.cancel, methods=["POST"]),
    ]


def with_cog(description: dict[str, Any]) -> dict[str, Any]:
    """Return the description of our own interface with Cog's paths and schemas in it, where its clients look."""
    text = {"type": "string"}
    fields = {"id": text, "webhook": text, "webhook_events_filter": {"type": "array", "items": {"enum": list(EVENTS)}}}
    body = {"type": "object", "properties": {"input": {"$ref": "#/components/schemas/Input"}, **fields}}
    made = {"$ref": "#/components/schemas/PredictionResponse"}
    key = {"name": "prediction_id", "in": "path", "required": True, "schema": {"type": "string"}}
    prefer = {"name": "prefer", "in": "header", "required": False, "schema": {"type": "string"}}
    sent = {"required": True, "content": {"application/json": {"schema": body}}}
    states = {"enum": ["starting", "processing", "succeeded", "canceled", "failed"]}
    answer = {
        "type": "object",
        "properties": {
            **{name: {} for name in _SHOWN},
            "status": states,
            "input": {"$ref": "#/components/schemas/Input"},
            "output": {"$ref": "#/components/schemas/Output"},
        },
    }
    paths = {
        "/health-check": {"get": _does("Whether predictions are taken", "200", {"type": "object"})},
        "/predictions": {"post": _does("Make a prediction", "200", made, prefer, body=sent)},
        "/predictions/{prediction_id}": {"put": _does("Make one of this id", "200", made, key, prefer, body=sent)},
        "/predictions/{prediction_id}/cancel": {"post": _does("Cancel it", "200", {"type": "object"}, key)},
    }
    schemas = {**PROGRAMS[MATTE].schemas, "PredictionResponse": answer}
    parts = description["components"]
    return {
        **description,
        "paths": {**description["paths"], **paths},
        "components": {**parts, "schemas": {**parts["schemas"], **schemas}},
    }


def _does(summary: str, status: str, schema: Any, *parameters: Any, body: Any = None) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}}
    errors = {"4XX": {"description": "What was wrong: detail."}, "202": {"description": "Begun.", "content": content}}
    found = {"summary": summary, "responses": {status: {"description": "Done.", "content": content}, **errors}}
    return {
        **found,
        **({"parameters": list(parameters)} if parameters else {}),
        **({"requestBody": body} if body else {}),
    }


class _Cog:
    """Answers requests; one method each."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._predictions = Predictions(studio, SERVICE)
        self._since = timestamp(time.time())

    async def health(self, request: Request) -> Response:
        is_full = self._studio.waiting >= self._studio.settings.most_waiting
        setup = {"started_at": self._since, "completed_at": self._since, "status": "succeeded", "logs": ""}
        return JSONResponse({"status": "BUSY" if is_full else "READY", "setup": setup, "concurrency": {"max": 1}})

    async def add(self, request: Request) -> Response:
        try:
            return await self._add(request, "")
        except BirefvideoError as error:
            return _refused(refusal(error))

    async def put(self, request: Request) -> Response:
        """Make a prediction of the client's own id, or tell that it is there already."""
        key = request.path_params["key"]
        try:
            if not _KEY.fullmatch(key):
                raise FieldError("id", "the id has more than letters, digits, '_', '.' and '-': give up to 64 of these")
            job = self._studio.store.noted(SERVICE, "key", key)
            return self._told(job, 202) if job and not job.has_ended else await self._add(request, key)
        except BirefvideoError as error:
            return _refused(refusal(error))

    async def cancel(self, request: Request) -> Response:
        try:
            await self._studio.cancel(self._predictions.get(request.path_params["key"]).id)
        except BirefvideoError as error:
            return _refused(refusal(error))
        return JSONResponse({})

    async def _add(self, request: Request, key: str) -> Response:
        body = await self._predictions.read(request)
        if body["version"] not in (None, PROGRAMS[MATTE].version):
            raise FieldError("version", "that version is not here: leave it out")
        key = key or body["id"] or ""
        job = await self._predictions.create(request, PROGRAMS[MATTE], body, key)
        if "respond-async" in request.headers.get("prefer", ""):
            return self._told(job, 202, base_of(request))
        job = await self._studio.wait(job.id)
        return self._told(job, 200, base_of(request))

    def _told(self, job: Job, status: int, base: str = "") -> Response:
        view = self._predictions.view(job, base)
        return JSONResponse({name: view[name] for name in _SHOWN}, status)


def _refused(error: RefusedError) -> Response:
    """Return a refusal in Cog's form: that of FastAPI for inputs, and `detail` alone for the rest."""
    headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
    detail: Any = str(error)
    if isinstance(error, FieldError):
        detail = [{"loc": ["body", "input", error.field], "msg": str(error), "type": error.kind}]
    return JSONResponse({"detail": detail}, 409 if error.status == 429 else error.status, headers)
