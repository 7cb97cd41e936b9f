"""Replicate's interface: files, models, predictions and their streams, as its clients speak with it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from birefvideo.errors import OptionError
from birefvideo.serve.bodies import read_form
from birefvideo.serve.faults import RefusedError
from birefvideo.serve.files import file_answer
from birefvideo.serve.services.fields import FieldError, shown
from birefvideo.serve.services.places import base_of, content_type
from birefvideo.serve.services.predictions import Predictions, answered, news, seconds_to_wait
from birefvideo.serve.services.programs import PROGRAMS, Program
from birefvideo.serve.services.signatures import replicates_secret
from birefvideo.serve.store import SUCCEEDED, Upload
from birefvideo.serve.studio import Studio
from birefvideo.serve.view import timestamp

__all__ = ["news", "routes"]

SERVICE = "replicate"
_LISTED = 100
"""Predictions of a page of the list."""


def routes(studio: Studio) -> list[BaseRoute]:
    """Return where it answers."""
    it = _Replicate(studio)
    one, model = "/v1/predictions/{key}", "/v1/models/{owner}/{name}"
    return [
        Route("/v1/files", it.add_file, methods=["POST"]),
        Route("/v1/files", it.files),
        Route("/v1/files/{key}", it.file),
        Route("/v1/files/{key}", it.remove_file, methods=["DELETE"]),
        Route("/v1/files/{key}/download", it.download),
        Route("/v1/predictions", it.predictions),
        Route("/v1/predictions", it.add_by_version, methods=["POST"]),
        Route(f"{model}/predictions", it.add_by_model, methods=["POST"]),
        Route(one, it.prediction),
        Route(f"{one}/cancel", it.cancel, methods=["POST"]),
        Route(f"{one}/stream", it.stream),
        Route("/v1/webhooks/default/secret", it.secret),
        Route(model, it.model),
        Route(f"{model}/versions", it.versions),
        Route(f"{model}/versions/{{version}}", it.version),
    ]


class _Replicate:
    """Answers requests; one method each."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._predictions = Predictions(studio, SERVICE)

    @answered
    async def add_file(self, request: Request) -> Response:
        form = await read_form(self._studio, request)
        upload = form.files.get("content")
        if upload is None:
            raise FieldError("content", "content is missing: send the file in the form's field content", "missing")
        if form.texts.get("metadata", "{}") not in ("", "{}", "null"):
            raise FieldError("metadata", "metadata is not kept by this server: leave it out")
        return JSONResponse(_file_view(upload, base_of(request)), 201)

    @answered
    async def files(self, request: Request) -> Response:
        found = [_file_view(upload, base_of(request)) for upload in self._studio.store.uploads(_LISTED)]
        return JSONResponse({"previous": None, "next": None, "results": found})

    @answered
    async def file(self, request: Request) -> Response:
        return JSONResponse(_file_view(self._studio.upload(request.path_params["key"]), base_of(request)))

    @answered
    async def remove_file(self, request: Request) -> Response:
        self._studio.remove_upload(request.path_params["key"])
        return Response(status_code=204)

    @answered
    async def download(self, request: Request) -> Response:
        return file_answer(self._studio.upload_path(request.path_params["key"]), as_download=True)

    @answered
    async def predictions(self, request: Request) -> Response:
        cursor = request.query_params.get("cursor", "")
        if cursor and not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 16):
            raise OptionError(f"cursor is {shown(cursor)}: take the address in next as it is")
        found = self._studio.jobs(_LISTED, int(cursor) if cursor else None, SERVICE)
        base = base_of(request)
        more = f"{base}/v1/predictions?cursor={found[-1].number}" if len(found) == _LISTED else None
        shown_jobs = [self._predictions.view(job, base) for job in found]
        return JSONResponse({"previous": None, "next": more, "results": shown_jobs})

    @answered
    async def add_by_model(self, request: Request) -> Response:
        return await self._add(request, _program(request), await self._predictions.read(request))

    @answered
    async def add_by_version(self, request: Request) -> Response:
        body = await self._predictions.read(request)
        return await self._add(request, _program_of_version(body["version"]), body)

    @answered
    async def prediction(self, request: Request) -> Response:
        return JSONResponse(self._predictions.view(self._predictions.get(request.path_params["key"]), base_of(request)))

    @answered
    async def cancel(self, request: Request) -> Response:
        job = await self._studio.cancel(self._predictions.get(request.path_params["key"]).id)
        return JSONResponse(self._predictions.view(job, base_of(request)))

    @answered
    async def stream(self, request: Request) -> Response:
        job = self._predictions.get(request.path_params["key"])
        events = self._events(job.id, base_of(request))
        return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-store"})

    @answered
    async def secret(self, request: Request) -> Response:
        return JSONResponse({"key": replicates_secret(self._studio.secret)})

    @answered
    async def model(self, request: Request) -> Response:
        return JSONResponse(_model_view(_program(request), base_of(request)))

    @answered
    async def versions(self, request: Request) -> Response:
        return JSONResponse({"previous": None, "next": None, "results": [_version_view(_program(request))]})

    @answered
    async def version(self, request: Request) -> Response:
        program = _program(request)
        if request.path_params["version"] != program.version:
            raise _no_version(program.name)
        return JSONResponse(_version_view(program))

    async def _add(self, request: Request, program: Program, body: dict[str, Any]) -> Response:
        seconds = seconds_to_wait(request)
        deadline = time.monotonic() + seconds
        job = await self._predictions.create(request, program, body)
        if seconds:
            job = await self._predictions.wait(job, deadline)
        is_waiting = bool(seconds) and not job.has_ended
        view = self._predictions.view(job, base_of(request), is_still_starting=is_waiting)
        return JSONResponse(view, 202 if is_waiting else 201)

    async def _events(self, key: str, base: str) -> AsyncIterator[str]:
        """Yield what the job says, then where its outputs are, each with a number of its own."""
        lines = number = 0
        while True:
            seen, job = self._studio.changes.count(key), self._studio.job(key)
            log = self._studio.log(job)
            for line in log[lines:]:
                number += 1
                yield _event("logs", line, number)
            lines = len(log)
            if job.has_ended:
                break
            while await self._studio.changes.after(key, seen, 15.0) == seen:
                yield ": still here\n\n"
        view = self._predictions.view(job, base)
        outputs = view["output"] if isinstance(view["output"], list) else [view["output"]]
        for output in outputs if job.state == SUCCEEDED else ():
            number += 1
            yield _event("output", output, number)
        if view["error"]:
            yield _event("error", view["error"], number + 1)
            return
        reason = {} if job.state == SUCCEEDED else {"reason": job.state}
        yield _event("done", json.dumps(reason), number + 1)


def _event(kind: str, text: str, number: int) -> str:
    data = "".join(f"data: {line}\n" for line in text.splitlines() or [""])
    return f"event: {kind}\nid: {number}\n{data}\n"


def _program(request: Request) -> Program:
    return _named(f"{request.path_params['owner']}/{request.path_params['name']}")


def _named(name: str) -> Program:
    if name not in PROGRAMS:
        raise RefusedError(
            404, "not_found", f"there is no model {shown(name)} on this server: run {' or '.join(PROGRAMS)}"
        )
    return PROGRAMS[name]


def _program_of_version(version: str | None) -> Program:
    """Return what a version means: one of ours, or a name with or without one."""
    if not version:
        raise FieldError("version", f"version is missing: name {' or '.join(PROGRAMS)}", "missing")
    name, _, wanted = version.rpartition(":") if ":" in version else (version, "", "")
    if "/" in name:
        program = _named(name)
        if wanted and wanted != program.version:
            raise _no_version(name)
        return program
    for program in PROGRAMS.values():
        if version == program.version:
            return program
    raise _no_version("owner/name")


def _no_version(name: str) -> RefusedError:
    return RefusedError(
        422, "no_version", f"that version is not here, since its weights are the service's own: run {name} without one"
    )


def _file_view(upload: Upload, base: str) -> dict[str, Any]:
    at = f"{base}/v1/files/{upload.id}"
    return {
        "id": upload.id,
        "name": upload.name,
        "content_type": content_type(Path(upload.name)),
        "size": upload.bytes,
        "etag": upload.id,
        "checksums": {},
        "metadata": {},
        "created_at": timestamp(upload.created),
        "expires_at": None,
        "urls": {"get": at, "download": f"{at}/download"},
    }


def _version_view(program: Program) -> dict[str, Any]:
    described = {"openapi": "3.0.2", "info": {"title": program.name, "version": "0.1.0"}, "paths": {}}
    return {
        "id": program.version,
        "created_at": timestamp(0.0),
        "cog_version": "0.16.0",
        "openapi_schema": {**described, "components": {"schemas": program.schemas}},
    }


def _model_view(program: Program, base: str) -> dict[str, Any]:
    owner, _, name = program.name.partition("/")
    return {
        "url": f"{base}/v1/models/{program.name}",
        "owner": owner,
        "name": name,
        "description": program.help,
        "visibility": "public",
        "github_url": None,
        "paper_url": None,
        "license_url": None,
        "run_count": 0,
        "cover_image_url": None,
        "default_example": None,
        "latest_version": _version_view(program),
    }
