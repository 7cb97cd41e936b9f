"""Which of the formats this FFmpeg can write: found out by encoding a picture, since builds differ."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import cast

import av
import av.filter
from av.codec.codec import UnknownCodecError
from av.video.codeccontext import VideoCodecContext

from birefvideo.errors import OptionError, named
from birefvideo.media.format_table import FORMATS, Format
from birefvideo.media.forms import ALL_FORMS

_SIDE = 64


def check_available(format: Format) -> None:
    """Refuse a format that the bundled encoder cannot write.

    Raises:
        OptionError: says why, and which formats with alpha there are instead.
    """
    why = why_unavailable(format.name)
    if why:
        others = ", ".join(row.name for row in FORMATS.values() if row.has_alpha and row.name != format.name)
        raise OptionError(
            f"{named('to', format.asked_by)} is not possible here: {why}; choose another, such as {others}"
        )


@cache
def why_unavailable(name: str) -> str:
    """Return why the encoder of a format or form refuses a small picture, in a few words, or '' if it takes it."""
    format = FORMATS.get(name) or ALL_FORMS[name]
    if format.is_paletted and not {"palettegen", "paletteuse"} <= av.filter.filters_available:
        return "this FFmpeg has no filter to find a palette with"
    for pix_fmt in filter(None, (format.pix_fmt, format.deep_pix_fmt)):
        try:
            _encode(format, pix_fmt)
        except UnknownCodecError:
            return f"this FFmpeg has no encoder {format.codec}"
        except (av.FFmpegError, OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            return f"the encoder {format.codec} refuses {pix_fmt} ({why})"
    return ""


def _encode(format: Format, pix_fmt: str) -> None:
    context = cast(VideoCodecContext, VideoCodecContext.create(format.codec, "w"))
    context.width = context.height = _SIDE
    context.pix_fmt = pix_fmt
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.thread_count = 1
    context.options = dict(format.codec_options)
    picture = av.VideoFrame(_SIDE, _SIDE, pix_fmt)
    for plane in picture.planes:
        plane.update(bytes(plane.buffer_size))
    picture.pts = 0
    if not [*context.encode(picture), *context.encode(None)]:
        raise ValueError("no packet came out")
