"""Single pictures as input: which files are one, and what that means for how they are read."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av

from birefvideo.frames import Loss, Still, VideoInfo
from birefvideo.media.animation_containers import is_animated_webp
from birefvideo.media.chunks import PNG_HEAD
from birefvideo.media.reading.normalize import format_depth, has_chroma
from birefvideo.media.reading.open_input import open_input
from birefvideo.media.reading.pages import count_pages
from birefvideo.media.reading.picture_losses import is_damaged
from birefvideo.media.reading.picture_tags import STILL_BRANDS, read_picture_tags

_HEADS = (
    *(PNG_HEAD, b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*", b"BM", b"SDPX", b"XPDS", b"v/1\x01"),
    *(b"8BPS", b"qoif", b"\xff\x0a", b"\0\0\0\x0cJXL ", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"#?RADIANCE"),
    *(b"PF", b"Pf", b"PH", b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"P7"),
    *(b"\x01\xda", b"\x59\xa6\x6a\x95", b"DDS "),
)
"""How files of pictures begin: PNG, JPEG, GIF, TIFF, BMP, DPX, OpenEXR, PSD, QOI, JPEG XL and 2000, HDR, PNM, SGI,
Sun raster and DDS."""
_WITHOUT_HEAD = frozenset(
    [
        *(".tga", ".pcx", ".ico", ".xbm", ".xpm", ".xwd", ".pix", ".pict", ".pct", ".pcd", ".pgx", ".fits", ".jxs"),
        *(".iff", ".lbm", ".vbn"),
    ]
)
"""Pictures that are known by their ending only."""
_MOTION_JPEG = frozenset([".mjpeg", ".mjpg"])
"""Files that begin as a JPEG does and go on with the next."""
_SRGB = (1, 13)
"""Primaries and transfer function of pictures that do not say theirs (ITU-T H.273)."""
_ONCE = Fraction(1, 25)
"""Seconds that a picture counts as shown, where something has to be said."""


def is_still(path: Path) -> bool:
    """Return whether an input is a file of one picture, by what is in it; animations and series are none."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(16)
    except (OSError, ValueError):
        return False
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return not is_animated_webp(path)
    if head[4:8] == b"ftyp":
        return head[8:12] in STILL_BRANDS
    if path.suffix.lower() in _WITHOUT_HEAD:
        return True
    if not head.startswith(_HEADS) or path.suffix.lower() in _MOTION_JPEG:
        return False
    if head.startswith(PNG_HEAD):
        return not _is_animated_png(path)
    return not head.startswith(b"GIF8") or not _has_second_picture(path)


def as_still(info: VideoInfo, picture: av.VideoFrame) -> VideoInfo:
    """Return what is true of a clip that is one picture, given what would be of a video.

    It has no times, fields or sound. Colour that the file does not name is sRGB.
    """
    tags, pages = read_picture_tags(info.path), count_pages(info.path)
    unsaid = (0, 2, 3)
    colour = info.colour
    if picture.color_primaries in unsaid and picture.color_trc in unsaid and not colour.is_hdr:
        primaries = _SRGB[0] if picture.colorspace not in (9, 10) else colour.primaries
        colour = replace(colour, primaries=primaries, transfer=_SRGB[1])
    return replace(
        info,
        time_base=_ONCE,
        rate=1 / _ONCE,
        duration=_ONCE,
        frame_count=1,
        colour=colour,
        interlaced=False,
        deinterlace=False,
        audio=(),
        doubts=(*info.doubts, *([f"the file holds {pages} pictures: only the first is used"] if pages > 1 else [])),
        losses=(Loss(0, info.start, is_end=True),) if is_damaged(info.path) else (),
        still=Still(
            depth=format_depth(picture.format),
            is_rgb=not has_chroma(picture.format),
            profile=tags.profile if tags else b"",
        ),
    )


def _is_animated_png(path: Path) -> bool:
    """Return whether an `acTL` chunk comes before the pixels (PNG, third edition, 11.3.6); whatever follows the end."""
    with path.open("rb") as file:
        file.seek(len(PNG_HEAD))
        while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
            if head[4:] == b"acTL":
                return True
            file.seek(int.from_bytes(head[:4], "big") + 4, 1)
    return False


def _has_second_picture(path: Path) -> bool:
    try:
        with open_input(path) as container:
            found = 0
            for packet in container.demux(video=0):
                found += bool(packet.size)
                if found > 1:
                    return True
    except (av.FFmpegError, IndexError, ValueError):
        return False
    return False
