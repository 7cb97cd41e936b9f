"""OpenTimelineIO's own JSON, which DaVinci Resolve, Premiere Pro and Kdenlive read, and through its adapters others.

The schemas' names and versions are those of OpenTimelineIO 0.15 and newer.
"""

from __future__ import annotations

import json
from typing import Any

from birefvideo.editing.cut import Cut, Mark, Media

_Object = dict[str, Any]


def otio(cut: Cut) -> str:
    """Return the text of a timeline with two tracks of pictures and, where the source has sound, one of sound."""
    tracks = [_track(cut, "Source", "Video", cut.source), _track(cut, "Alpha", "Video", cut.alpha, cut.marks)]
    if cut.source.sound is not None:
        tracks.append(_track(cut, "Sound", "Audio", cut.source))
    timeline = {
        "OTIO_SCHEMA": "Timeline.1",
        "metadata": {"birefvideo": {"origin": cut.mark, "drop_frame": cut.is_drop, "note": cut.note}},
        "name": cut.name,
        "global_start_time": _time(cut, cut.start),
        "tracks": _named("Stack.1", "tracks", source_range=None, effects=[], markers=[], enabled=True, children=tracks),
    }
    return json.dumps(timeline, indent=1, ensure_ascii=False) + "\n"


def _track(cut: Cut, name: str, kind: str, media: Media, marks: tuple[Mark, ...] = ()) -> _Object:
    reference = _named(
        "ExternalReference.1",
        media.name,
        available_range=_range(cut, media.start, media.length),
        available_image_bounds=None,
        target_url=media.url,
    )
    clip = _named(
        "Clip.2",
        media.name,
        source_range=_range(cut, media.begin, cut.length),
        effects=[],
        markers=[_marker(cut, mark) for mark in marks],
        enabled=True,
        media_references={"DEFAULT_MEDIA": reference},
        active_media_reference_key="DEFAULT_MEDIA",
    )
    return _named("Track.1", name, source_range=None, effects=[], markers=[], enabled=True, children=[clip], kind=kind)


def _marker(cut: Cut, mark: Mark) -> _Object:
    """Return a marker of the alpha clip, on that clip's own clock."""
    where = _range(cut, cut.alpha.begin + mark.frame, mark.length)
    return _named("Marker.2", mark.words, color="RED", marked_range=where, comment=mark.words)


def _named(schema: str, name: str, **values: object) -> _Object:
    return {"OTIO_SCHEMA": schema, "metadata": {}, "name": name, **values}


def _range(cut: Cut, start: int, length: int) -> _Object:
    return {"OTIO_SCHEMA": "TimeRange.1", "start_time": _time(cut, start), "duration": _time(cut, length)}


def _time(cut: Cut, frames: int) -> _Object:
    return {"OTIO_SCHEMA": "RationalTime.1", "rate": float(cut.rate), "value": float(frames)}
