"""Damage within packets whose heads are right: what is lost or spoilt is told, whatever the container."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext
from clips import RGB, picture, write_clip

from birefvideo.frames import Span
from birefvideo.jobs.warnings import job_losses
from birefvideo.media.reading import flv_tags, mpeg_packets
from birefvideo.media.reading.decode import DecodeReport, read_frames
from birefvideo.media.reading.open_input import open_input
from birefvideo.media.reading.probe import probe
from birefvideo.media.reading.zeroed_slices import SliceCheck
from birefvideo.pipeline import SegmentReport

SIZE = (192, 128)
FRAMES = 24
GRAIN = np.random.default_rng(1).integers(-12, 13, (5, SIZE[1], SIZE[0], 3))
X264 = {"x264-params": "keyint=12:min-keyint=12:bframes=2:b-adapt=0:scenecut=0"}
_X265 = "log-level=none:pools=none:frame-threads=1"
X265 = {"x265-params": f"{_X265}:keyint=12:min-keyint=12:bframes=2:b-adapt=0:crf=12:info=0"}
MPEG2 = {"g": "12", "bf": "2", "b": "1M"}
CODECS = {"h264": ("libx264", X264), "hevc": ("libx265", X265), "mpeg2": ("mpeg2video", MPEG2)}
PES = 6  # bytes of a packet's start code and length


def grainy(index: int, width: int, height: int) -> RGB:
    """A picture that takes thousands of bytes."""
    return np.clip(picture(index, width, height) + GRAIN[index % len(GRAIN)], 0, 255).astype(np.uint8)


def clip_of(path: Path, codec: str, audio_tracks: int = 0) -> Path:
    name, options = CODECS[codec]
    rate = Fraction(25)
    clock = 1 / rate if codec == "mpeg2" else Fraction(1, 90000)
    return write_clip(
        path,
        size=SIZE,
        frames=FRAMES,
        rate=rate,
        time_base=clock,
        codec=name,
        options=options,
        audio_tracks=audio_tracks,
        pictures=grainy,
    )


def told(path: Path) -> tuple[int, list[str]]:
    """The number of frames that a clip gives, and what a job says of its losses."""
    info, report = probe(path), DecodeReport()
    with closing(read_frames(info, report=report)) as frames:
        pts = [frame.pts for frame in frames]
    return len(pts), job_losses(info, Span(), [SegmentReport(pts, decode=report)])


def packets(path: Path) -> list[tuple[int, int]]:
    """Byte position and size of each packet of pictures."""
    with open_input(path) as container:
        return [(p.pos, p.size) for p in container.demux(video=0) if p.size and p.pos is not None]


def zeroed(path: Path, begin: int, end: int) -> Path:
    data = bytearray(path.read_bytes())
    data[begin:end] = bytes(end - begin)
    path.write_bytes(data)
    return path


def transport_packets(path: Path) -> list[tuple[int, int, bool]]:
    """Where the payload of each transport packet of pictures begins and ends, and whether a PES packet begins there."""
    data, found = path.read_bytes(), []
    for at in range(0, len(data), 188):
        is_picture = int.from_bytes(data[at + 1 : at + 3], "big") & 0x1FFF == 256
        if is_picture and data[at + 3] & 0x10:
            head = 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)
            found.append((at + head, at + 188, bool(data[at + 1] & 0x40)))
    return found


@pytest.mark.parametrize("suffix", [".ts", ".mpg", ".flv", ".mp4", ".mkv"])
@pytest.mark.parametrize("codec", CODECS)
def test_whole_clips_lack_nothing(tmp_path: Path, suffix: str, codec: str) -> None:
    if (suffix, codec) in [(".flv", "hevc"), (".flv", "mpeg2"), (".mpg", "h264"), (".mpg", "hevc"), (".mp4", "mpeg2")]:
        pytest.skip("the container does not hold it, or not with these times")
    assert told(clip_of(tmp_path / f"whole{suffix}", codec)) == (FRAMES, [])


@pytest.mark.parametrize("number", [1, 9, 20, 22])
def test_an_flv_tag_of_zeros_is_a_lost_frame(tmp_path: Path, number: int) -> None:
    path = clip_of(tmp_path / "clip.flv", "h264", audio_tracks=1)
    position, size = packets(path)[number]
    zeroed(path, position + 11, position + 11 + 5 + size)
    assert len(flv_tags.walk(path).damage) == 1
    frames, lines = told(path)
    assert frames == FRAMES - 1 and lines


@pytest.mark.parametrize("codec", ["h264", "hevc", "mpeg2"])
def test_a_transport_packet_that_lost_a_beginning_is_told(tmp_path: Path, codec: str) -> None:
    path = clip_of(tmp_path / "clip.ts", codec)
    begins = [(begin, end) for begin, end, is_start in transport_packets(path) if is_start]
    assert mpeg_packets.walk_transport(path).damage == []
    zeroed(path, *begins[8])
    assert mpeg_packets.walk_transport(path).damage == [begins[8][0] // 188 * 188]
    assert told(path)[1]


def test_a_first_group_that_cannot_be_decoded_is_counted(tmp_path: Path) -> None:
    path = clip_of(tmp_path / "clip.ts", "hevc")
    zeroed(path, *transport_packets(path)[0][:2])
    frames, lines = told(path)
    assert lines == [f"about {FRAMES - frames} frames are missing around 0:00.0: the file is damaged there"]


def test_a_recording_that_begins_amid_a_group_lacks_nothing(tmp_path: Path) -> None:
    path = clip_of(tmp_path / "clip.ts", "h264")
    begins = [begin // 188 * 188 for begin, _, is_start in transport_packets(path) if is_start]
    data = path.read_bytes()
    path.write_bytes(data[: 3 * 188] + data[begins[5] :])  # behind the tables
    frames, lines = told(path)
    assert 0 < frames < FRAMES and lines == []


@pytest.mark.parametrize("place", [0.3, 0.5, 0.8])
def test_a_program_packet_of_zeros_is_told(tmp_path: Path, place: float) -> None:
    path = clip_of(tmp_path / "clip.mpg", "mpeg2")
    data = path.read_bytes()
    begin = data.index(b"\0\0\1\xe0", int(place * len(data))) + PES
    zeroed(path, begin, begin + int.from_bytes(data[begin - 2 : begin], "big"))
    assert len(mpeg_packets.walk_program(path).damage) == 1
    assert told(path)[1]


def test_heads_of_program_packets_are_known(tmp_path: Path) -> None:
    rate = Fraction(25)
    for codec in ("mpeg1video", "mpeg2video"):
        path = write_clip(tmp_path / f"{codec}.mpg", codec=codec, rate=rate, time_base=1 / rate, audio_tracks=0)
        assert mpeg_packets.walk_program(path).damage == []


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".flv", "h264"), (".mp4", "h264"), (".mp4", "hevc"), (".ts", "h264"), (".ts", "hevc")]
)
@pytest.mark.parametrize("number", [3, 7, 11])
def test_zeros_in_a_slice_are_one_damaged_frame(tmp_path: Path, suffix: str, codec: str, number: int) -> None:
    path = clip_of(tmp_path / f"clip{suffix}", codec)
    if suffix == ".ts":
        parts = transport_packets(path)
        inner = [part for part, behind in pairwise(parts) if not part[2] and not behind[2]]
        begin, end, _ = inner[-number]  # the first ones hold no slices
    else:
        position, size = packets(path)[number]
        begin, end = position + 3 * size // 4, position + size - 2
    frames, lines = told(zeroed(path, begin, end))
    assert (frames, lines) == (FRAMES, ["1 frame damaged in the file and used as found"])


def test_damaged_slices_of_mpeg2_are_lost(tmp_path: Path) -> None:
    path = clip_of(tmp_path / "clip.ts", "mpeg2")
    parts = [part for part in transport_packets(path) if not part[2]]
    zeroed(path, *parts[len(parts) // 2][:2])
    assert told(path) == (FRAMES, ["1 frame damaged in the file and used as found"])


def test_a_transport_stream_cut_between_packets_within_a_picture_is_told(tmp_path: Path) -> None:
    path = clip_of(tmp_path / "clip.ts", "h264")
    parts = transport_packets(path)
    middle = next(i for i in range(len(parts) // 2, len(parts)) if not parts[i][2])
    path.write_bytes(path.read_bytes()[: parts[middle][0] // 188 * 188])
    assert told(path)[1] == ["1 frame damaged in the file and used as found"]


def test_a_transport_stream_cut_between_packets_within_sound_is_told(tmp_path: Path) -> None:
    path = clip_of(tmp_path / "clip.ts", "hevc", audio_tracks=1)
    assert not mpeg_packets.walk_transport(path).is_cut
    data = path.read_bytes()
    begins = [at for at in range(0, len(data), 188) if data[at + 1 : at + 3] == b"\x41\x01"]  # of number 257
    path.write_bytes(data[: begins[len(begins) // 2] + 188])
    assert mpeg_packets.walk_transport(path).is_cut
    (line,) = told(path)[1]
    assert line.startswith("the file is cut off at ")


@pytest.mark.parametrize(
    ("container", "rest", "is_zeroed"),
    [
        ("h264", bytes(1 << 20), False),
        ("mpegts", bytes(1 << 20), True),
        ("h264", bytes(1 << 20) + b"\2", True),
        ("h264", b"\x80" + (bytes(3) + b"\2") * (1 << 18), True),
    ],
)
def test_packets_of_megabytes_of_zeros_are_looked_through_once(container: str, rest: bytes, is_zeroed: bool) -> None:
    context = av.CodecContext.create("h264", "r")
    assert isinstance(context, VideoCodecContext)
    check = SliceCheck(context, container)
    assert check.is_zeroed(b"\0\0\1\x65\x88" + rest) is is_zeroed
    assert not check.is_zeroed(b"\0\0\1\x09\x10" + rest)  # no slice: a delimiter
