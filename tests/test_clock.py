"""Clips whose clock jumps: all of their frames come out, once, in order, and in time with the sound."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import write_clip
from sounds import set_edits

import birefvideo
from birefvideo.frames import DecodedFrame, Span, VideoInfo
from birefvideo.jobs.plan import plan_segments
from birefvideo.media.clip_notes import clock_jumps
from birefvideo.media.format_table import get_format
from birefvideo.media.reading import decode, scan
from birefvideo.media.reading.decode import DecodeReport, read_frames
from birefvideo.media.reading.open_input import open_input
from birefvideo.media.reading.probe import probe
from birefvideo.media.verification.finished_output import read_finished_output
from birefvideo.media.verification.source_count import count_source
from birefvideo.media.verification.verify_later import Claims, prove
from birefvideo.planes import plane_array
from birefvideo.timeline import Timeline

TICK = Fraction(1, 90000)
STEP = 3750  # ticks a frame: 24 frames a second
REORDERED = {"x264-params": "keyint=6:min-keyint=6:bframes=2:b-adapt=0:scenecut=0"}
IN_ORDER = {"bf": "0"}


def joined(path: Path, parts: Sequence[tuple[Fraction, int]], *, audio_tracks: int = 0) -> Path:
    """Transport streams of (start in seconds, frames) each, one behind the other as `cat` would."""
    data = b""
    for start, frames in parts:
        part = write_clip(
            path.with_name(f"part_of_{path.name}"),
            start=round(start / TICK),
            frames=frames,
            time_base=TICK,
            audio_tracks=audio_tracks,
            options=REORDERED,
            container_options={"mpegts_copyts": "1"},
        )
        data += part.read_bytes()
    path.write_bytes(data)
    return path


def moved(source: Path, path: Path, number: int, seconds: int) -> Path:
    """A copy in which one packet of pictures, in order of decoding, claims to be shown later."""
    options = {"mpegts_copyts": "1"} if path.suffix == ".ts" else {}
    with av.open(str(source)) as clip, av.open(str(path), "w", container_options=options) as out:
        stream = out.add_stream_from_template(clip.streams.video[0])
        packets = [packet for packet in clip.demux(video=0) if packet.size]
        for index, packet in enumerate(packets):
            if index == number:
                assert packet.pts is not None and packet.time_base is not None
                packet.pts += round(seconds / packet.time_base)
            packet.stream = stream
            out.mux(packet)
    return path


def read(info: VideoInfo, span: Span = Span(), context: int = 0) -> list[DecodedFrame]:  # noqa: B008 - frozen
    return list(read_frames(info, span, context))


def steps(frames: Sequence[DecodedFrame]) -> set[int]:
    """The distances between neighbours, in milliseconds."""
    return {round((b.seconds - a.seconds) * 1000) for a, b in pairwise(frames)}


@pytest.mark.parametrize(
    "parts",
    [
        [(Fraction(0), 12), (Fraction(0), 12)],
        [(Fraction(0), 12), (Fraction(0), 20), (Fraction(0), 7)],
        [(Fraction(0), 12), (Fraction(1, 3), 12)],
        [(Fraction(0), 12), (Fraction(60), 12)],
        [(Fraction(0), 12), (Fraction(90000), 12)],
        [(Fraction(2**33, 90000) - Fraction(1, 2), 24), (Fraction(0), 12)],
    ],
    ids=["again from 0", "three of different lengths", "a third back", "a minute ahead", "25 hours ahead", "wrapped"],
)
def test_parts_joined_by_their_bytes_follow_one_another(tmp_path: Path, parts: list[tuple[Fraction, int]]) -> None:
    info = probe(joined(tmp_path / "joined.ts", parts))
    report = DecodeReport()
    frames = list(read_frames(info, report=report))
    count = sum(number for _, number in parts)
    assert (len(frames), info.frame_count, report.dropped_frames, report.backward_frames) == (count, count, 0, 0)
    assert steps(frames) == {42}
    assert info.duration == Fraction(count, 24)
    assert info.losses == ()
    assert len(plan_segments(info, Span())) == 1
    (line,) = clock_jumps(info, Span())
    assert "clock jumps" in line


def test_the_jumps_of_a_part_are_told_with_the_part_alone(tmp_path: Path) -> None:
    info = probe(joined(tmp_path / "joined.ts", [(Fraction(0), 12), (Fraction(0), 12)]))
    first, second = read(info)[11:13]
    assert not list(clock_jumps(info, Span(None, first.pts)))
    assert len(list(clock_jumps(info, Span(second.pts, None)))) == 1


def test_sound_moves_with_the_pictures_it_was_stored_with(tmp_path: Path) -> None:
    path = joined(tmp_path / "joined.ts", [(Fraction(0), 24), (Fraction(0), 24)], audio_tracks=1)
    info = probe(path)
    (sound,) = info.audio
    with open_input(path) as container:
        stream = container.streams[sound.index]
        assert info.timeline.is_closed(stream.index)
        times = [p.pts * stream.time_base for p in info.timeline.closed(container.demux(stream)) if p.pts is not None]
    distances = [b - a for a, b in pairwise(times)]
    assert min(distances) > -Fraction(1, 10)  # a part's sound is a little longer than its pictures
    assert max(distances) < Fraction(1, 10)
    assert float(times[-1]) == pytest.approx(2, abs=0.1)


def test_a_hole_that_the_sound_runs_through_stays(tmp_path: Path) -> None:
    """A transport stream that shows one picture for 20 s while somebody goes on speaking."""
    pts = [0, STEP, 2 * STEP, 20 * 90000, 20 * 90000 + STEP]
    info = probe(write_clip(tmp_path / "still.ts", pts=pts, time_base=TICK, options=IN_ORDER))
    frames = read(info)
    assert max(steps(frames)) > 19_000
    assert info.timeline.joints == ()


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("options", [REORDERED, IN_ORDER], ids=["reordered", "in order"])
def test_a_long_still_in_a_file_is_content(tmp_path: Path, suffix: str, options: dict[str, str]) -> None:
    pts = [0, 500, 1000, 1500, 12000 * 60, 12000 * 60 + 500]
    info = probe(write_clip(tmp_path / f"still{suffix}", pts=pts, options=options, audio_tracks=0))
    frames = read(info)
    assert [round(float(frame.seconds - frames[0].seconds) * 24) for frame in frames] == [0, 1, 2, 3, 1440, 1441]
    assert (info.timeline.joints, info.timeline.corrected, info.losses) == ((), (), ())


@pytest.mark.parametrize("suffix", [".ts", ".mp4", ".mkv"])
@pytest.mark.parametrize("options", [REORDERED, IN_ORDER], ids=["reordered", "in order"])
def test_a_packet_far_outside_its_neighbours_gets_its_place_among_them(
    tmp_path: Path, suffix: str, options: dict[str, str]
) -> None:
    source = write_clip(tmp_path / "s.mp4", frames=24, options=options, audio_tracks=0, time_base=Fraction(1, 24000))
    info = probe(moved(source, tmp_path / f"far{suffix}", 7, 100))
    frames = read(info)
    assert len(frames) == 24
    assert steps(frames) <= {41, 42}
    assert info.duration == pytest.approx(1, abs=0.01)
    assert info.losses == ()


@pytest.mark.parametrize("jump", [0, 60])
def test_any_two_spans_of_a_clip_with_a_jump_give_exactly_the_whole(tmp_path: Path, jump: int) -> None:
    info = probe(joined(tmp_path / "joined.ts", [(Fraction(0), 10), (Fraction(jump), 8)]))

    def seen(frames: Sequence[DecodedFrame]) -> list[tuple[int, int, bytes]]:
        return [(frame.pts, frame.duration, bytes(frame.picture.planes[0])) for frame in frames]

    whole = seen(read(info))
    for number in range(1, len(whole), 2):
        parts = [read(info, span, 2) for span in (Span(None, whole[number][0]), Span(whole[number][0], None))]
        assert [seen([f for f in part if f.core]) for part in parts] == [whole[:number], whole[number:]]
        assert seen(parts[1]) == whole[max(0, number - 2) :]


def test_steps_back_in_flv_are_closed_for_both_streams(tmp_path: Path) -> None:
    part = write_clip(tmp_path / "part.flv", time_base=Fraction(1, 1000), options=REORDERED).read_bytes()
    path = tmp_path / "joined.flv"
    path.write_bytes(part + part[13:])  # without the second head
    info = probe(path)
    frames = read(info)
    assert len(frames) == 24
    assert steps(frames) <= {41, 42}
    assert len(info.timeline.shifts) == 2


def test_ordinary_clips_keep_their_times(clip: Callable[[str], Path]) -> None:
    for name in ("plain", "vfr", "vfr_mkv", "delayed", "delayed_mkv", "open_gop", "transport_stream", "avi", "webm"):
        info = probe(clip(name))
        assert not info.timeline.is_closed(info.stream_index), name
        assert not list(clock_jumps(info, Span()))


def test_reordered_pictures_whose_first_packets_lack_decoding_times_keep_their_times(tmp_path: Path) -> None:
    """NUT does not say when they are decoded, and pictures that are reordered are no jumps of the clock."""
    info = probe(write_clip(tmp_path / "clip.nut", frames=24, options=REORDERED, audio_tracks=0))
    report = DecodeReport()
    frames = list(read_frames(info, report=report))
    assert (len(frames), report.backward_frames, info.timeline) == (24, 0, Timeline())
    assert steps(frames) == {42}


@pytest.mark.parametrize("name", ["prores", "webm", "green", "ffv1", "png", "apng"])
@pytest.mark.parametrize("scale", [10_000_000, 2**31 - 1])
def test_clips_with_a_very_fine_clock_give_every_output(tmp_path: Path, network: Path, scale: int, name: str) -> None:
    source = write_clip(
        tmp_path / "fine.mp4",
        frames=4,
        time_base=Fraction(1, scale),
        rate=Fraction(30),
        options=IN_ORDER,
        container_options={"video_track_timescale": str(scale)},
    )
    info = probe(source)
    assert info.time_base == Fraction(1, scale)
    made = birefvideo.matte(source, to=name, model=str(network), receipts=False)
    assert made.frames == 4
    checks = {check.name: check for check in prove(made.outputs[0], get_format(name), source, Claims())}
    for kind in ("frames", "times", "duration"):
        assert checks[kind].passed, checks[kind].finding


def test_a_clock_that_no_camera_has_is_told(tmp_path: Path) -> None:
    options = {"video_track_timescale": str(2**31 - 1)}
    for ticks, rate, is_told in ((512, Fraction(2**31 - 1, 512), True), (715827, Fraction(3000), False)):
        path = write_clip(
            tmp_path / "fast.mp4",
            pts=[ticks * number for number in range(4)],
            time_base=Fraction(1, 2**31 - 1),
            rate=rate,
            audio_tracks=0,
            options=IN_ORDER,
            container_options=options,
        )
        info = probe(path)
        assert any("4 frames last" in line and "cannot be" in line for line in info.doubts) == is_told, info.doubts
        assert len(list(read_frames(info))) == 4


@pytest.mark.parametrize("name", ["webm", "ffv1", "prores", "green"])
def test_frames_nearer_than_an_outputs_clock_can_tell_are_all_there(tmp_path: Path, network: Path, name: str) -> None:
    source = write_clip(
        tmp_path / "dense.mp4",
        frames=6,
        pts=range(0, 12, 2),
        time_base=Fraction(1, 2**31 - 1),
        options=IN_ORDER,
        audio_tracks=0,
        container_options={"video_track_timescale": str(2**31 - 1)},
    )
    made = birefvideo.matte(source, to=name, model=str(network), receipts=False)
    assert made.frames == 6
    checks = {check.name: check for check in prove(made.outputs[0], get_format(name), source, Claims())}
    assert checks["frames"].passed
    finished = read_finished_output(made.outputs[0], get_format(name))
    whole = [plane_array(picture, 0).copy() for picture in finished.pictures()]
    assert len(whole) == 6 and not np.array_equal(whole[0], whole[5])
    for index, picture in finished.pictures_at([0, 3, 5]):
        assert picture is not None and np.array_equal(plane_array(picture, 0), whole[index])


def test_the_proof_counts_what_the_decoder_makes(
    tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames that a wrong rule of times loses are missed, though the output has all that the rule left."""
    source = joined(tmp_path / "joined.ts", [(Fraction(0), 12), (Fraction(0), 8)])
    good = birefvideo.matte(source, tmp_path / "good", to="matte", model=str(network), receipts=False)
    checks = [c for c in prove(good.outputs[0], get_format("matte"), source, Claims()) if c.name == "source"]
    assert [check.passed for check in checks] == [None, True]
    assert "clock jumps" in checks[0].finding
    monkeypatch.setattr(scan, "find_joints", lambda *arguments: Timeline())
    monkeypatch.setattr(scan, "told_apart", lambda timeline, *arguments, **more: timeline)
    bad = birefvideo.matte(source, tmp_path / "bad", to="matte", model=str(network), receipts=False)
    assert bad.frames < 20
    assert bad.losses
    (check,) = [c for c in prove(bad.outputs[0], get_format("matte"), source, Claims()) if c.name == "source"]
    assert check.passed is False
    assert check.finding == f"20 packets, of which the decoder makes 20 pictures, but only {bad.frames} were used"


_WRAP = 2**33 / 90000
"""Seconds after which the clock of a transport stream begins anew."""


@pytest.mark.parametrize("before", [1, 4])
def test_a_clock_that_wraps_loses_nothing(tmp_path: Path, network: Path, before: float) -> None:
    begin = {"output_ts_offset": f"{_WRAP - 1.4 - before:.3f}"}  # the muxer adds 1.4 s
    tick = Fraction(1, 90000)
    clip = write_clip(tmp_path / "wrap.ts", frames=36, time_base=tick, options={"bf": "0"}, container_options=begin)
    made = birefvideo.matte(clip, tmp_path / "out", ["prores"], model=str(network))
    assert made.frames == 36 and not made.losses
    info = probe(clip)
    assert not info.timeline.joints and info.start < 0
    output = read_finished_output(made.outputs[0], get_format("prores"))
    assert output.times[-1] - output.times[0] == pytest.approx(35 / 24, abs=0.001)
    checks = prove(made.outputs[0], get_format("prores"), clip, Claims())
    (sound,) = (check for check in checks if check.name == "sound")
    assert sound.passed, sound.finding


@pytest.mark.parametrize(
    ("edits", "starts"),
    [
        ([(0.5, 0.25), (0.5, 0.25)], [6, 6]),  # the same again, after pictures that only lead to it
        ([(0.5, 1.25), (0.5, 0.25)], [30, 6]),
        ([(0.25, 0.0), (0.25, 0.625), (0.25, 1.5)], [0, 15, 36]),
    ],
)
def test_cuts_of_an_edit_list_are_no_jumps_of_the_clock(
    tmp_path: Path, edits: list[tuple[float, float]], starts: list[int]
) -> None:
    options = {"x264-params": "keyint=10:min-keyint=10:scenecut=0:bframes=0"}
    clip = write_clip(tmp_path / "cut.mp4", frames=48, options=options, audio_tracks=0)
    whole = [frame.picture.to_ndarray() for frame in read_frames(probe(clip))]
    set_edits(clip, edits, kind=b"vide", rate=12000)
    info = probe(clip)
    frames = list(read_frames(info))
    assert not info.timeline.joints
    assert np.diff([float(frame.seconds) for frame in frames]) == pytest.approx(1 / 24, abs=0.001)
    wanted = [first + i for (seconds, _), first in zip(edits, starts, strict=True) for i in range(round(24 * seconds))]
    assert len(frames) == len(wanted)
    assert all(np.array_equal(frame.picture.to_ndarray(), whole[i]) for frame, i in zip(frames, wanted, strict=True))


def at_coarse_times(source: Path, path: Path, tick: int) -> Path:
    """A copy of a Matroska clip whose times, which are relative to one cluster's, are cut to `tick` milliseconds."""
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as clip:
        for packet in clip.demux(video=0):
            if packet.size:
                at = data.index(bytes(packet)) - 3  # the block's time, its flags, its data (RFC 9559, 10.2)
                (time,) = struct.unpack_from(">h", data, at)
                struct.pack_into(">h", data, at, time // tick * tick)
    path.write_bytes(data)
    return path


def at_ticks_of_a_seventh(source: Path, path: Path) -> Path:
    """A copy whose clock has seven ticks a second, filled by its muxer as FFmpeg does: no two decoded in one tick."""
    options = {"video_track_timescale": "7", "use_editlist": "0"}
    with av.open(str(source)) as clip, av.open(str(path), "w", container_options=options) as out:
        stream = out.add_stream_from_template(clip.streams.video[0])
        last = -10
        for packet in clip.demux(video=0):
            if packet.size and packet.pts is not None:
                own = packet.pts if packet.dts is None else packet.dts
                last = max(last + 1, own * 7 // 1000)
                packet.dts, packet.pts = last, max(last, packet.pts * 7 // 1000)
                packet.time_base, packet.duration = Fraction(1, 7), 0
                packet.stream = stream
                out.mux(packet)
    return path


def in_order_of_decoding(source: Path, path: Path) -> Path:
    """A copy of an mp4 without what tells the order of showing from that of decoding (ISO/IEC 14496-12, 8.6.1.3)."""
    data = source.read_bytes()
    assert data.count(b"ctts") == data.count(b"edts") == 1
    path.write_bytes(data.replace(b"ctts", b"free").replace(b"edts", b"free"))
    return path


def with_bad_times(folder: Path, name: str) -> Path:
    """A clip of 19 frames whose times are too coarse for it, or those of decoding."""
    if name in ("mp4", "mov"):
        source = write_clip(folder / "a.mkv", frames=19, options=REORDERED, audio_tracks=0)
        return at_ticks_of_a_seventh(source, folder / f"a.{name}")
    if name == "order of decoding":
        return in_order_of_decoding(
            write_clip(folder / "a.mp4", frames=19, options=REORDERED, audio_tracks=0), folder / "b.mp4"
        )
    options = IN_ORDER if name == "not reordered" else REORDERED
    source = write_clip(folder / "a.mkv", frames=19, options=options, audio_tracks=0)
    return at_coarse_times(source, folder / "b.mkv", 100)


@pytest.mark.parametrize("name", ["mp4", "mov", "mkv", "not reordered", "order of decoding"])
def test_a_clock_too_coarse_or_of_decoding_costs_no_frame(tmp_path: Path, name: str) -> None:
    path = with_bad_times(tmp_path, name)
    info, report = probe(path), DecodeReport()
    frames = list(read_frames(info, report=report))
    pts = [frame.pts for frame in frames]
    assert len(frames) == info.frame_count == count_source(info).shown == 19
    assert pts == sorted(set(pts))
    assert (report.dropped_frames, report.backward_frames) == (0, 0)
    assert (report.sorted_frames > 0) == (name != "not reordered")
    assert bool(info.doubts) == (name in ("mkv", "not reordered"))
    good = write_clip(tmp_path / "good.mkv", frames=19, options=REORDERED, audio_tracks=0)
    right = [plane_array(frame.picture, 0).astype(int) for frame in read_frames(probe(good))]
    for number, frame in enumerate(frames[:16]):  # in the order of showing; the film begins again after 16
        apart = [np.abs(plane_array(frame.picture, 0) - one).mean() for one in right[:16]]
        assert int(np.argmin(apart)) == number


@pytest.mark.parametrize("name", ["mp4", "mkv", "not reordered", "order of decoding"])
def test_any_two_spans_of_a_clip_with_bad_times_give_exactly_the_whole(tmp_path: Path, name: str) -> None:
    info = probe(with_bad_times(tmp_path, name))
    whole = [(frame.pts, bytes(frame.picture.planes[0])) for frame in read_frames(info)]
    for number in range(1, len(whole), 3):
        cut = whole[number][0]
        spans = [Span(None, cut), Span(cut, None)]
        parts = [[(f.pts, bytes(f.picture.planes[0])) for f in read_frames(info, span)] for span in spans]
        assert parts == [whole[:number], whole[number:]]


@pytest.mark.parametrize("name", ["mkv", "order of decoding"])
def test_a_look_at_a_clip_with_bad_times_sees_frames_in_order(tmp_path: Path, name: str) -> None:
    info = probe(with_bad_times(tmp_path, name))
    whole = [(frame.pts, bytes(frame.picture.planes[0])) for frame in read_frames(info)]
    for number in (1, 8, 13, 17):
        near = [(f.pts, bytes(f.picture.planes[0])) for f in decode.frames_near(info, whole[number][0], 100)]
        assert near == whole[number - 1 : number + 2]


def test_a_long_clip_with_bad_times_is_not_decoded_from_its_start_for_every_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_clip(tmp_path / "a.mkv", frames=90, options=REORDERED, audio_tracks=0)
    info = probe(at_coarse_times(source, tmp_path / "b.mkv", 100))
    whole = [frame.pts for frame in read_frames(info)]
    sought: list[int | None] = []
    pictures = decode.decoded

    def watched(*args: Any) -> Any:
        sought.append(args[5])
        return pictures(*args)

    monkeypatch.setattr(decode, "decoded", watched)
    assert [frame.pts for frame in read_frames(info, Span(whole[80], None))] == whole[80:]
    assert len(sought) == 1 and sought[0] is not None and sought[0] > whole[40]


def test_clips_with_bad_times_are_matted_whole_and_told(tmp_path: Path, network: Path) -> None:
    for name in ("mp4", "order of decoding"):
        source = with_bad_times(tmp_path, name)
        result = birefvideo.matte(source, tmp_path / "out", "matte", model=network, device="cpu", overwrite=True)
        assert result.frames == 19 and not result.losses
        assert any("order of showing" in line for line in result.warnings)
        checks = prove(result.outputs[0], get_format("matte"), source, Claims())
        assert {check.name: check.passed for check in checks}["source"] is True
