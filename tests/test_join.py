"""Joined outputs: pictures by packet, times to the tick, sound where it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import write_clip
from numpy.typing import NDArray
from outputs import (
    WRITABLE,
    decoded_sound,
    decoded_video,
    expectation,
    full_disk,
    make_output,
    matted,
    packets,
    write_parts,
)

from birefvideo.errors import OutputError
from birefvideo.frames import Span
from birefvideo.media.format_table import Format, get_format
from birefvideo.media.verification.verify_in_job import verify
from birefvideo.media.writing.composer import EncodeSettings
from birefvideo.media.writing.copied_audio import CopiedTrack
from birefvideo.media.writing.join import join
from birefvideo.media.writing.segment_writer import open_writer

Clip = Callable[[str], Path]
RATE = 48000
every_format = pytest.mark.parametrize("format", WRITABLE, ids=lambda format: format.name)


def chirp(seconds: float) -> NDArray[np.float32]:
    t = np.arange(round(seconds * RATE)) / RATE
    return (0.4 * np.sin(2 * np.pi * (200 * t + 600 * t * t))).astype(np.float32)


def clip_with_chirp(folder: Path, name: str, codec: str) -> Path:
    """Two seconds of pictures, and a rising tone from the file's 0 on, in which every moment sounds different."""
    silent = write_clip(folder / "silent.mp4", frames=48, audio_tracks=0, start=600)
    with av.open(str(silent)) as source, av.open(str(folder / name), "w") as out:
        video = out.add_stream_from_template(source.streams.video[0])
        tone = out.add_stream(codec, rate=RATE, layout="mono")
        resampler = av.AudioResampler(
            tone.codec_context.format, "mono", RATE, frame_size=tone.codec_context.frame_size or 1024
        )
        sound = av.AudioFrame.from_ndarray(chirp(2.0)[None], format="fltp", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = RATE, 0, Fraction(1, RATE)
        packets = [p for f in [*resampler.resample(sound), *resampler.resample(None), None] for p in tone.encode(f)]
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = video
                packets.append(packet)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            out.mux(packet)
    return folder / name


def lag(sound: NDArray[np.float32], start: float) -> float:
    """Milliseconds by which a sound comes later than the chirp from `start` on, looked at over 0.3 s."""
    first, length = round(0.2 * RATE), round(0.3 * RATE)
    wanted = chirp(2.0)[round(start * RATE) :]
    shifts = range(-960, 961)
    scores = [float(np.dot(sound[first + s : first + s + length], wanted[first : first + length])) for s in shifts]
    return shifts[int(np.argmax(scores))] / RATE * 1000


@every_format
@pytest.mark.parametrize("name", ["vfr", "delayed", "transport_stream", "short_gops"])
def test_times_are_the_source_s_on_a_clock_from_0(format: Format, name: str, clip: Clip, tmp_path: Path) -> None:
    output, info, frames, report = make_output(tmp_path, format, clip(name), cuts=(3, 7))
    tolerance = Fraction(1, 1000) if format.container.muxer in ("webm", "matroska") else 0
    got = packets(output)
    assert report.frames == len(got) == len(frames)
    for (time, _), frame in zip(got, frames, strict=True):
        assert abs(time - (frame.seconds - report.origin)) <= tolerance
    assert report.origin == min([info.start * info.time_base, *(audio.start for audio in info.audio)])


@every_format
def test_joined_packets_are_the_parts_packets(format: Format, clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip("vfr"))
    parts = write_parts(tmp_path, format, info, frames, cuts=(4, 9))
    output = tmp_path / f"out{format.suffix}"
    join(parts, output, format, info, Span())
    assert [data for _, data in packets(output)] == [data for part in parts for _, data in packets(part)]
    assert len(decoded_video(output)) == len(frames)


def test_joined_prores_equals_one_pass(clip: Clip, tmp_path: Path) -> None:
    format = get_format("prores")
    (tmp_path / "whole").mkdir()
    cut, *_ = make_output(tmp_path, format, clip("vfr"), cuts=(4, 9))
    whole, *_ = make_output(tmp_path / "whole", format, clip("vfr"))
    assert cut.read_bytes() == whole.read_bytes()


@every_format
def test_alpha_and_codec_tag_survive_the_join(format: Format, clip: Clip, tmp_path: Path) -> None:
    output, info, frames, report = make_output(tmp_path, format, clip("plain"), cuts=(6,))
    verify(output, format, info, expectation(frames, report), decode_all=True)
    if format.has_alpha:
        if format.codec_tag:
            with av.open(str(output)) as container:
                assert container.streams.video[0].codec_context.codec_tag == format.codec_tag
        assert len(decoded_video(output)[-1].format.components) == 4


@every_format
def test_the_last_picture_keeps_its_length(format: Format, clip: Clip, tmp_path: Path) -> None:
    output, _, frames, report = make_output(tmp_path, format, clip("silent"), cuts=(5,))
    with av.open(str(output)) as container:
        duration = Fraction(container.duration or 0, av.time_base)
    end = frames[-1].seconds + frames[-1].duration * frames[-1].time_base - report.origin
    assert frames[-1].duration > 0
    assert abs(duration - end) <= Fraction(1, 1000)


@every_format
def test_all_audio_streams_are_kept(format: Format, clip: Clip, tmp_path: Path) -> None:
    output, _, _, report = make_output(tmp_path, format, clip("two_audio"))
    with av.open(str(output)) as container:
        assert len(container.streams.audio) == len(report.sounds) == 2
    assert all(sound.copied == format.container.hides_priming for sound in report.sounds)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "aac"), ("a.mkv", "libopus"), ("a.mkv", "flac"), ("a.mov", "pcm_s16le"), ("a.mp4", "libmp3lame")],
)
@every_format
def test_sound_stays_with_the_picture(format: Format, name: str, codec: str, tmp_path: Path) -> None:
    output, _, _, report = make_output(tmp_path, format, clip_with_chirp(tmp_path, name, codec))
    assert report.warnings == ()
    assert report.origin == 0
    assert abs(lag(decoded_sound(output), 0)) <= 1
    source_codec = codec.removeprefix("lib").removesuffix("lame")
    assert report.sounds[0].copied == (source_codec in format.audio_copy)


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "aac"), ("a.mkv", "libopus"), ("a.mov", "pcm_s16le")])
@every_format
def test_trimmed_sound_starts_with_the_first_picture(format: Format, name: str, codec: str, tmp_path: Path) -> None:
    span = Span(700, 1600) if name == "a.mkv" else Span(8400, 19200)
    output, info, frames, report = make_output(tmp_path, format, clip_with_chirp(tmp_path, name, codec), span=span)
    assert abs(report.origin - frames[0].seconds) <= (
        Fraction(1, 2000) if format.container.muxer in ("webm", "matroska") else 0
    )
    assert packets(output)[0][0] == 0
    sound = decoded_sound(output)
    assert abs(lag(sound, float(report.origin))) <= 1
    end = (span.end or 0) * info.time_base - report.origin
    assert abs(len(sound) / RATE - end) < 0.035
    verify(output, format, info, expectation(frames, report))


def test_damaged_sound_is_warned_of_and_the_pictures_are_kept(tmp_path: Path) -> None:
    clip = clip_with_chirp(tmp_path, "a.mkv", "flac")
    data = bytearray(clip.read_bytes())
    with av.open(str(clip)) as container:
        where = [(p.pos, p.size) for p in container.demux(audio=0) if p.size and p.pos is not None]
    for position, size in where[5:9]:
        data[position + 8 : position + size] = b"\xff" * (size - 8)
    clip.write_bytes(data)
    format = get_format("prores")
    output, info, frames, report = make_output(tmp_path, format, clip)
    assert len(report.warnings) == 1 and "damaged" in report.warnings[0]
    verify(output, format, info, expectation(frames, report))
    assert abs(lag(decoded_sound(output)[round(0.6 * RATE) :], 0.6)) <= 1


def test_sound_that_the_container_refuses_is_left_out_and_told(tmp_path: Path) -> None:
    careless = replace(get_format("prores"), audio_copy=frozenset({"flac"}))
    output, info, frames, report = make_output(tmp_path, careless, clip_with_chirp(tmp_path, "a.mkv", "flac"))
    assert len(report.warnings) == 1 and "audio stream 1 (flac) is left out" in report.warnings[0]
    assert report.sounds == ()
    verify(output, careless, info, expectation(frames, report))


def test_a_folder_that_cannot_be_written_is_told(clip: Clip, tmp_path: Path) -> None:
    format = get_format("prores")
    info, frames = matted(clip("plain"))
    parts = write_parts(tmp_path, format, info, frames)
    with pytest.raises(OutputError, match=r"cannot write .*out\.mov: No such file"):
        join(parts, tmp_path / "nowhere" / "out.mov", format, info, Span())


def test_a_job_without_parts_is_refused(clip: Clip, tmp_path: Path) -> None:
    info, _ = matted(clip("plain"))
    with pytest.raises(OutputError, match="no pictures"):
        join([], tmp_path / "out.mov", get_format("prores"), info, Span())


def test_a_damaged_part_is_named(clip: Clip, tmp_path: Path) -> None:
    format = get_format("prores")
    info, frames = matted(clip("plain"))
    parts = write_parts(tmp_path, format, info, frames, cuts=(6,))
    parts[1].write_bytes(b"not a film")
    with pytest.raises(OutputError, match=r"part1\.mov is damaged: remove it"):
        join(parts, tmp_path / "out.mov", format, info, Span())


def test_parts_of_other_settings_are_refused(clip: Clip, tmp_path: Path) -> None:
    format = get_format("green")
    info, frames = matted(clip("plain"))
    parts = write_parts(tmp_path, format, info, frames, cuts=(6,))
    narrow, narrow_frames = matted(clip("odd_444"))
    with open_writer(parts[1], format, narrow, EncodeSettings()) as writer:
        writer.write(narrow_frames[0])
    with pytest.raises(OutputError, match="other settings"):
        join(parts, tmp_path / "out.mp4", format, info, Span())


@every_format
@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_a_full_disk_is_told_in_one_line(format: Format, share: float, clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip("plain"))
    parts = write_parts(tmp_path, format, info, frames, cuts=(6,))
    output = tmp_path / "out"
    join(parts, output, format, info, Span())
    size = int(share * (output.stat().st_size - 1))
    with full_disk(size), pytest.raises(OutputError, match=r"^cannot write .*out: File too large$"):
        join(parts, output, format, info, Span())


@every_format
def test_a_disk_too_full_for_the_sound_is_no_reason_to_leave_it_out(format: Format, clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip("two_audio"))
    parts = write_parts(tmp_path, format, info, frames)
    output = tmp_path / "out"
    join(parts, output, format, replace(info, audio=()), Span())
    with full_disk(output.stat().st_size), pytest.raises(OutputError, match="File too large"):
        join(parts, output, format, info, Span())


@every_format
def test_a_full_disk_does_not_hide_a_damaged_part(format: Format, clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip("silent"))
    parts = write_parts(tmp_path, format, info, frames, cuts=(1,))
    parts[1].write_bytes(b"not a film")
    with full_disk(parts[0].stat().st_size - 100), pytest.raises(OutputError, match=r"part1.* is damaged: remove it"):
        join(parts, tmp_path / "out", format, info, Span())


def test_of_two_sounds_only_the_unreadable_one_is_left_out(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = CopiedTrack._read

    def failing(track: CopiedTrack) -> Iterator[Any]:
        packets = whole(track)
        yield from islice(packets, 3)
        if track.audio.index == 1:
            raise av.InvalidDataError(1094995529, "Invalid data found")
        yield from packets

    monkeypatch.setattr(CopiedTrack, "_read", failing)
    format = get_format("prores")
    output, info, frames, report = make_output(tmp_path, format, clip("two_audio"))
    assert report.warnings == ("audio stream 1 (aac) is left out: Invalid data found",)
    assert len(report.sounds) == 1
    verify(output, format, info, expectation(frames, report))


@pytest.mark.parametrize("name", ["prores", "green"])
def test_packets_that_the_muxer_cannot_parse_cost_themselves_alone(name: str, clip: Clip, tmp_path: Path) -> None:
    damaged, format = tmp_path / "damaged.ts", get_format(name)
    data = bytearray(clip("transport_stream").read_bytes())
    with av.open(str(clip("transport_stream"))) as container:
        sound = [bytes(p) for p in container.demux(audio=0) if p.size]
    at = data.index(sound[2][:16])
    data[at : at + 2] = b"\0\0"  # the sync word of an ADTS frame, which the muxer takes off
    damaged.write_bytes(data)
    output, info, frames, report = make_output(tmp_path, format, damaged)
    (made,), (warning,) = report.sounds, report.warnings
    assert not made.copied
    assert "the container refuses its packets" in warning and "23 ms of holes filled with silence" in warning
    verify(output, format, info, expectation(frames, report))


def test_a_name_with_a_colon_is_a_file(clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    format = get_format("green")
    info, frames = matted(clip("plain"))
    parts = write_parts(tmp_path, format, info, frames)
    monkeypatch.chdir(tmp_path)
    join(parts, Path("take:2.mp4"), format, info, Span())
    assert len(decoded_video(tmp_path / "take:2.mp4")) == len(frames)
