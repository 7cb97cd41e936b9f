"""Interfaces of hosted services, so that their clients run unchanged: a module each, and its row here.

A row has `routes(studio) -> list[BaseRoute]`: Starlette routes, of HTTP or WebSocket, made of what `studio.Studio`
offers and nothing else:

* a file: `bodies.read_form` (files become uploads as they arrive), `bodies.receive_raw`, `fetch.fetch(studio, url)`, or
  `studio.receive(name, chunks)` for bytes that come in another way;
* a job: `studio.submit(upload.id, Order.of({"model": …, "to": "prores"}), service=NAME, notes={…})`. `Order.of` refuses
  unknown options by name; `notes` keeps what the service's answers need (its own ids, inputs, a webhook);
* how it is: `studio.job(id)` (state, progress, error, notes), `studio.wait(id, seconds)`, `studio.changes.after`,
  `studio.position(job)`, `studio.log(job)`; `studio.jobs(service=NAME)` lists;
* results: `studio.outputs(job)` are paths, `view.output_url(job, path)` is where a client gets them;
  `files.file_answer` and `files.zip_answer` send files;
* the end: `studio.cancel(id)`, `studio.remove(id)`.

Everything raises a `BirefvideoError`; `faults.refusal(error)` tells its status, kind and message, which a module writes
in its service's form. What it does not catch is answered in our own. The guard has checked host, origin and token
before. Paths must not be those of another row: ours are /v1/jobs, /v1/uploads, /v1/options, /v1/formats, /v1/models,
/v1/health, /openapi.json, /docs, /page, /login and /.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from starlette.routing import BaseRoute

from birefvideo.serve.services import cog, fal, places, remove_bg, replicate, runware, signatures, unscreen
from birefvideo.serve.services.webhooks import nothing
from birefvideo.serve.store import Job
from birefvideo.serve.studio import Studio


@dataclass(frozen=True)
class Service:
    """An interface."""

    routes: Callable[[Studio], list[BaseRoute]]
    """Where it answers."""
    news: Callable[[Studio, Job, str], Coroutine[Any, Any, dict[str, Any]]] = nothing
    """What a webhook is told of a job of this service at an event."""
    sign: Callable[[Studio, Job, bytes], dict[str, str]] = signatures.none
    """Headers that show who sent a webhook, for its body; with _ for -."""


SERVICES = {
    "files": Service(places.routes),
    "replicate": Service(replicate.routes, replicate.news, signatures.replicates),
    "cog": Service(cog.routes, cog.news),
    "fal": Service(fal.routes, fal.news, signatures.fals),
    "runware": Service(runware.routes, runware.news),
    "unscreen": Service(unscreen.routes, unscreen.news),
    "remove.bg": Service(remove_bg.routes),
}
"""Each service by its name, which its jobs have."""
