"""The review page: one HTML file in which a matte is played, scrubbed and judged, without a network."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from birefvideo.jobs.receipt import Entry
from birefvideo.matting.flicker import Suspect
from birefvideo.own_files import HEAD

_TEMPLATE = Path(__file__).with_name("review.html")
DRAWING = {
    "draw_style": "review_draw.css",
    "draw_tools": "review_draw.html",
    "marks_script": "review_marks.js",
    "draw_script": "review_draw.js",
}
"""Files beside this one by their slots in the page: what marks are drawn with, which the server's page has too."""
_SLOT = re.compile(r"\{\{(\w+)\}\}")

_TITLE = ": matte review</title>"
"""What the head of every page holds."""


@dataclass(frozen=True)
class Clip:
    """A video of the review page."""

    path: Path
    """Where it lies while the page is written."""
    name: str | None
    """Its file name beside the page, or None where the page is to hold it."""


@dataclass(frozen=True)
class Redrawable:
    """What a page needs to draw marks for another run of the job."""

    job: str
    """What tells this job on this clip from others; the browser keeps the draft of its marks under this name."""
    command: Sequence[Sequence[str]] | None
    """The words of the job's command, an option with its value at a time; None where a program called."""
    marks: Mapping[str, Any] | None
    """What the job's file of marks holds."""
    size: tuple[int, int]
    """Width and height of the clip, in its own pixels."""
    lead: float
    """Seconds from the clip's first frame to the beginning of the times that the page shows."""


@dataclass(frozen=True)
class Reviewable:
    """What a review page shows."""

    title: str
    """The clip's name."""
    matte: Clip
    """WebM with alpha."""
    source: Clip
    """The clip itself, frame by frame alike."""
    size: tuple[int, int]
    """Width and height of the picture in square pixels."""
    times: Sequence[float]
    """When each picture begins, in seconds on both clips' clock, and last when the last one ends."""
    coverage: Sequence[float]
    """Share of each picture that is foreground, 0 to 1."""
    flicker: Sequence[float]
    """How much of each picture's matte comes and goes, 0 to 1."""
    suspects: Sequence[Suspect]
    """Frames to look at."""
    receipts: dict[str, Entry]
    """What the receipt says of each output."""
    again: Redrawable
    """What a run with marks takes."""


def render(reviewable: Reviewable) -> str:
    """Return the page's HTML; it holds the videos, or refers to those that lie beside it."""
    width, height = reviewable.size
    data = {
        "title": reviewable.title,
        "width": width,
        "height": height,
        "times": [round(time, 6) for time in reviewable.times],
        "coverage": [round(share, 4) for share in reviewable.coverage],
        "flicker": [round(shake, 5) for shake in reviewable.flicker],
        "suspects": [{"frame": suspect.frame, "kind": suspect.kind} for suspect in reviewable.suspects],
        "receipts": reviewable.receipts,
        "matte": _link(reviewable.matte),
        "source": _link(reviewable.source),
        "job": reviewable.again.job,
        "command": reviewable.again.command,
        "marks": reviewable.again.marks,
        "clip": reviewable.again.size,
        "lead": round(reviewable.again.lead, 6),
    }
    filled = {
        "title": escape(reviewable.title),
        "data": _for_script(data),
        "matte": _content(reviewable.matte),
        "source": _content(reviewable.source),
    }
    return _SLOT.sub(lambda found: filled[found[1]], _template())


def script() -> str:
    """Return the script of every such page, by whose hash a server may let it run and nothing else."""
    return _template().rpartition("<script>")[2].partition("</script>")[0]


def _template() -> str:
    """Return the page with its whole script and with slots for what is shown."""
    html = _TEMPLATE.read_text(encoding="utf-8")
    for slot, name in DRAWING.items():
        html = html.replace(f"{{{{{slot}}}}}", _TEMPLATE.with_name(name).read_text(encoding="utf-8"))
    return html


def _link(clip: Clip) -> str | None:
    return None if clip.name is None else quote(os.fsencode(clip.name))


def _content(clip: Clip) -> str:
    return "" if clip.name is not None else base64.b64encode(clip.path.read_bytes()).decode()


def _for_script(data: object) -> str:
    """Return JSON that no text in it can break out of a script element with."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def is_review(path: Path) -> bool:
    """Return whether a file is a page that `render` has made."""
    try:
        with path.open("rb") as file:
            return _TITLE.encode() in file.read(HEAD)
    except OSError:
        return False
