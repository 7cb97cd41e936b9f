"""What a job has made, as services hand it out: after what is still to be done to pictures, and with its facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from birefvideo.serve.services.places import content_type, data_uri, output_address
from birefvideo.serve.store import SUCCEEDED, Job
from birefvideo.serve.studio import Studio


async def results(studio: Studio, job: Job) -> list[Path]:
    """Return the outputs of a job in the order in which their formats were asked for; none before it has succeeded.

    Its note "finish" says what is made of a picture: `of` and `alpha` are numbers of outputs, `name` is the file, and
    the rest is `pictures.finish`'s; the result takes the place of the output.

    Raises:
        BirefvideoError: the picture cannot be made.
    """
    paths = studio.outputs(job)
    steps = dict(job.notes.get("finish") or {})
    if job.state != SUCCEEDED or not steps:
        return paths
    target, number, alpha = studio.data.job(job.id) / steps.pop("name"), steps.pop("of"), steps.pop("alpha", None)
    if not target.is_file():
        place = "" if alpha is None else str(paths[alpha])
        await studio.ask("picture", path=str(paths[number]), target=str(target), alpha=place, **steps)
    return [*paths[:number], target, *paths[number + 1 :]]


async def file_view(studio: Studio, base: str, job: Job, path: Path, *, inline: bool = False) -> dict[str, Any]:
    """Return an output as services show files: its address or content, and what it is.

    Raises:
        BirefvideoError: it cannot be read, or is too large to be sent inside the answer.
    """
    facts = await studio.ask("probe", path=str(path), most_pixels=studio.settings.most_pixels)
    found = {
        "url": data_uri(path) if inline else output_address(base, job, path),
        "content_type": content_type(path),
        "file_name": path.name,
        "file_size": path.stat().st_size,
        "width": facts["width"],
        "height": facts["height"],
    }
    if not facts["is_picture"]:
        found |= {"duration": facts["seconds"], "fps": facts["fps"], "num_frames": facts["frames"]}
    return found


def progress_line(job: Job) -> str:
    """Return how far a job is, in the form in which clients look for it in logs; '' where that is not known."""
    done, total = job.progress.get("done"), job.progress.get("total")
    if not isinstance(done, int) or not isinstance(total, int) or total <= 0:
        return ""
    percent = 100 * done // total
    return f"{percent:3d}%|{'#' * (percent // 5):20s}| {done}/{total}"


def why_failed(job: Job) -> str:
    """Return in one line why a job has no result."""
    return str((job.error or {}).get("message") or "it has failed")


def warnings_of(job: Job) -> list[str]:
    """Return what is to be known of a result."""
    return [*job.result.get("losses", ()), *job.result.get("warnings", ())]
