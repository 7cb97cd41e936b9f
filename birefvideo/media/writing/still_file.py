"""The finished file of one picture: what the encoder gave, with the photo's colour profile."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from birefvideo.errors import OutputError
from birefvideo.frames import VideoInfo
from birefvideo.media.chunks import PNG_HEAD, png_chunk, png_chunks, riff_chunk, riff_chunks
from birefvideo.media.format_table import Format
from birefvideo.media.output_format import Content, output_size
from birefvideo.media.profiles import describes_rgb, is_whole_profile, keeps_profile
from birefvideo.media.sequence_json import part_name
from birefvideo.media.writing.muxing import cannot_write
from birefvideo.media.writing.sequence_folder import read_part

_OTHER_COLOUR = frozenset({b"cICP", b"gAMA", b"cHRM", b"sRGB", b"iCCP"})
"""PNG's other ways to say a colour space, of which a reader may take any."""
_WITH_PROFILE = 0x20
"""Flag of WebP's VP8X."""


def join_still(parts: Sequence[Path], output: Path, format: Format, info: VideoInfo) -> tuple[Fraction, str]:
    """Write the picture of a part into the new file `output`.

    Returns the source's time in seconds that is the output's 0, and one line on what of the photo's colour profile is
    lost, or ''.

    Raises:
        OutputError: there is another number of pictures than one, the part is damaged, or the disk refuses.
    """
    times = [(part, read_part(part).pts) for part in parts]
    found = [(part, pts) for part, pts in times if pts]
    if len(found) != 1 or len(found[0][1]) != 1:
        raise OutputError(f"{output.name} would have more pictures than one: name a folder of numbered pictures")
    ((part, pts),) = found
    profile = info.still.profile if info.still else b""
    try:
        data = (part / part_name(0, format)).read_bytes()
        is_kept = keeps_profile(format, info)
        output.write_bytes(with_profile(data, profile, output_size(format, info)) if is_kept else data)
    except OSError as error:
        raise cannot_write(output, error) from error
    except (ValueError, IndexError) as error:
        raise OutputError(f"{part} holds a damaged picture: remove it and run again") from error
    return (info.start + pts[0]) * info.time_base, _lost(output, format, info)


def with_profile(data: bytes, profile: bytes, size: tuple[int, int]) -> bytes:
    """Return a PNG or WebP of (width, height) with an ICC profile, in place of what else says its colour space.

    Raises:
        ValueError: it is no such file.
    """
    if data.startswith(PNG_HEAD):
        (head, *others) = [(kind, body) for kind, body in png_chunks(data) if kind not in _OTHER_COLOUR]
        colour = (b"iCCP", b"ICC profile\0\0" + zlib.compress(profile))
        return PNG_HEAD + b"".join(png_chunk(*chunk) for chunk in (head, colour, *others))
    chunks = [*riff_chunks(data)]
    flags = next((body[0] for kind, body in chunks if kind == b"VP8X"), 0)  # an opaque picture has no canvas
    canvas = bytes([flags | _WITH_PROFILE, 0, 0, 0]) + b"".join((side - 1).to_bytes(3, "little") for side in size)
    others = [chunk for chunk in chunks if chunk[0] != b"VP8X"]
    body = b"".join(riff_chunk(*chunk) for chunk in ((b"VP8X", canvas), (b"ICCP", profile), *others))
    return riff_chunk(b"RIFF", b"WEBP" + body)


def _lost(output: Path, format: Format, info: VideoInfo) -> str:
    profile = info.still.profile if info.still else b""
    if not profile or format.content is Content.MATTE or keeps_profile(format, info):
        return ""
    if not is_whole_profile(profile):
        return f"the photo's colour profile is damaged, so {output.name} goes without: colours may look different"
    if not describes_rgb(profile):
        return f"the photo's colour profile is not of RGB, so {output.name} goes without: colours may look different"
    return f"{output.name} goes without the photo's colour profile, which {format.extension} cannot hold: .png can"
