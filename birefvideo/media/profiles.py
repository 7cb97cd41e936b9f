"""ICC profiles of photos: which of them go along into which outputs."""

from __future__ import annotations

from birefvideo.frames import VideoInfo
from birefvideo.media.output_format import Content, Format

_KEEPERS = frozenset({"png", "webp"})
"""Codecs of single pictures whose files we put a profile into."""
_SPACE = slice(16, 20)
"""Where a profile says what its codes are (ICC.1:2022, 7.2.8)."""


def describes_rgb(profile: bytes) -> bool:
    """Return whether a profile is of R'G'B', as outputs are; the photo's own codes may have been CMYK or grey."""
    return profile[_SPACE] == b"RGB "


def keeps_profile(format: Format, info: VideoInfo) -> bool:
    """Return whether an output has the profile of the photo that it is made of."""
    profile = info.still.profile if info.still else b""
    fits = format.is_still and format.written_codec in _KEEPERS and format.content is not Content.MATTE
    return fits and describes_rgb(profile)
