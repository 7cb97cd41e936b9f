"""Photos in JPEG, WebP and TIFF, decoded as viewers and browsers do, with the libraries that Pillow brings.

FFmpeg rounds JPEG and WebP differently and enlarges their chroma in its own way, which makes codes of R'G'B' that other
programs do not show; TIFFs in tiles or packed as JPEG are black there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import av
import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream

from birefvideo.media.reading.alpha import decoder_with_alpha, hides_alpha
from birefvideo.media.reading.picture_losses import check_readable
from birefvideo.media.reading.stills import is_still

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_JPEG = b"\xff\xd8\xff"
_ORIENTATION, _BITS, _KIND, _SUB_FILES = 274, 258, 254, 330  # tags of TIFF
_MODES = {"L": "gray", "RGB": "rgb24", "RGBA": "rgba"}
"""FFmpeg's formats of Pillow's modes."""


class Decoder(Protocol):
    """What makes pictures of packets."""

    def decode(self, packet: Packet[VideoStream] | None, /) -> list[av.VideoFrame]:
        """Return the pictures that a packet completes; None makes it give up what it still holds."""


class PhotoDecoder:
    """Decodes the one picture of a photo with Pillow; with FFmpeg, as far as it goes, where Pillow refuses it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_done = False

    def decode(self, packet: Packet[VideoStream] | None, /) -> list[av.VideoFrame]:
        """Return the picture, R'G'B'(A) or grey of 8 bits, for the first packet, and nothing for others."""
        if packet is None or self._is_done:
            return []
        picture = _decoded(self._path)
        if picture is None:
            check_readable(self._path)
            return packet.decode()
        self._is_done = True
        picture.pts, picture.time_base = packet.pts, packet.time_base
        return [picture]


def decoder_of(stream: VideoStream, path: Path, *, with_alpha: bool) -> Decoder | None:
    """Return what decodes a file's pictures in place of the stream's own decoder, or None.

    Args:
        stream: the pictures' stream.
        path: the file, or the series of pictures, that it is of.
        with_alpha: whether pictures are to come with their opacity.
    """
    if _is_photo(path):
        return PhotoDecoder(path)
    return decoder_with_alpha(stream) if with_alpha and hides_alpha(stream) else None


def _is_photo(path: Path) -> bool:
    if not path.is_file():
        return False
    return _kind(path) != "" and is_still(path)


def _kind(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(12)
    if head.startswith(_JPEG):
        return "JPEG"
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        return "WebP"
    return "TIFF" if head.startswith((b"II*\0", b"MM\0*")) and head[8:10] != b"CR" else ""  # that is a camera's


def _decoded(path: Path) -> av.VideoFrame | None:
    try:
        with _opened(path) as image:
            if not _is_whole(image):
                return None
            has_alpha = image.mode in ("RGBA", "LA")
            wanted = image.mode if image.mode in _MODES else "RGBA" if has_alpha else "RGB"
            codes = np.asarray(image if image.mode == wanted else image.convert(wanted))
    except MemoryError:
        raise
    except Exception:  # of many kinds, where a file is damaged; FFmpeg says what is wrong with it
        return None
    return av.VideoFrame.from_ndarray(codes, format=_MODES[wanted])


def _opened(path: Path) -> ImageFile:
    """Open a photo by its own class: Image.open would warn of, or refuse, sizes that the memory allows."""
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.TiffImagePlugin import TiffImageFile
    from PIL.WebPImagePlugin import WebPImageFile

    kind = _kind(path)
    return JpegImageFile(path) if kind == "JPEG" else WebPImageFile(path) if kind == "WebP" else TiffImageFile(path)


def _is_whole(image: ImageFile) -> bool:
    """Return whether Pillow gives what a file has: of a TIFF it may be 8 bits of 16, a preview, or turned already."""
    tags = getattr(image, "tag_v2", {})
    is_preview = tags.get(_KIND, 0) & 1 or _SUB_FILES in tags
    return max(tags.get(_BITS, (8,))) <= 8 and not is_preview and tags.get(_ORIENTATION, 1) == 1
