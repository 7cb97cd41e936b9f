"""Media of every kind that is read, sound ones, and how a spoilt one is read: probed, and decoded in spans."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, cast

import av
from clips import CLIPS, HEIGHT, WIDTH, picture, write_clip, yuv_frame
from heif import write_avif

from birefvideo.frames import Span
from birefvideo.jobs.limits import check_pictures_fit
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import as_asked, plan_segments, trimmed_span
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import probe
from birefvideo.media.reading.read_metadata import read_metadata
from birefvideo.scoring.read_mattes import open_mattes

_FRAMES = 40
"""Frames that are read of each span."""
_MOST_SEGMENTS = 1000

_CLIPS = (
    *("plain", "vfr_mkv", "transport_stream", "raw_h264", "avi", "webm", "open_gop_hevc", "rotated_90", "wide_pixels"),
    *("interlaced_mpeg2", "with_alpha", "packed_rgb", "two_audio", "with_cover", "twelve_bit", "interlaced_prores"),
    *("avi_mpeg4", "interlaced_sd", "yuvj420", "hdr", "packed_422", "delayed_mkv"),
)
_MORE: dict[str, dict[str, Any]] = {
    "film.mpg": {"codec": "mpeg1video", "time_base": Fraction(1, 25), "rate": Fraction(25), "audio_tracks": 0},
    "flash.flv": {"codec": "flv", "time_base": Fraction(1, 1000), "rate": Fraction(25), "audio_tracks": 0},
    "windows.wmv": {"codec": "wmv2", "time_base": Fraction(1, 1000), "rate": Fraction(25), "audio_tracks": 0},
    "moving.gif": {"codec": "gif", "pix_fmt": "rgb8", "tags": None, "audio_tracks": 0},
    "moving.apng": {"codec": "apng", "pix_fmt": "rgba", "tags": None, "audio_tracks": 0},
    "moving.webp": {"codec": "libwebp_anim", "pix_fmt": "bgra", "tags": None, "audio_tracks": 0},
    "av1.mp4": {"codec": "libsvtav1", "options": {"preset": "12"}},
    "av1.webm": {"codec": "libsvtav1", "options": {"preset": "12"}, "audio_tracks": 0},
    "pieces.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "fast.mp4": {"container_options": {"movflags": "faststart"}, "audio_tracks": 2},
    "vp8.mkv": {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "lossless.avi": {"codec": "huffyuv", "pix_fmt": "yuv422p", "time_base": Fraction(1, 24), "audio_tracks": 0},
    "prores.mkv": {"codec": "prores_ks", "pix_fmt": "yuva444p10le", "audio_tracks": 0},
    "any.nut": {"codec": "ffv1", "audio_tracks": 0},
    "animation.mov": {"codec": "qtrle", "pix_fmt": "argb", "tags": None},
}
"""Names and traits of clips besides those of the tests."""
_PICTURES = (
    *(("png", "png", "rgb24"), ("jpg", "mjpeg", "yuvj420p"), ("tif", "tiff", "rgb24"), ("webp", "libwebp", "yuva420p")),
    *(("gif", "gif", "rgb8"), ("exr", "exr", "gbrpf32le"), ("bmp", "bmp", "bgr24"), ("dpx", "dpx", "rgb24")),
    *(("jp2", "jpeg2000", "rgb24"), ("tga", "targa", "bgr24"), ("ppm", "ppm", "rgb24"), ("png", "png", "rgba64be")),
)
"""Ending, encoder and pixel format of pictures."""


@dataclass(frozen=True)
class Medium:
    """One kind of media."""

    name: str
    """What the table calls it."""
    file: str
    """What a file of the kind is called."""
    sound: bytes
    """A sound one."""
    read: Callable[[Path], object]
    """What is done with a file of the kind."""
    beside: Path | None = None
    """A folder whose pictures belong to it."""

    def put(self, data: bytes, folder: Path) -> Path:
        """Write a file of the kind into a folder; return what is to be read."""
        (folder / self.file).write_bytes(data)
        if self.beside is None:
            return folder / self.file
        for path in self.beside.iterdir():
            if path.name != self.file:
                shutil.copy(path, folder)
        return folder


def media(folder: Path) -> Iterator[Medium]:
    """Yield all kinds; sound ones are made in `folder`."""
    for name in _CLIPS:
        path = CLIPS[name](folder)
        yield Medium(name, path.name, path.read_bytes(), read_clip)
    for name, traits in _MORE.items():
        path = write_clip(folder / name, **{"time_base": Fraction(1, 12000), **traits})
        yield Medium(name, path.name, path.read_bytes(), read_clip)
    yield Medium("a matte", "matte.mkv", (folder / "with_alpha.mkv").read_bytes(), _read_mattes)
    for suffix, codec, pix_fmt in _PICTURES:
        yield Medium(f"{suffix} {pix_fmt}", f"photo.{suffix}", encoded(codec, pix_fmt), read_clip)
    avif = write_avif(folder / "photo.avif", picture(0))
    yield Medium("avif", avif.name, avif.read_bytes(), read_clip)
    series = folder / "series"
    series.mkdir()
    for number in range(6):
        (series / f"take_{number:04d}.png").write_bytes(encoded("png", "rgb24", number))
    for number in (0, 3):
        path = series / f"take_{number:04d}.png"
        yield Medium(f"series, picture {number}", path.name, path.read_bytes(), read_clip, series)
    for number, text in enumerate((b"#EXTM3U\n#EXTINF:2,\nplain.mp4\n", b"ffconcat version 1.0\nfile plain.mp4\n")):
        yield Medium(f"playlist {number}", f"list{number}.mp4", text, read_clip)


def encoded(codec: str, pix_fmt: str, number: int = 0) -> bytes:
    """Return a picture as a file's bytes."""
    encoder = cast(av.VideoCodecContext, av.CodecContext.create(codec, "w"))
    encoder.width, encoder.height = WIDTH, HEIGHT
    encoder.pix_fmt, encoder.time_base = pix_fmt, Fraction(1, 25)
    packets = [*encoder.encode(yuv_frame(picture(number), pix_fmt, None)), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


def read_clip(path: Path) -> None:
    """Probe a clip, and decode the beginning of its whole, of its last segment, and of all but its first frame."""
    info = as_asked(probe(path), Options())
    read_metadata(info)
    check_pictures_fit(info)
    span = trimmed_span(info, None, None)
    segments = plan_segments(info, span)
    if len(segments) > _MOST_SEGMENTS:
        size = path.stat().st_size
        raise AssertionError(f"{len(segments)} segments of {size} bytes")
    for part in (span, segments[-1].span, Span(info.start + 1, None)):
        with closing(read_frames(info, part, context=2)) as frames:
            list(islice(frames, _FRAMES))


def _read_mattes(path: Path) -> None:
    list(islice(open_mattes(path).mattes(), _FRAMES))
