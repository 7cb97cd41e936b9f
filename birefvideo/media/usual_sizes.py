"""What outputs usually take, for a word before a job runs; `matte --plan` tries the clip itself instead.

Means of five clips of people of 0.2 to 2.1 million pixels, 8 bits a sample; each of them is between 0.5 and 2.2 times
as large. A picture without people takes a tenth or less.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from birefvideo.media.format_table import Format

_BYTES_A_PIXEL: Mapping[str, float] = MappingProxyType(
    {
        "prores": 0.45,
        "prores-xq": 0.62,
        "webm": 0.014,
        "green": 0.017,
        "matte": 0.019,
        "ffv1": 0.2,
        "qtrle": 1.3,
        "png": 1.3,
        "tiff": 1.1,
        "exr": 1.7,
        "hevc-alpha": 0.014,
        "gif": 0.28,
        "apng": 0.6,
        "webp-anim": 0.064,
    }
)
"""By format: bytes of a frame for each of its pixels."""
_LIKE: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("blue", "fill", "comp", "review-source"), "green"),
        **dict.fromkeys(("green-still", "blue-still", "comp-still", "fill-still", "matte-still", "webp-still"), "apng"),
        "review-matte": "webm",
        "png-still": "png",
        "tiff-still": "tiff",
        "exr-still": "exr",
    }
)
"""Formats and forms that take about as much as another."""


def usual_bytes(format: Format, width: int, height: int, frames: int) -> int:
    """Return what so many frames usually take in a format, without sound."""
    shrunk = min(1.0, format.long_side / max(width, height)) if format.long_side else 1.0
    return round(_BYTES_A_PIXEL[_LIKE.get(format.name, format.name)] * width * height * shrunk**2 * frames)
