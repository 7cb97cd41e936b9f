"""Unscreen's interface, v1.0: a clip in, and a clip over a colour, a GIF, or the bundle of colour and alpha out."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from birefvideo.errors import BirefvideoError
from birefvideo.serve.bodies import read_form, read_json
from birefvideo.serve.faults import RefusedError, not_found, refusal
from birefvideo.serve.order import Order
from birefvideo.serve.services.fields import Field, FieldError, colour, from_text, read
from birefvideo.serve.services.places import base_of, output_address, take
from birefvideo.serve.services.results import warnings_of, why_failed
from birefvideo.serve.services.webhooks import check_webhook
from birefvideo.serve.store import CANCELED, FAILED, QUEUED, SUCCEEDED, Job, Upload
from birefvideo.serve.studio import Studio
from birefvideo.serve.view import timestamp

SERVICE = "unscreen"
_LISTED = 100
_STATES = {QUEUED: "queued", SUCCEEDED: "done", FAILED: "error", CANCELED: "error"}
_BUNDLE = {"name": "pro_bundle.zip", "files": {"color.mp4": 0, "alpha.mp4": 1}}
_FIELDS = (
    Field("video_url", "Address of the clip; or send it as video_file.", is_file=True),
    Field("format", "Kind of file.", default="mp4", choices=("mp4", "gif", "pro_bundle")),
    Field("background_color", "Colour under an mp4."),
    Field("webhook_url", "Address that is told of the end."),
)


def routes(studio: Studio) -> list[BaseRoute]:
    """Return where it answers."""
    it = _Unscreen(studio)
    return [
        Route("/v1.0/videos", it.add, methods=["POST"]),
        Route("/v1.0/videos", it.videos),
        Route("/v1.0/videos/{key}", it.video),
    ]


class _Unscreen:
    """Answers requests; one method each."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    async def add(self, request: Request) -> Response:
        try:
            job = await self._add(request)
        except BirefvideoError as error:
            return refused(refusal(error))
        return JSONResponse(_view(self._studio, job, base_of(request)))

    async def videos(self, request: Request) -> Response:
        found = self._studio.jobs(_LISTED, service=SERVICE)
        return JSONResponse({"data": [_view(self._studio, job, base_of(request))["data"] for job in found]})

    async def video(self, request: Request) -> Response:
        try:
            job = self._studio.job(request.path_params["key"])
            if job.service != SERVICE:
                raise not_found("video of that id")
        except BirefvideoError as error:
            return refused(refusal(error))
        return JSONResponse(_view(self._studio, job, base_of(request)))

    async def _add(self, request: Request) -> Job:
        clip: Upload | None = None
        if request.headers.get("content-type", "").startswith("application/json"):
            given = await read_json(request)
        else:
            form = await read_form(self._studio, request)
            clip, given = form.files.pop("video_file", None), from_text(_FIELDS, form.texts)
            for name in form.files:
                raise FieldError(name, f"there is no file {name!r}: send the clip as video_file")
        values = read(_FIELDS, given)
        order = Order.of(_options(values))
        hook = values["webhook_url"]
        if hook:
            await check_webhook(self._studio, "webhook_url", hook)
        if clip is None:
            if not values["video_url"]:
                raise FieldError(
                    "video_file", "the clip is missing: send it as video_file, or its video_url", "missing"
                )
            clip = await take(self._studio, request, "video_url", values["video_url"])
        notes = {
            "base": base_of(request),
            "bundle": _BUNDLE if values["format"] == "pro_bundle" else None,
            "webhook": {"url": hook, "events": ["completed"]} if hook else None,
        }
        return await self._studio.submit(clip.id, order, service=SERVICE, notes=notes)


def _options(values: dict[str, Any]) -> dict[str, Any]:
    kind, under = values["format"], values["background_color"]
    if kind == "mp4":
        if not under:
            raise FieldError("background_color", "an mp4 has no transparency: give a background_color, as 00ff00")
        return {"to": "green", "background": colour("background_color", under)}
    if under:
        raise FieldError("background_color", f"background_color is for mp4, and {kind} is transparent: leave it out")
    return {"to": "gif" if kind == "gif" else "fill+matte"}


def _view(studio: Studio, job: Job, base: str) -> dict[str, Any]:
    """Return a clip as JSON values."""
    attributes: dict[str, Any] = {
        "status": _STATES.get(job.state, "processing"),
        "file_name": job.name,
        "progress": _percent(job),
        "created_at": timestamp(job.created),
    }
    if job.state == SUCCEEDED:
        bundle = job.notes["bundle"]
        (first, *_) = studio.outputs(job)
        name = first.with_name(bundle["name"]) if bundle else first
        attributes["result_url"] = output_address(base, job, name)
        attributes["warnings"] = warnings_of(job)
    elif job.has_ended:
        attributes["error"] = "it was cancelled" if job.state == CANCELED else why_failed(job)
    links = {"self": f"{base}/v1.0/videos/{job.id}"}
    return {"data": {"id": job.id, "type": "video", "attributes": attributes, "links": links}}


def _percent(job: Job) -> int:
    done, total = job.progress.get("done") or 0, job.progress.get("total") or 0
    return 100 if job.state == SUCCEEDED else int(100 * done / total) if total else 0


async def news(studio: Studio, job: Job, event: str) -> dict[str, Any]:
    """Return what a webhook is told."""
    return _view(studio, job, job.notes["base"])


def refused(error: RefusedError) -> Response:
    """Return a refusal in the form of Unscreen and remove.bg."""
    status = 400 if error.status == 422 else error.status
    entry = {"title": str(error), "code": error.kind}
    if isinstance(error, FieldError):
        entry["detail"] = f"parameter {error.field}"
    headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
    return JSONResponse({"errors": [entry]}, status, headers)
