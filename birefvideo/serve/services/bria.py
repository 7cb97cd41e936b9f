"""Bria's endpoint for video, which fal and Replicate both have: its inputs as rows, and what they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from birefvideo.serve.services.fields import Field, FieldError, colour

Values = dict[str, Any]
COLOURS = ("Transparent", "Black", "White", "Gray", "Red", "Green", "Blue", "Yellow", "Cyan", "Magenta", "Orange")
"""What Bria calls backgrounds; Runware, which runs its models, has the names too."""
_TRANSPARENT = {"webm_vp9": "webm", "mov_proresks": "prores", "gif": "gif"}
"""Our formats that keep transparency."""
_OPAQUE = {"mp4_h264": "green"}
_DOCUMENTED = (
    *("mp4_h265", "mp4_h264", "webm_vp9", "mov_h265", "mov_proresks"),
    *("mkv_h265", "mkv_h264", "mkv_vp9", "avi_h264", "gif"),
)


def fields(background: str) -> Sequence[Field]:
    """Return its inputs, of which fal and Replicate have the same but for what is under the subject by default."""
    return (
        Field("video_url", "Address of the clip, or a data URI.", is_file=True, is_needed=True),
        Field("background_color", "Under the subject.", default=background, choices=COLOURS),
        Field(
            *("output_container_and_codec", "Kind of file; left out: WebM where it is transparent, MP4 on a colour."),
            choices=_DOCUMENTED,
            only=(*_TRANSPARENT, *_OPAQUE),
        ),
        Field("preserve_audio", "Whether the sound is kept.", "boolean", True),
    )


def options(values: Values) -> Values:
    """Return options of `matte`, and the format, for inputs as `fields.read` gives them.

    Raises:
        FieldError: the background does not go with the kind of file.
    """
    under, kind = values["background_color"], values["output_container_and_codec"]
    sound = {} if values["preserve_audio"] else {"audio": "none"}
    if under == "Transparent":
        kind = kind or "webm_vp9"
        if kind not in _TRANSPARENT:
            raise _unfit(kind, f"has no transparency: give {' or '.join(_TRANSPARENT)}, or another background_color")
        return {"to": _TRANSPARENT[kind], **sound}
    kind = kind or "mp4_h264"
    if kind not in _OPAQUE:
        raise _unfit(kind, f"is transparent here: give {' or '.join(_OPAQUE)}, or background_color Transparent")
    return {"to": _OPAQUE[kind], "background": colour("background_color", under), **sound}


def _unfit(kind: str, why: str) -> FieldError:
    name = "output_container_and_codec"
    return FieldError(name, f"{name} {kind} {why}", "not_here")
