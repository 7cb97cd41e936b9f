"""ICC profiles of photos: which of them go along into which outputs."""

from __future__ import annotations

from birefvideo.frames import VideoInfo
from birefvideo.media.output_format import Content, Format

_KEEPERS = frozenset({"png", "webp"})
"""Codecs of single pictures whose files we put a profile into."""
_SIZE, _SPACE, _SIGNATURE = slice(0, 4), slice(16, 20), slice(36, 40)
"""Where a profile says how long it is, what its codes are, and that it is one (ICC.1:2022, 7.2)."""


def describes_rgb(profile: bytes) -> bool:
    """Return whether a profile is of R'G'B', as outputs are; the photo's own codes may have been CMYK or grey."""
    return profile[_SPACE] == b"RGB "


def is_whole_profile(profile: bytes) -> bool:
    """Return whether bytes are a colour profile, of which nothing is missing."""
    return profile[_SIGNATURE] == b"acsp" and int.from_bytes(profile[_SIZE], "big") <= len(profile)


def keeps_profile(format: Format, info: VideoInfo) -> bool:
    """Return whether an output has the profile of the photo that it is made of."""
    profile = info.still.profile if info.still else b""
    fits = format.is_still and format.written_codec in _KEEPERS and format.content is not Content.MATTE
    return fits and is_whole_profile(profile) and describes_rgb(profile)
