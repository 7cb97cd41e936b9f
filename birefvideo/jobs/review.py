"""The review page: one HTML file in which a matte is played, scrubbed and judged, without a network."""

from __future__ import annotations

import base64
import json
import os
import re
from html import escape
from pathlib import Path
from urllib.parse import quote

from birefvideo.jobs.side_files import Clip, Reviewable

_TEMPLATE = Path(__file__).with_name("review.html")
_SLOT = re.compile(r"\{\{(\w+)\}\}")


def render(reviewable: Reviewable) -> str:
    """Returns the page's HTML; it holds the videos, or refers to those that lie beside it."""
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
    }
    filled = {
        "title": escape(reviewable.title),
        "data": _for_script(data),
        "matte": _content(reviewable.matte),
        "source": _content(reviewable.source),
    }
    return _SLOT.sub(lambda found: filled[found[1]], _TEMPLATE.read_text(encoding="utf-8"))


def _link(clip: Clip) -> str | None:
    return None if clip.name is None else quote(os.fsencode(clip.name))


def _content(clip: Clip) -> str:
    return "" if clip.name is not None else base64.b64encode(clip.path.read_bytes()).decode()


def _for_script(data: object) -> str:
    """JSON that no text in it can break out of a script element with."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
