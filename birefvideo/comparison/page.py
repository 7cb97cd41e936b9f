"""The page of a comparison: one HTML file that holds all of its pictures, and opens without a network."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.comparison.choices import Absent, LeftOut
from birefvideo.comparison.mattes import Row
from birefvideo.comparison.views import CloseUp, View
from birefvideo.errors import with_flags

LARGEST = 20_000_000
"""Bytes that the page has at most."""
_FOR_PICTURES = 0.92 * LARGEST * 3 / 4
"""Bytes of all its pictures, before they are written as text."""
_FOR_CLOSE_UPS = 0.35
"""The close-ups' share of that."""
_QUALITIES = (90, 75, 55, 35)
_TEMPLATE = Path(__file__).with_name("page.html")
_SLOT = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True)
class Words:
    """What the page says beside the pictures."""

    title: str
    """The clip's name."""
    facts: str
    """What the clip is, in one line."""
    device: str
    """What computed."""
    recommended: str
    """Label of the row to take, or ''."""
    reason: str
    """Why, in a sentence or two."""
    changes: Sequence[str]
    """What would change that."""
    commands: Sequence[str]
    """The command to run next, one a row."""
    times: Sequence[str]
    """How long a run of the whole clip takes the network, one a row; '' where unknown."""


def render_page(
    words: Words,
    rows: Sequence[Row],
    views: Sequence[View],
    closer: Sequence[CloseUp],
    left_out: Sequence[LeftOut],
    missing: Sequence[Absent],
) -> str:
    """Return the page's HTML."""
    data = {
        **_facts(words, rows, left_out, missing),
        **_pictures(views, closer),
    }
    filled = {"title": escape(words.title), "data": _for_script(data)}
    return _SLOT.sub(lambda found: filled[found[1]], _TEMPLATE.read_text(encoding="utf-8"))


def _facts(words: Words, rows: Sequence[Row], left_out: Sequence[LeftOut], missing: Sequence[Absent]) -> dict[str, Any]:
    shown = [
        {
            "label": row.label,
            "input": f"{row.input[0]}×{row.input[1]}",
            "seconds": row.seconds,
            "whole": whole,
            "memory": row.memory,
            "coverage": row.coverage,
            "command": command,
        }
        for row, whole, command in zip(rows, words.times, words.commands, strict=True)
    ]
    return {
        "title": words.title,
        "facts": words.facts,
        "device": words.device,
        "recommended": words.recommended,
        "reason": words.reason,
        "changes": list(words.changes),
        "rows": shown,
        "leftOut": [{"name": one.name, "why": with_flags(one.why)} for one in left_out],
        "missing": [{"name": m.name, "bestFor": m.best_for, "get": m.get, "note": m.note} for m in missing],
    }


def _pictures(views: Sequence[View], closer: Sequence[CloseUp]) -> dict[str, Any]:
    height, width = views[0].source.shape[:2]
    many = sum(len(view.cutouts) + 3 for view in views)
    each = int((1 - _FOR_CLOSE_UPS) * _FOR_PICTURES / many)
    of_edge = int(_FOR_CLOSE_UPS * _FOR_PICTURES / max(1, sum(len(one.cutouts) + 1 for one in closer)))
    frames = [
        {
            "seconds": round(view.seconds, 3),
            "why": view.why,
            "source": _opaque(view.source, each),
            "heat": _opaque(view.heat, each),
            "backdrop": _backdrop(view.backdrop, each),
            "cutouts": [_transparent(cutout, each) for cutout in view.cutouts],
        }
        for view in views
    ]
    edges = [
        {
            "frame": one.edge.frame,
            "left": one.edge.left,
            "top": one.edge.top,
            "width": one.edge.width,
            "height": one.edge.height,
            "of": one.whole,
            "source": _opaque(one.source, of_edge),
            "cutouts": [_transparent(cutout, of_edge, lossless=True) for cutout in one.cutouts],
        }
        for one in closer
    ]
    aspect = closer[0].aspect if closer else 1.0
    return {"width": width, "height": height, "aspect": aspect, "frames": frames, "edges": edges}


def _backdrop(backdrop: NDArray[np.uint8] | None, most: int) -> str | None:
    """Return what CSS takes for a background, or None."""
    if backdrop is None:
        return None
    if backdrop.ndim == 1:
        return "#{:02x}{:02x}{:02x}".format(*backdrop)
    return _opaque(backdrop, most)


def _opaque(picture: NDArray[np.uint8], most: int) -> str:
    return _fitted(np.ascontiguousarray(picture[..., ::-1]), ".jpg", cv2.IMWRITE_JPEG_QUALITY, _QUALITIES, most)


def _transparent(cutout: NDArray[np.uint8], most: int, *, lossless: bool = False) -> str:
    """Return a cut-out as WebP, whose alpha is exact at every quality."""
    qualities = (101, *_QUALITIES) if lossless else _QUALITIES  # beyond 100, OpenCV takes the colours as they are too
    bgra = np.ascontiguousarray(cutout[..., [2, 1, 0, 3]])
    return _fitted(bgra, ".webp", cv2.IMWRITE_WEBP_QUALITY, qualities, most)


def _fitted(picture: NDArray[np.uint8], kind: str, flag: int, qualities: Sequence[int], most: int) -> str:
    """Return a picture as a data address of at most so many bytes before encoding as text."""
    while True:
        for quality in qualities:
            data = cv2.imencode(kind, picture, (flag, quality))[1].tobytes()
            if len(data) <= most:
                break
        if len(data) <= most or max(picture.shape[:2]) <= 32:
            break
        half = (max(1, picture.shape[1] // 2), max(1, picture.shape[0] // 2))
        picture = np.asarray(cv2.resize(picture, half, interpolation=cv2.INTER_AREA), np.uint8)
    media = {".jpg": "jpeg", ".webp": "webp"}[kind]
    return f"data:image/{media};base64,{base64.b64encode(data).decode()}"


def _for_script(data: object) -> str:
    """Return JSON that no text in it can break out of a script element with."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
