"""How jobs and uploads are told to clients of our own interface."""

from __future__ import annotations

import json
import secrets
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

from birefvideo.serve.order import Order
from birefvideo.serve.store import SUCCEEDED, Job, Upload
from birefvideo.serve.studio import Studio

_MOST_KEPT = 2000
"""Jobs whose answers are kept: some megabytes."""


class Views:
    """Jobs as JSON, for those who ask again and again: made anew only where a job has changed."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._kept: dict[str, tuple[int, bytes, bytes]] = {}
        self._run = secrets.token_hex(4)
        """Tells tags from those of an earlier server, which counted changes from 0 too."""

    def __call__(self, key: str) -> bytes:
        """Return the job of that id.

        Raises:
            RefusedError: there is none.
        """
        return self.tagged(key)[0]

    def tagged(self, key: str) -> tuple[bytes, bytes]:
        """Return the job of that id, and an entity tag, which is another one whenever the job has changed.

        Raises:
            RefusedError: there is none.
        """
        change = self._studio.changes.count(key)
        kept = self._kept.get(key)
        if kept is None or kept[0] != change:
            made = json.dumps(job_view(self._studio, self._studio.job(key)), ensure_ascii=False, separators=(",", ":"))
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            kept = self._kept[key] = change, made.encode(), f'"{self._run}-{change}"'.encode()
        return kept[1], kept[2]


def job_view(studio: Studio, job: Job) -> dict[str, Any]:
    """Return a job as JSON values."""
    order, at = Order.from_dict(job.order), f"/v1/jobs/{job.id}"
    return {
        "id": job.id,
        "status": job.state,
        "name": job.name,
        "service": job.service,
        "upload": job.upload,
        "options": {**order.options, **order.flags, **({"to": list(order.to)} if order.to else {})},
        "device": job.lane,
        "position": studio.position(job),
        "progress": job.progress,
        "plan": job.plan,
        "outputs": outputs_view(studio, job),
        "warnings": job.result.get("warnings", []),
        "losses": job.result.get("losses", []),
        "model": job.result.get("model") or job.plan.get("model"),
        "frames": job.result.get("frames"),
        "seconds": job.result.get("seconds"),
        "error": job.error,
        "created": timestamp(job.created),
        "started": timestamp(job.started),
        "ended": timestamp(job.ended),
        "urls": {"get": at, "cancel": f"{at}/cancel", "events": f"{at}/events", "log": f"{at}/log"},
    }


def outputs_view(studio: Studio, job: Job) -> list[dict[str, Any]]:
    """Return what a job has made: the outputs, and beside them receipts and the review page."""
    if job.state != SUCCEEDED:
        return []
    sizes = {output["name"]: output["bytes"] for output in job.result["outputs"]}
    return [
        {
            "name": path.name,
            "bytes": sizes.get(path.name) or _size(path),
            "kind": "output" if path.name in sizes else "extra",
            "is_folder": path.is_dir(),
            "url": output_url(job, path),
        }
        for path in (*studio.outputs(job), *studio.extras(job))
    ]


def output_url(job: Job, path: Path) -> str:
    """Return the path at which an output is; a folder of pictures comes as one zip."""
    return f"/v1/jobs/{job.id}/outputs/{quote(path.name)}{'.zip' if path.is_dir() else ''}"


def upload_view(upload: Upload) -> dict[str, Any]:
    """Return an upload as JSON values."""
    at = f"/v1/uploads/{upload.id}"
    urls = {"get": at, "file": f"{at}/file", "frame": f"{at}/frame", "advice": f"{at}/advice"}
    return {
        "id": upload.id,
        "name": upload.name,
        "bytes": upload.bytes,
        "created": timestamp(upload.created),
        **upload.facts,
        "urls": urls,
    }


def timestamp(seconds: float | None) -> str | None:
    """Return a time as ISO 8601 in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
