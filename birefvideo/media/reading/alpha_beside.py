"""The opacity of photos in HEIF and AVIF, which lies beside their colour as a picture of its own.

Source: ISO/IEC 23008-12:2022, 6.5.8 and 6.6.2.1.1; ISO/IEC 23000-22, 7.3.5.2.
"""

from __future__ import annotations

from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from birefvideo.colour import FULL_RANGE
from birefvideo.frames import Alpha, VideoInfo
from birefvideo.media.reading.alpha import level
from birefvideo.media.reading.open_input import open_input
from birefvideo.media.reading.picture_tags import STILL_BRANDS
from birefvideo.planes import bit_depth, plane_array

_KINDS = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0", b"urn:mpeg:hevc:2015:auxid:1\0")
"""How a picture is said to be another one's opacity."""
_MOST = 1 << 20
"""Bytes from a file's start in which its heads lie."""


def stream_of_alpha(container: InputContainer, stream: VideoStream, path: Path) -> int | None:
    """Return the index of the stream that holds a photo's opacity, or None; it has the size of the photo."""
    others = [one for one in container.streams.video if one.index != stream.index]
    if not others or not path.is_file():
        return None
    with path.open("rb") as file:
        head = file.read(_MOST)
    if head[8:12] not in STILL_BRANDS or not any(kind in head for kind in _KINDS):
        return None
    fitting = [
        one
        for one in others
        if getattr(one, "codec_context", None) is not None and (one.width, one.height) == (stream.width, stream.height)
    ]
    fitting.sort(key=lambda one: not (one.codec_context.pix_fmt or "").startswith("gray"))
    return fitting[0].index if fitting else None


def alpha_beside(info: VideoInfo) -> Alpha | None:
    """Return the opacity beside a photo as it is stored, float32 (height, width) in [0, 1], or None.

    Raises:
        InputError: the file cannot be opened.
    """
    if info.alpha_index is None:
        return None
    with open_input(info.path) as container:
        stream = container.streams[info.alpha_index]
        picture = next((one for packet in container.demux(stream) for one in packet.decode()), None)
    if not isinstance(picture, av.VideoFrame):
        return None
    return level(plane_array(picture, 0), bit_depth(picture), FULL_RANGE)
