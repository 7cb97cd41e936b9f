"""Makers of tiny clips for the tests: one general writer, and one named recipe for each trait that breaks tools.

`CLIPS["vfr"](folder)` writes the clip into `folder` and returns its path; in a test, the fixture `clip` does that
once a session: `clip("vfr")`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.codec.context import Flags
from av.stream import Disposition
from numpy.typing import NDArray

RGB = NDArray[np.uint8]
Tags = tuple[int, int, int, int]
"""Matrix, range, primaries, transfer: FFmpeg's integers."""

BT709: Tags = (1, 1, 1, 1)
BT601: Tags = (6, 1, 6, 6)
FULL709: Tags = (1, 2, 1, 1)
PQ2020: Tags = (9, 1, 9, 16)

WIDTH, HEIGHT = 96, 64
FRAMES = 12
TIME_BASE = Fraction(1, 12000)
STEP = 500  # ticks a frame: 24 frames a second
VFR_PTS = (0, 500, 900, 2400, 2500, 3100, 5000, 5001, 6000, 9000, 9250, 12000)

SAMPLE_RATE = 44100
_AUDIO_BLOCK = 1024


def picture(index: int, width: int = WIDTH, height: int = HEIGHT) -> RGB:
    """Frame `index`: a gradient, a green blob that moves right, and a red block in the top left corner only."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    rgb = np.stack([40 + 60 * x / width, 60 + 60 * y / height, np.full_like(x, 90)], axis=-1)
    centre = width * (0.3 + 0.4 * ((index * 3) % 16) / 16)
    blob = np.exp(-((x - centre) ** 2 + (y - 0.6 * height) ** 2) / (0.015 * width * height))
    rgb += blob[..., None] * (np.array([30, 220, 60], np.float32) - rgb)
    rgb[: height // 4, : width // 4] = (220, 30, 30)
    return cast(RGB, np.clip(np.rint(rgb), 0, 255).astype(np.uint8))


def stored_picture(index: int, width: int, height: int, *, quarter_turns: int = 0, mirrored: bool = False) -> RGB:
    """`picture` as a camera held at an angle stores it, (height, width) being the stored size."""
    upright = (height, width) if quarter_turns % 2 else (width, height)
    rgb = picture(index, *upright)
    return np.ascontiguousarray(np.rot90(rgb[:, ::-1] if mirrored else rgb, -quarter_turns))


def yuv_frame(rgb: RGB, pix_fmt: str, tags: Tags | None) -> av.VideoFrame:
    """`rgb` as a picture of `pix_fmt` in the matrix and range of `tags` (BT.601 limited where there are none)."""
    matrix, colour_range = (tags or BT601)[:2]
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    swscale_matrix = {1: "ITU709", 9: "BT2020"}.get(matrix, "ITU601")
    return frame.reformat(format=pix_fmt, dst_colorspace=swscale_matrix, dst_color_range=colour_range, threads=1)


def fielded_frame(
    order: str, pictures: Callable[[int], RGB], index: int, pix_fmt: str, tags: Tags | None
) -> av.VideoFrame:
    """Frame `index` of a film: picture `index`, or with "tff" or "bff" two fields.

    Then the top or the bottom field, which comes first, is of picture 2 `index`, and the other of the next one.
    """
    if not order:
        return yuv_frame(pictures(index), pix_fmt, tags)
    first, second = (yuv_frame(pictures(2 * index + late), pix_fmt, tags) for late in (0, 1))
    for plane, later in zip(first.planes, second.planes, strict=True):
        rows, lines = (np.frombuffer(memoryview(p), np.uint8).reshape(-1, p.line_size) for p in (plane, later))
        late = slice(1, None, 2) if order == "tff" else slice(0, None, 2)
        woven = rows.copy()
        woven[late] = lines[late]
        plane.update(woven.tobytes())
    return flagged(first, order)


def flagged(frame: av.VideoFrame, order: str) -> av.VideoFrame:
    """The same picture, flagged interlaced with the top ("tff") or the bottom ("bff") field first."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=TIME_BASE)
    graph.link_nodes(source, graph.add("setfield", order), graph.add("buffersink")).configure()
    graph.push(frame)
    return cast(av.VideoFrame, graph.pull())


def write_clip(
    path: Path,
    *,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    frames: int = FRAMES,
    pts: Sequence[int] | None = None,
    start: int = 0,
    time_base: Fraction = TIME_BASE,
    rate: Fraction = Fraction(24),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    tags: Tags | None = BT709,
    audio_tracks: int = 1,
    cover: bool = False,
    sample_aspect_ratio: Fraction | None = None,
    container_options: Mapping[str, str] | None = None,
    pictures: Callable[..., RGB] = picture,
    fields: Sequence[str] = (),
    metadata: Mapping[str, str] | None = None,
    timecode: str = "",
) -> Path:
    """Write one clip and return `path`, whose suffix names the container.

    `size` is (width, height) as stored. `pts` are ticks of `time_base` (default: `frames` even steps at `rate`) and
    `start` is added to each; audio, a tone of its own pitch a track, always runs from 0 to the last picture's end.
    `fields` says of each frame whether it is interlaced, over and over: "tff", "bff" or "" (see `fielded_frame`).
    """
    step = round(1 / (rate * time_base))
    times = [start + t for t in (pts if pts is not None else range(0, frames * step, step))]
    with av.open(str(path), "w", container_options=dict(container_options or {})) as out:
        video = cast(av.VideoStream, out.add_stream(codec, rate=rate, options=dict(options or {})))
        video.width, video.height = size
        video.pix_fmt = pix_fmt
        context = video.codec_context
        context.time_base = time_base
        context.thread_count = 1
        context.flags |= Flags.frame_duration  # else the muxer guesses how long the last picture is shown
        out.metadata.update(metadata or {})
        if timecode:
            video.metadata["timecode"] = timecode
        if tags is not None:
            context.colorspace, context.color_range, context.color_primaries, context.color_trc = tags
        if sample_aspect_ratio is not None:
            context.sample_aspect_ratio = sample_aspect_ratio
        tones = [_add_tone(out, path.suffix) for _ in range(audio_tracks)]
        art = _add_cover(out) if cover else None
        if art is not None:
            out.mux(art.encode(yuv_frame(picture(0, 32, 32), "rgb24", None)))
            out.mux(art.encode(None))
        ends = [*times[1:], times[-1] + step]
        for index, (time, end) in enumerate(zip(times, ends, strict=True)):
            order = fields[index % len(fields)] if fields else ""
            frame = fielded_frame(order, partial(pictures, width=size[0], height=size[1]), index, pix_fmt, tags)
            frame.pts, frame.time_base, frame.duration = time, time_base, end - time
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for track, tone in enumerate(tones):
            _write_tone(out, tone, ends[-1] * time_base, 330.0 * (track + 1))
    return path


def _add_tone(out: av.container.OutputContainer, suffix: str) -> av.AudioStream:
    name, rate = ("libopus", 48000) if suffix == ".webm" else ("aac", SAMPLE_RATE)
    return cast(av.AudioStream, out.add_stream(name, rate=rate, layout="mono"))


def _write_tone(out: av.container.OutputContainer, stream: av.AudioStream, seconds: Fraction, pitch: float) -> None:
    rate = stream.codec_context.sample_rate
    count = round(seconds * rate)
    tone = (0.2 * np.sin(np.arange(count) * (2 * np.pi * pitch / rate))).astype(np.float32)
    block = stream.codec_context.frame_size or _AUDIO_BLOCK
    resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate, frame_size=block)
    sound = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
    sound.sample_rate, sound.pts, sound.time_base = rate, 0, Fraction(1, rate)
    for frame in [*resampler.resample(sound), *resampler.resample(None)]:
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def _add_cover(out: av.container.OutputContainer) -> av.VideoStream:
    art = out.add_stream("png")
    art.width = art.height = 32
    art.pix_fmt = "rgb24"
    art.disposition = Disposition.attached_pic
    return art


_TURNS = {0: (1, 0, 0, 1), 1: (0, -1, 1, 0), 2: (-1, 0, 0, -1), 3: (0, 1, -1, 0)}


def set_display_matrix(path: Path, quarter_turns: int, mirrored: bool) -> None:
    """Write into an mp4's first track header how players must turn it (ISO/IEC 14496-12, 8.3.2).

    Points are row vectors times the matrix, y downwards: (0, 1, -1, 0), as a phone held upright writes it, turns the
    picture clockwise, which is three counter-clockwise quarter turns.
    """
    a, b, c, d = _TURNS[quarter_turns % 4]
    if mirrored:
        a, c = -a, -c
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    struct.pack_into(">9i", data, matrix, a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def _turned(folder: Path, *, name: str, quarter_turns: int, mirrored: bool = False, **kwargs: object) -> Path:
    pictures = partial(stored_picture, quarter_turns=quarter_turns, mirrored=mirrored)
    path = write_clip(folder / name, pictures=pictures, **kwargs)  # type: ignore[arg-type]
    set_display_matrix(path, quarter_turns, mirrored)
    return path


def _packets(path: Path) -> list[tuple[int, int]]:
    """Byte position and size of each video packet."""
    with av.open(str(path)) as container:
        return [(p.pos, p.size) for p in container.demux(video=0) if p.size and p.pos is not None]


def _corrupt(folder: Path, *, name: str, packets: slice, **kwargs: object) -> Path:
    """A clip of which some packets' bytes are overwritten so that no decoder takes them."""
    path = write_clip(folder / name, **kwargs)  # type: ignore[arg-type]
    data = bytearray(path.read_bytes())
    for position, size in _packets(path)[packets]:
        data[position : position + size] = b"\xff" * size
    path.write_bytes(data)
    return path


def _truncated(folder: Path, *, name: str, keep: float, **kwargs: object) -> Path:
    """A clip that ends in the middle of its media data, as by a full disk."""
    path = write_clip(folder / name, **kwargs)  # type: ignore[arg-type]
    packets = _packets(path)
    position, size = packets[int(keep * len(packets))]
    path.write_bytes(path.read_bytes()[: position + size // 2])
    return path


def _without_moov(folder: Path) -> Path:
    """An mp4 whose recorder died before writing its index."""
    path = write_clip(folder / "without_moov.mp4")
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])
    return path


def _audio_only(folder: Path, *, name: str, cover: bool) -> Path:
    path = folder / name
    with av.open(str(path), "w") as out:
        codec = "libmp3lame" if path.suffix == ".mp3" else "aac"
        tone = cast(av.AudioStream, out.add_stream(codec, rate=SAMPLE_RATE, layout="mono"))
        if cover:
            art = _add_cover(out)
            out.mux(art.encode(yuv_frame(picture(0, 32, 32), "rgb24", None)))
            out.mux(art.encode(None))
        _write_tone(out, tone, Fraction(1, 2), 440.0)
    return path


def _no_frames(folder: Path) -> Path:
    """A Matroska file with a video track and not one packet."""
    path = folder / "no_frames.mkv"
    with av.open(str(path), "w") as out:
        video = cast(av.VideoStream, out.add_stream("ffv1", rate=24))
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        out.start_encoding()
    return path


def _size_change(folder: Path, name: str = "size_change", fields: Sequence[str] = ()) -> Path:
    """An MPEG transport stream whose second half is a smaller picture."""
    step = 90000 // 24
    parts = [
        write_clip(
            folder / f"{name}{i}.ts",
            size=size,
            start=i * 6 * step,
            frames=6,
            audio_tracks=0,
            time_base=Fraction(1, 90000),
            options={"bf": "0", "x264-params": "tff=1" if fields else ""},
            fields=fields,
            container_options={"mpegts_copyts": "1"},
        )
        for i, size in enumerate([(96, 64), (64, 48)])
    ]
    path = folder / f"{name}.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    for part in parts:
        part.unlink()
    return path


_OPEN_GOP = {"x264-params": "open-gop=1:keyint=6:min-keyint=6:bframes=2:b-adapt=0:scenecut=0"}
_PRORES: dict[str, Any] = {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}
_X265 = "log-level=none:pools=none:frame-threads=1"
_FIELDS = ("tff",)
_SHORT_GOPS = {"x264-params": "keyint=5:min-keyint=5:bframes=2:b-adapt=0:scenecut=0"}


def _make(name: str, **kwargs: object) -> Callable[[Path], Path]:
    return lambda folder: write_clip(folder / name, **kwargs)  # type: ignore[arg-type]


CLIPS: dict[str, Callable[[Path], Path]] = {
    # time
    "plain": _make("plain.mp4"),
    "short_gops": _make("short_gops.mp4", frames=24, options=_SHORT_GOPS),
    "vfr": _make("vfr.mp4", pts=VFR_PTS),
    "vfr_mkv": _make("vfr.mkv", pts=VFR_PTS[:7], audio_tracks=0),
    "duplicate_pts": _make("duplicate_pts.mkv", pts=VFR_PTS, audio_tracks=0),  # 5000 and 5001 are one millisecond
    "delayed": _make("delayed.mp4", start=16800),  # 1.4 s
    "delayed_mkv": _make("delayed.mkv", start=16800),
    "open_gop": _make("open_gop.mp4", frames=24, options=_OPEN_GOP),
    "open_gop_hevc": _make(
        "open_gop_hevc.mp4",
        frames=24,
        codec="libx265",
        options={"x265-params": f"{_X265}:keyint=6:min-keyint=6:bframes=2:b-adapt=0:open-gop=1"},
    ),
    "transport_stream": _make("stream.ts", frames=24, time_base=Fraction(1, 90000), options=_OPEN_GOP),
    "raw_h264": _make("raw.h264", audio_tracks=0, options=_SHORT_GOPS),
    "avi": _make(  # its packets have the times of decoding only
        "bframes.avi", time_base=Fraction(1, 24), frames=24, options=_SHORT_GOPS, audio_tracks=0
    ),
    "avi_mpeg4": _make(
        "mpeg4.avi", codec="mpeg4", time_base=Fraction(1, 24), frames=24, options={"bf": "2", "g": "6"}, audio_tracks=0
    ),
    "one_frame": _make("one_frame.mp4", frames=1),
    # geometry
    "rotated_90": partial(_turned, name="rotated_90.mp4", quarter_turns=1),
    "rotated_180": partial(_turned, name="rotated_180.mp4", quarter_turns=2),
    "rotated_270": partial(_turned, name="rotated_270.mp4", quarter_turns=3),
    "mirrored": partial(_turned, name="mirrored.mp4", quarter_turns=0, mirrored=True),
    "mirrored_90": partial(_turned, name="mirrored_90.mp4", quarter_turns=1, mirrored=True),
    "rotated_422": partial(_turned, name="rotated_422.mp4", quarter_turns=3, pix_fmt="yuv422p"),
    "rotated_odd": partial(
        _turned,
        name="rotated_odd.mp4",
        quarter_turns=1,
        size=(75, 53),
        codec="libvpx-vp9",
        options={"deadline": "realtime", "cpu-used": "8"},
        audio_tracks=0,
    ),
    "rotated_wide_pixels": partial(
        _turned, name="rotated_wide_pixels.mp4", quarter_turns=3, sample_aspect_ratio=Fraction(4, 3)
    ),
    "odd_444": _make("odd_444.mp4", size=(75, 53), pix_fmt="yuv444p"),
    "odd_420": _make("odd_420.mkv", size=(75, 53), codec="ffv1", audio_tracks=0),
    "wide_pixels": _make("wide_pixels.mp4", sample_aspect_ratio=Fraction(4, 3)),
    "interlaced": _make("interlaced.mp4", options={"x264-params": "tff=1"}),
    "interlaced_open_gop": _make(
        "interlaced.ts",
        frames=24,
        time_base=Fraction(1, 90000),
        options={"x264-params": _OPEN_GOP["x264-params"] + ":tff=1"},
        fields=_FIELDS,
    ),
    "interlaced_mpeg2": _make(
        "mpeg2.ts",
        frames=24,
        rate=Fraction(25),
        time_base=Fraction(1, 25),
        codec="mpeg2video",
        options={"flags": "+ildct+ilme", "g": "6", "bf": "2", "b": "2M"},
        fields=("bff",),
    ),
    "interlaced_prores": _make("interlaced.mov", fields=_FIELDS, options={"flags": "+ildct"}, **_PRORES),
    "mixed_fields": _make(
        "mixed.mkv",
        frames=18,
        codec="ffv1",
        pix_fmt="yuv422p",
        audio_tracks=0,
        fields=("", "", "tff", "tff", "bff", ""),
    ),
    "interlaced_sd": _make(
        "dv.avi",
        codec="dvvideo",
        pix_fmt="yuv411p",
        size=(720, 480),
        frames=4,
        rate=Fraction(30000, 1001),
        time_base=Fraction(1001, 30000),
        fields=("bff",),
        audio_tracks=0,
        tags=None,
    ),
    "interlaced_turned": partial(
        _turned, name="interlaced_turned.mp4", quarter_turns=1, fields=_FIELDS, options={"x264-params": "tff=1"}
    ),
    "interlaced_size_change": partial(_size_change, fields=_FIELDS, name="interlaced_size_change"),
    "size_change": _size_change,
    # samples and colour
    "yuv422": _make("yuv422.mp4", pix_fmt="yuv422p"),
    "ten_bit": _make("ten_bit.mkv", codec="ffv1", pix_fmt="yuv422p10le", audio_tracks=0),
    "twelve_bit": _make("twelve_bit.mkv", codec="ffv1", pix_fmt="yuv444p12le", audio_tracks=0),
    "hdr": _make("hdr.mp4", codec="libx265", pix_fmt="yuv420p10le", tags=PQ2020, options={"x265-params": _X265}),
    "full_range": _make("full_range.mp4", tags=FULL709),
    "yuvj420": _make("yuvj420.mkv", codec="mjpeg", pix_fmt="yuvj420p", tags=(5, 2, 1, 1), audio_tracks=0),
    "rgb": _make("rgb.mkv", codec="ffv1", pix_fmt="bgr0", tags=None, audio_tracks=0),
    "rgb_deep": _make("rgb_deep.mkv", codec="ffv1", pix_fmt="gbrp10le", tags=None, audio_tracks=0),
    "gray": _make("gray.mkv", codec="ffv1", pix_fmt="gray", tags=None, audio_tracks=0),
    "with_alpha": _make("with_alpha.mkv", codec="ffv1", pix_fmt="yuva420p", audio_tracks=0),
    "packed_rgb": _make("packed_rgb.mov", codec="png", pix_fmt="rgb24", tags=None, audio_tracks=0),
    "packed_422": _make("packed_422.mov", codec="rawvideo", pix_fmt="uyvy422", audio_tracks=0),
    "matrix_only": _make("matrix_only.mp4", tags=(6, 1, 2, 2)),
    "primaries_only": _make("primaries_only.mp4", tags=(2, 1, 9, 2)),
    "untagged_sd": _make("untagged_sd.mp4", tags=None),
    "untagged_hd": _make("untagged_hd.mp4", size=(1280, 720), frames=2, tags=None, options={"preset": "ultrafast"}),
    "untagged_portrait_hd": _make(
        "untagged_portrait_hd.mp4", size=(720, 1280), frames=2, tags=None, options={"preset": "ultrafast"}
    ),
    # streams
    "silent": _make("silent.mp4", audio_tracks=0),
    "two_audio": _make("two_audio.mp4", audio_tracks=2),
    "webm": _make("webm.webm", codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"}),
    "with_cover": _make("with_cover.mp4", cover=True),
    # broken
    "corrupt": partial(_corrupt, name="corrupt.mp4", packets=slice(6, 7), options=_SHORT_GOPS, frames=24),
    "corrupt_intra": partial(_corrupt, name="corrupt_intra.mov", packets=slice(5, 6), **_PRORES),
    "undecodable": partial(_corrupt, name="undecodable.mov", packets=slice(None), **_PRORES),
    "truncated": partial(_truncated, name="truncated.mkv", keep=0.6, codec="ffv1", audio_tracks=0),
    "truncated_mp4": partial(
        _truncated,
        name="truncated.mp4",
        keep=0.6,
        audio_tracks=0,
        options={"bf": "0"},
        container_options={"movflags": "faststart"},
    ),
    "without_moov": _without_moov,
    "no_frames": _no_frames,
    "audio_only": partial(_audio_only, name="audio_only.m4a", cover=False),
    "cover_only": partial(_audio_only, name="cover_only.mp3", cover=True),
}
"""Recipe by name; each takes the folder to write into and returns the file."""
