"""Our own interface, `/v1/jobs` and its like, which the page uses too."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from dataclasses import fields
from hashlib import blake2b
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from birefvideo import __version__
from birefvideo.errors import OptionError
from birefvideo.jobs.options import Options
from birefvideo.serve.bodies import content_type, read_form, read_json, receive_raw
from birefvideo.serve.faults import RefusedError, not_found
from birefvideo.serve.fetch import fetch
from birefvideo.serve.files import file_answer, zip_answer
from birefvideo.serve.folder_window import open_folder
from birefvideo.serve.order import CHOICES, UPLOAD, Order, is_flag, takes_file
from birefvideo.serve.settings import is_loopback
from birefvideo.serve.status import tagged
from birefvideo.serve.store import SUCCEEDED, Job, Upload
from birefvideo.serve.studio import Studio
from birefvideo.serve.view import Views, outputs_view, upload_view

_CLIP = ("video", "file", "image")
"""Names of the field that holds the clip."""
_BEAT = 15.0
"""Seconds after which a stream of events says that it is still there."""


class Api:
    """Answers requests; one method each."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self.views = Views(studio)

    def routes(self) -> list[BaseRoute]:
        """Return where it answers."""
        job, upload = "/v1/jobs/{key}", "/v1/uploads/{key}"
        return [
            Route("/v1/health", self.health),
            Route("/v1/options", self.options),
            Route("/v1/formats", self.formats),
            Route("/v1/models", self.models),
            Route("/v1/uploads", self.add_upload, methods=["POST"]),
            Route(upload, self.upload),
            Route(upload, self.remove_upload, methods=["DELETE"]),
            Route(f"{upload}/file", self.upload_file),
            Route(f"{upload}/frame", self.frame),
            Route(f"{upload}/frame", self.marked_frame, methods=["POST"]),
            Route(f"{upload}/picture", self.picture),
            Route(f"{upload}/advice", self.advice),
            Route("/v1/jobs", self.jobs),
            Route("/v1/jobs", self.add_job, methods=["POST"]),
            Route(job, self.job),
            Route(job, self.remove_job, methods=["DELETE"]),
            Route(f"{job}/cancel", self.cancel, methods=["POST"]),
            Route(f"{job}/events", self.events),
            Route(f"{job}/log", self.log),
            Route(f"{job}/open", self.open_folder, methods=["POST"]),
            Route(f"{job}/outputs", self.outputs),
            Route(f"{job}/outputs/{{name}}", self.output),
        ]

    async def health(self, request: Request) -> Response:
        """Say that the server is there."""
        running = self._studio.waiting
        limits = {"upload": self._studio.settings.most_upload, "waiting": self._studio.settings.most_waiting}
        return JSONResponse({"status": "ok", "version": __version__, "waiting": running, "limits": limits})

    async def options(self, request: Request) -> Response:
        """Return every option of a job."""
        return JSONResponse({"options": [*map(_option, fields(Options)), *_choices()]})

    async def formats(self, request: Request) -> Response:
        """Return the formats that can be written."""
        return JSONResponse({"formats": (await self._studio.ask("catalogue"))["formats"]})

    async def models(self, request: Request) -> Response:
        """Return the models, and which of them are here."""
        return JSONResponse({"models": (await self._studio.ask("catalogue"))["models"]})

    async def add_upload(self, request: Request) -> Response:
        """Take a clip or picture: as a form, as a raw body, or by its address."""
        upload, rest = await self._received(request)
        if rest:
            raise OptionError(f"there is no field {next(iter(rest))!r}: send the file alone, its options with the job")
        return JSONResponse(upload_view(upload), 201, {"location": f"/v1/uploads/{upload.id}"})

    async def upload(self, request: Request) -> Response:
        """Return what an upload is."""
        return JSONResponse(upload_view(self._studio.upload(request.path_params["key"])))

    async def remove_upload(self, request: Request) -> Response:
        """Remove an upload that no job has."""
        self._studio.remove_upload(request.path_params["key"])
        return Response(status_code=204)

    async def upload_file(self, request: Request) -> Response:
        """Return the file itself, with ranges."""
        return file_answer(self._studio.upload_path(request.path_params["key"]), as_download=False)

    async def frame(self, request: Request) -> Response:
        """Return one frame as PNG with alpha, cut out with the built-in model at once."""
        return await self._frame(request, dict(request.query_params))

    async def marked_frame(self, request: Request) -> Response:
        """Return one frame likewise, with the marks of the body done to it."""
        return await self._frame(request, await read_json(request))

    async def picture(self, request: Request) -> Response:
        """Return one frame as it is, as JPEG."""
        found = await self._look(request, "source", time=request.query_params.get("time"))
        return _picture(found, "jpeg")

    async def _frame(self, request: Request, values: dict[str, Any]) -> Response:
        time, marks = values.pop("time", None), values.pop("marks", None)
        if not (time is None or isinstance(time, str | int | float)) or not (marks is None or isinstance(marks, dict)):
            raise OptionError("time is to be a number, and marks what a file of marks holds")
        options = Order.of(values).options
        at = None if time is None else str(time)
        found = await self._look(request, "frame", time=at, options=options, marks=marks)
        return _picture(found, "png")

    async def _look(self, request: Request, do: str, **values: Any) -> dict[str, Any]:
        key, pixels = request.path_params["key"], self._studio.settings.most_pixels
        path = str(self._studio.upload_path(key))
        self._studio.store.touch_upload(key)
        return await self._studio.ask(do, path=path, most_pixels=pixels, **values)

    async def advice(self, request: Request) -> Response:
        """Return which model the clip asks for, and why."""
        path = str(self._studio.upload_path(request.path_params["key"]))
        query = request.query_params
        return JSONResponse(await self._studio.ask("advise", path=path, start=query.get("start"), end=query.get("end")))

    async def jobs(self, request: Request) -> Response:
        """Return the newest jobs."""
        most = _number(request.query_params, "limit", 50, 500)
        before = _number(request.query_params, "before", None, None)
        found = self._studio.store.newest(most or 0, before)
        more = found[-1][1] if found and len(found) == most else None
        jobs, tags = zip(*(self.views.tagged(key) for key, _ in found), strict=True) if found else ((), ())
        body = b'{"jobs":[%b],"before":%b}' % (b",".join(jobs), json.dumps(more).encode())
        return tagged(request, body, b'"%b"' % blake2b(b"".join(tags), digest_size=9).hexdigest().encode())

    async def add_job(self, request: Request) -> Response:
        """Queue a job: its clip as a form, as a raw body, by its address, or as an upload that is there already."""
        upload, rest = await self._received(request)
        job = await self._studio.submit(upload.id, Order.of(rest))
        return _json(self.views(job.id), 201, {"location": f"/v1/jobs/{job.id}"})

    async def job(self, request: Request) -> Response:
        """Return how a job is."""
        return tagged(request, *self.views.tagged(request.path_params["key"]))

    async def remove_job(self, request: Request) -> Response:
        """Remove a job, its outputs, and its input if it has no other."""
        await self._studio.remove(self._job(request).id)
        return Response(status_code=204)

    async def cancel(self, request: Request) -> Response:
        """Stop a job, and remove what it has made so far."""
        return _json(self.views((await self._studio.cancel(self._job(request).id)).id))

    async def events(self, request: Request) -> Response:
        """Return how a job is, again and again until it has ended, as server-sent events."""
        job = self._job(request)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._events(job.id), media_type="text/event-stream", headers=headers)

    async def log(self, request: Request) -> Response:
        """Return what a job has said."""
        return JSONResponse({"lines": self._studio.log(self._job(request))})

    async def outputs(self, request: Request) -> Response:
        """Return what a job has made."""
        return JSONResponse({"outputs": outputs_view(self._studio, self._job(request))})

    async def output(self, request: Request) -> Response:
        """Return one output, with ranges; a folder of pictures as a zip."""
        job, name = self._job(request), request.path_params["name"]
        for path in (*self._studio.outputs(job), *self._studio.extras(job)):
            if name == path.name and not path.is_dir():
                return file_answer(path, as_download="download" in request.query_params)
            if name == f"{path.name}.zip" and path.is_dir():
                return zip_answer(path)
        raise not_found("output of that name")

    async def open_folder(self, request: Request) -> Response:
        """Show a job's folder in the file manager of this machine, for who sits in front of it."""
        job = self._job(request)
        is_here = request.client is not None and is_loopback(request.client.host)
        if not self._studio.settings.is_local or not is_here:
            raise RefusedError(403, "not_here", "the folder is on another machine: download the files")
        if job.state != SUCCEEDED:
            raise RefusedError(409, "not_done", "there is nothing in the folder yet: wait until the job has succeeded")
        await asyncio.to_thread(open_folder, self._studio.data.job(job.id))
        return Response(status_code=204)

    def _job(self, request: Request) -> Job:
        return self._studio.job(request.path_params["key"])

    async def _received(self, request: Request) -> tuple[Upload, dict[str, Any]]:
        """Return the clip of a request, and its other fields."""
        kind = content_type(request)
        if kind == "application/json":
            values = await read_json(request)
            upload = await self._named(values)
            if isinstance(values.get("marks"), dict):
                values["marks"] = f"{UPLOAD}{(await self._kept(values['marks'])).id}"
            return upload, values
        if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
            form = await read_form(self._studio, request)
            clips = [form.files.pop(name) for name in _CLIP if name in form.files]
            values = {**form.texts, **{name: f"{UPLOAD}{file.id}" for name, file in form.files.items()}}
            return clips[0] if clips else await self._named(values), values
        values = dict(request.query_params)
        values.pop("name", None)
        Order.of(values)  # before a large file is sent for nothing
        return await receive_raw(self._studio, request), values

    async def _kept(self, marks: dict[str, Any]) -> Upload:
        """Return the upload that marks inside a body become."""

        async def whole() -> AsyncIterator[bytes]:
            yield json.dumps(marks).encode()

        return await self._studio.receive("marks.json", whole(), is_clip=False)

    async def _named(self, values: dict[str, Any]) -> Upload:
        key, url = values.pop("upload", None), values.pop("video_url", None)
        if isinstance(key, str) and url is None:
            return self._studio.upload(key)
        if isinstance(url, str) and key is None:
            Order.of(values)
            return await fetch(self._studio, url)
        raise RefusedError(
            400, "no_clip", "no clip is named: send a file as 'video', or name an upload, or a video_url"
        )

    async def _events(self, key: str) -> AsyncIterator[str]:
        while True:
            seen = self._studio.changes.count(key)
            try:
                job, shown = self._studio.job(key), self.views(key).decode()
            except RefusedError:
                yield "event: gone\ndata: {}\n\n"
                return
            yield f"event: job\ndata: {shown}\n\n"
            if job.has_ended or self._studio.is_closing:
                return
            while await self._studio.changes.after(key, seen, _BEAT) == seen:
                yield ": still here\n\n"
            await asyncio.sleep(0.05)  # a job tells of each frame, which is more than anybody watches


def _json(text: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(text, status, headers, media_type="application/json")


def _picture(found: dict[str, Any], kind: str) -> Response:
    headers = {"cache-control": "private, max-age=3600", "x-frame-time": str(found["time"])}
    return Response(b64decode(found[kind]), media_type=f"image/{kind}", headers=headers)


def _option(option: Any) -> dict[str, Any]:
    shown = option.metadata
    kind = "boolean" if is_flag(option.name) else "file" if takes_file(option.name) else "text"
    default = option.default if isinstance(option.default, str | int | float | bool) else None
    return {
        "name": option.name,
        "kind": kind,
        "help": shown["help"],
        "group": shown["group"],
        "value": shown["metavar"],
        "default": default,
    }


def _choices() -> list[dict[str, Any]]:
    return [
        {"name": name, "kind": "text" if name == "to" else "boolean", "help": text, "group": "Common", "value": ""}
        for name, text in CHOICES.items()
    ]


def _number(query: Mapping[str, str], name: str, otherwise: int | None, most: int | None) -> int | None:
    text = query.get(name)
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise OptionError(f"{name} is {text[:50]!r}: give a whole number")
    return int(text) if most is None else min(most, int(text))
