"""The door for media files: which kinds may come in, and why another one may not."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from birefvideo.errors import InputError
from birefvideo.hints import why_missing
from birefvideo.media.animation_containers import is_animated_webp, webp_pictures
from birefvideo.media.reading.animated_webp import open_animated_webp
from birefvideo.media.reading.numbered_pictures import DEFAULT_RATE, Series, series_of
from birefvideo.media.reading.texts import is_text
from birefvideo.memory import allowed_memory, check_memory

# Anything else (http, concat, subfile, ...) could reach beyond the one file that the user named.
_PROTOCOLS = "file"

# FFmpeg's names of the demuxers that read one file and nothing else. Left out are playlists and scripts (hls, concat,
# sdp, ...), subtitles, text drawn as pictures, devices, and formats that continue in files beside them (mlv, vobsub).
# QuickTime's references to other files are off in FFmpeg unless it is told otherwise.
_FILMS = (
    "3g2 3gp amv asf asf_o avi bink cdxl cine dhav dv dxa film_cpk flic flv gxf ivf kux live_flv lxf m4v matroska "
    "mj2 mods moflex mov mp4 mpeg mpegts mpegtsraw mtv mxf mxg nsv nut nuv ogg pmp pva r3d rl2 rm roq ser siff "
    "smjpeg smk swf thp tmv ty usm vivo vividas vmd webm wtv xmv yop"
)
_RAW_STREAMS = (
    "apv av1 avs avs2 avs3 cavsvideo dirac dnxhd evc h261 h263 h264 hevc ipu mjpeg mjpeg_2000 mpegvideo mpjpeg "
    "obu vc1 vc1test vvc yuv4mpegpipe"
)
_PICTURES = (
    "alias_pix apng brender_pix bmp_pipe cri_pipe dds_pipe dpx_pipe exr_pipe filmstrip fits gem_pipe gif gif_pipe "
    "hdr_pipe ico iff image2 j2k_pipe jpeg_pipe jpegls_pipe jpegxl_anim jpegxl_pipe jpegxs_pipe pam_pipe pbm_pipe "
    "pcx_pipe pfm_pipe pgm_pipe pgmyuv_pipe pgx_pipe phm_pipe photocd_pipe pictor_pipe png_pipe ppm_pipe psd_pipe "
    "qdraw_pipe qoi_pipe sgi_pipe sunrast_pipe tiff_pipe vbn_pipe webp_pipe xbm_pipe xpm_pipe xwd_pipe"
)
# Known to be sound, so that the message is about the missing pictures.
_SOUNDS = "aac ac3 ac4 aiff amr ape au caf dsf dts dtshd eac3 flac mlp mp3 mpc mpc8 oma tak truehd tta voc w64 wav wv"
_DEMUXERS = ",".join(f"{_FILMS} {_RAW_STREAMS} {_PICTURES} {_SOUNDS}".split())

BYTES_A_PIXEL = 50
"""Memory that one picture takes on its way, measured (39 bytes at most): decoded, as planes, with alpha, as encoded."""

_LONGEST = 256
"""Times that a picture may be longer than wide: work is done in square cells, 480 along it (`matting.grid`)."""

_TOO_LARGE = re.compile(r"Picture size (\d+)x(\d+)")
_MOST_BOXES = 1000  # boxes at the top of a file that are looked at


def open_input(path: Path) -> InputContainer:
    """Open a media file, or a series of pictures (see `numbered_pictures.series_of`), and nothing beside it.

    Animated WebP, which FFmpeg does not read, is opened as a stream of its whole pictures.

    Raises:
        InputError: there is no file, it is no regular one, or it is of a kind that is not read.
    """
    series = _series(path)
    try:
        container = _opened(path, series)
    except PermissionError as error:
        raise InputError(f"{path} may not be read; change its permissions") from error
    except EOFError as error:
        raise InputError(f"{path} ends before its first frame; record or export it again") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        file = series.files[0] if series else path
        raise InputError(f"{file} {_why_unreadable(file)}") from error
    try:
        _check_sizes(container, path)
    except InputError:
        container.close()
        raise
    return container


def _opened(path: Path, series: Series | None) -> InputContainer:
    options = {"protocol_whitelist": _PROTOCOLS, "format_whitelist": _DEMUXERS}
    limit = picture_limit()  # FFmpeg may decode the first pictures to see what they are
    if series is not None:
        options |= {"start_number": str(series.first), "framerate": str(DEFAULT_RATE), "pattern_type": "sequence"}
        return av.open(f"file:{series.pattern}", format="image2", container_options=options, options=limit)
    if is_animated_webp(path):
        (width, height), _ = webp_pictures(path)
        check_size(path, width, height)
        return open_animated_webp(path)
    # The prefix keeps a name such as 'take:2.mp4' from being taken for a protocol, and the pattern's type one such
    # as 'take%d.png' from being taken for a series.
    options |= {"pattern_type": "none"}
    return av.open(f"file:{path}", container_options=options, options=limit, metadata_errors="replace")


def first_pictures(container: InputContainer, path: Path) -> VideoStream:
    """Return the first video stream of an open file.

    Raises:
        InputError: there is none, or none that can be decoded.
    """
    if not container.streams.video:
        raise InputError(f"{path} has no video track; name a video")
    stream = container.streams.video[0]
    if getattr(stream, "codec_context", None) is None:  # whatever PyAV's annotations say
        raise InputError(f"{path} is in a codec that this FFmpeg cannot decode; make it again")
    return stream


def picture_limit() -> dict[str, str]:
    """Return the option of FFmpeg's decoders that refuses pictures which do not fit into the free memory."""
    allowed = allowed_memory()
    return {} if allowed is None else {"max_pixels": str(min(2**31 - 1, allowed // BYTES_A_PIXEL))}


def _check_sizes(container: InputContainer, path: Path) -> None:
    """Refuse pictures that are larger than the memory allows, and keep the decoders from larger ones to come."""
    for stream in container.streams.video:
        context = getattr(stream, "codec_context", None)
        if context is not None:
            check_size(path, context.width, context.height)
            context.options = {**context.options, **picture_limit()}


def check_size(path: Path, width: int, height: int) -> None:
    """Refuse pictures that do not fit into the free memory, or are lines rather than pictures.

    Raises:
        InputError: as above.
    """
    if max(width, height) > _LONGEST * max(1, min(width, height)):
        raise InputError(f"{path}: pictures of {width}×{height} are too long for what they are wide; cut them first")
    needed = width * height * BYTES_A_PIXEL
    check_memory(needed, f"{path}: pictures of {width}×{height}", "make them smaller first", InputError)


def check_refusal(path: Path, error: av.FFmpegError) -> None:
    """Say so where a decoder refused a picture for the size that `picture_limit` allows.

    Raises:
        InputError: as above. FFmpeg says it in words only, and where its messages are off, not at all.
    """
    size = _TOO_LARGE.search(str(error.log))
    if size:
        check_size(path, int(size[1]), int(size[2]))


def check_is_file(path: Path) -> None:
    """Refuse what is no regular file with bytes in it, before anything opens it: a pipe would wait for ever.

    Raises:
        InputError: says what it is instead.
    """
    if why := why_missing(path):
        raise InputError(why)
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is {_kind(status)}, not a file; save what it gives to a file and name that")
    if status.st_size == 0:
        raise InputError(f"{path} is empty; copy or record it again")


def _series(path: Path) -> Series | None:
    """Return the pictures that a pattern or folder names, None for a file; all may be opened."""
    try:
        series = series_of(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the name and its permissions") from error
    for file in [path] if series is None else series.files:
        check_is_file(file)
    return series


def _kind(status: os.stat_result) -> str:
    kinds = {
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a disk",
        stat.S_IFDIR: "a folder",
    }
    return kinds.get(stat.S_IFMT(status.st_mode), "something else")


def _why_unreadable(path: Path) -> str:
    if is_text(path):
        return "is a text file, such as a playlist or a script, not a video; name the video file itself"
    if _lacks_index(path):
        return "has no index (moov), so it was cut off; copy it again whole, or repair it with a tool such as untrunc"
    return "is not a video file that FFmpeg can read; convert it to .mp4 or .mov"


def _lacks_index(path: Path) -> bool:
    """Return whether a file starts as QuickTime or MP4 and has no moov box at its top level (ISO/IEC 14496-12, 4.2)."""
    names: list[bytes] = []
    whole = path.stat().st_size
    with path.open("rb") as file:
        while len(header := file.read(8)) == 8 and header[4:].isalnum() and len(names) < _MOST_BOXES:
            size = int.from_bytes(header[:4], "big")
            names.append(header[4:])
            rest = int.from_bytes(file.read(8), "big") - 16 if size == 1 else size - 8
            if not 0 <= rest <= whole - file.tell():
                break
            file.seek(rest, 1)
    return names[:1] in ([b"ftyp"], [b"mdat"], [b"wide"]) and b"moov" not in names
