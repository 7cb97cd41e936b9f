"""Runware's interface: a WebSocket on which lists of tasks are sent, and their results in whatever order they come."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from contextlib import suppress
from hashlib import sha256
from typing import Any

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from birefvideo.errors import BirefvideoError
from birefvideo.json_files import parse_json_object
from birefvideo.serve.faults import RefusedError, refusal
from birefvideo.serve.guard import SOCKETS, same, shown_tokens
from birefvideo.serve.order import Order
from birefvideo.serve.services.fields import FieldError, shown
from birefvideo.serve.services.places import base_of, data_uri, decoded, output_address, take
from birefvideo.serve.services.results import results, warnings_of, why_failed
from birefvideo.serve.services.runware_tasks import BACKGROUND, IMAGE_BACKGROUND, Task, task_of
from birefvideo.serve.services.webhooks import check_webhook
from birefvideo.serve.store import FAILED, QUEUED, SUCCEEDED, Job, Upload
from birefvideo.serve.studio import Studio

Values = dict[str, Any]
SERVICE = "runware"
_MOST_AT_ONCE = 32
"""Tasks of one connection that are under way at once."""


def routes(studio: Studio) -> list[BaseRoute]:
    """Return where it answers."""

    async def connected(socket: WebSocket) -> None:
        await _Connection(studio, socket).run()

    return [WebSocketRoute(path, connected) for path in SOCKETS]


_LOG = logging.getLogger(__name__)
_TO_SHOW_TOKEN = 20.0
"""Seconds for a client's first message to come, which shows the token."""
_LONGEST_ID = 36
"""Letters of a UUID; what is longer is a file itself."""


class _Connection:
    """A client, until it hangs up."""

    def __init__(self, studio: Studio, socket: WebSocket) -> None:
        self._studio = studio
        self._socket = socket
        self._tasks: set[asyncio.Task[None]] = set()
        token = studio.settings.token
        self._is_known = token is None or any(same(one, token) for one in shown_tokens(socket.headers))
        self._deadline = time.monotonic() + _TO_SHOW_TOKEN
        self._sending = asyncio.Lock()

    async def run(self) -> None:
        """Answer until the client hangs up; jobs go on without it."""
        await self._socket.accept()
        try:
            while True:
                await self._take(await asyncio.wait_for(self._socket.receive_text(), self._patience))
        except (TimeoutError, asyncio.TimeoutError):
            with suppress(WebSocketDisconnect, RuntimeError):  # it has gone by itself
                await self._socket.close(4401, "authenticate first, with the server's token")
        except (WebSocketDisconnect, KeyError):  # KeyError: a message that is no text
            pass
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def _patience(self) -> float | None:
        """Seconds to wait for the next message: for ever, once the client has shown that it may come in."""
        return None if self._is_known else max(0.0, self._deadline - time.monotonic())

    async def _take(self, text: str) -> None:
        try:
            tasks = parse_json_object(f'{{"tasks": {text}}}', "the message")["tasks"]
        except ValueError as error:
            await self._refuse({}, FieldError("message", str(error), "invalidJSON"))
            return
        for one in tasks if isinstance(tasks, list) else [tasks]:
            if not isinstance(one, dict):
                await self._refuse(
                    {}, FieldError("taskType", "a task is no object: send a list of objects", "invalidTask")
                )
            elif not self._is_known and one.get("taskType") != "authentication":
                await self._refuse(
                    one, FieldError("apiKey", "authenticate first, with the server's token", "invalidApiKey")
                )
            elif len(self._tasks) >= _MOST_AT_ONCE:
                await self._refuse(
                    one, RefusedError(429, "tooManyTasks", "too many tasks at once: send it again later")
                )
            else:
                task = asyncio.create_task(self._answer(one))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                if one.get("taskType") == "authentication":
                    await task

    async def _answer(self, given: Values) -> None:
        doings = {
            "authentication": self._authenticate,
            "ping": self._ping,
            "imageUpload": self._upload_image,
            "mediaStorage": self._store_media,
            BACKGROUND: self._remove,
            IMAGE_BACKGROUND: self._remove,
            "getResponse": self._respond,
        }
        try:
            doing = doings.get(str(given.get("taskType")))
            if doing is None:
                raise FieldError(
                    "taskType",
                    f"taskType is {shown(given.get('taskType'))}: give {', '.join(doings)}",
                    "invalidTaskType",
                )
            await doing(given)
        except BirefvideoError as error:
            await self._refuse(given, refusal(error))
        except (WebSocketDisconnect, RuntimeError):  # it hung up while it was answered
            return
        except Exception as error:
            _LOG.exception("a task of Runware's interface")
            await self._refuse(given, RefusedError(500, "failed", f"{type(error).__name__} (unexpected)"))

    async def _authenticate(self, given: Values) -> None:
        token = self._studio.settings.token
        if token is not None and not self._is_known and not same(str(given.get("apiKey", "")), token):
            raise FieldError("apiKey", "apiKey is not the server's token: see --token", "invalidApiKey")
        self._is_known = True
        session = str(given.get("connectionSessionUUID") or uuid.uuid4())[:100]
        await self._send({"taskType": "authentication", "connectionSessionUUID": session})

    async def _ping(self, given: Values) -> None:
        await self._send({"taskType": "ping", "pong": True})

    async def _upload_image(self, given: Values) -> None:
        upload = await self._media("image", given.get("image"))
        await self._send(_head(given) | {"imageUUID": upload.id, "imageURL": _upload_address(self._socket, upload)})

    async def _store_media(self, given: Values) -> None:
        if given.get("operation") != "upload":
            raise FieldError(
                "operation", f"operation is {shown(given.get('operation'))}: give upload", "invalidOperation"
            )
        upload = await self._media("media", given.get("media"))
        await self._send(_head(given) | {"mediaUUID": upload.id, "mediaURL": _upload_address(self._socket, upload)})

    async def _remove(self, given: Values) -> None:
        task, digest = task_of(given), sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()
        if earlier := self._studio.store.noted(SERVICE, "task", task.key):
            if earlier.notes["digest"] != digest:
                raise FieldError("taskUUID", "taskUUID is that of another task: give a new one", "duplicateTaskUUID")
            await self._tell(given, task, earlier)  # a client that lost the connection sends the same again
            return
        order = Order.of(task.options)
        if task.webhook:
            await check_webhook(self._studio, "webhookURL", task.webhook)
        upload = await self._media(task.source, task.value)
        if bool(upload.facts.get("is_picture")) == task.is_video:
            kind = "a clip" if task.is_video else "a picture"
            raise FieldError(task.source, f"{task.source} is not {kind}: send it as the other kind", "invalidMedia")
        notes = {
            "task": task.key,
            "type": task.type,
            "base": base_of(self._socket),
            "finish": task.finish,
            "delivery": task.delivery,
            "webhook": {"url": task.webhook, "events": ["completed"]} if task.webhook else None,
            "is_video": task.is_video,
            "digest": digest,
        }
        await self._tell(given, task, await self._studio.submit(upload.id, order, service=SERVICE, notes=notes))

    async def _tell(self, given: Values, task: Task, job: Job) -> None:
        if task.is_waited_for:
            await self._send(await view(self._studio, await self._studio.wait(job.id)))
        else:
            await self._send(_head(given))

    async def _respond(self, given: Values) -> None:
        job = self._studio.store.noted(SERVICE, "task", str(given.get("taskUUID")))
        if job is None:
            raise FieldError("taskUUID", "there is no task of that taskUUID", "invalidTaskUUID")
        await self._send(await view(self._studio, self._studio.job(job.id)))

    async def _media(self, field: str, value: Any) -> Upload:
        """Return a file: by its id or address, as a data URI, or as bare base64, which alone an upload is."""
        if isinstance(value, str) and not value.startswith(("data:", "http:", "https:")):
            is_bare = field in ("image", "media") or len(value) > _LONGEST_ID
        else:
            is_bare = False
        if is_bare:
            return await self._studio.receive("media", decoded(field, value))
        return await take(self._studio, self._socket, field, value)

    async def _refuse(self, given: Values, error: RefusedError) -> None:
        entry = {"code": error.kind, "message": str(error), **_head(given)}
        if isinstance(error, FieldError):
            entry["parameter"] = error.field
        await self._write({"errors": [entry]})

    async def _send(self, found: Values) -> None:
        await self._write({"errors": [found]} if "code" in found else {"data": [found]})

    async def _write(self, message: Values) -> None:
        async with self._sending:
            await self._socket.send_text(json.dumps(message))


async def view(studio: Studio, job: Job) -> Values:
    """Return how a task is: processing, success with its file, or an error.

    Raises:
        BirefvideoError: a picture cannot be made.
    """
    notes = job.notes
    found: Values = {"taskType": notes["type"], "taskUUID": notes["task"]}
    kind = "video" if notes["is_video"] else "image"
    names = {f"{kind}UUID": job.id, "mediaUUID": job.id} if notes["is_video"] else {f"{kind}UUID": job.id}
    if not job.has_ended:
        return {**found, **names, "status": "queued" if job.state == QUEUED else "processing"}
    if job.state != SUCCEEDED:
        why = why_failed(job) if job.state == FAILED else "the task was cancelled"
        return {**found, "code": "taskFailed", "status": "error", "message": why}
    (path, *_) = await results(studio, job)
    found |= {**names, "status": "success", "cost": 0}
    address = output_address(notes["base"], job, path)
    if notes["delivery"] == "dataURI":
        found["imageDataURI"] = data_uri(path)
    elif notes["delivery"] == "base64Data":
        found["imageBase64Data"] = data_uri(path).partition(",")[2]
    else:
        found |= {f"{kind}URL": address, **({"mediaURL": address} if notes["is_video"] else {})}
    if warnings := warnings_of(job):
        found["warnings"] = warnings
    return found


async def news(studio: Studio, job: Job, event: str) -> Values:
    """Return what a webhook is told."""
    found = await view(studio, job)
    return {"errors": [found]} if "code" in found else {"data": [found]}


def _head(given: Values) -> Values:
    found = {name: given[name] for name in ("taskType", "taskUUID") if isinstance(given.get(name), str)}
    return {name: value[:100] for name, value in found.items()}


def _upload_address(socket: WebSocket, upload: Upload) -> str:
    return f"{base_of(socket)}/v1/uploads/{upload.id}/file"
