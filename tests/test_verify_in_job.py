"""Verification: a good output passes, and each kind of damage is told in one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from outputs import WRITABLE, expectation, make_output, matted, packets, write_parts

from birefvideo.errors import OutputError
from birefvideo.media.expected import Expected
from birefvideo.media.format_table import Format, get_format
from birefvideo.media.verification.finished_output import read_finished_output
from birefvideo.media.verification.verify_in_job import verify

SAMPLES = Path(__file__).parent.parent / "samples"
Clip = Callable[[str], Path]
every_format = pytest.mark.parametrize("format", WRITABLE, ids=lambda format: format.name)


@every_format
@pytest.mark.parametrize("decode_all", [False, True])
def test_a_good_output_passes(format: Format, decode_all: bool, clip: Clip, tmp_path: Path) -> None:
    output, info, frames, report = make_output(tmp_path, format, clip("vfr"), cuts=(5,))
    found = verify(output, format, info, expectation(frames, report), decode_all=decode_all)
    assert found.frames == len(frames)
    assert found.decoded == (len(frames) if decode_all else 3)
    assert found.audio_streams == 1
    assert found.worst_time_error <= (Fraction(1, 1000) if format.container.muxer in ("webm", "matroska") else 0)


@every_format
@pytest.mark.parametrize("name", ["full_range", "untagged_sd", "odd_444", "wide_pixels", "one_frame", "webm"])
def test_every_kind_of_clip_passes(format: Format, name: str, clip: Clip, tmp_path: Path) -> None:
    output, info, frames, report = make_output(tmp_path, format, clip(name))
    assert verify(output, format, info, expectation(frames, report)).frames == len(frames)


def test_hdr_passes(clip: Clip, tmp_path: Path) -> None:
    output, info, frames, report = make_output(tmp_path, get_format("prores"), clip("hdr"))
    assert verify(output, get_format("prores"), info, expectation(frames, report)).frames == len(frames)


@every_format
def test_a_missing_picture_is_found(format: Format, clip: Clip, tmp_path: Path) -> None:
    output, info, frames, report = make_output(tmp_path, format, clip("plain"))
    expected = expectation([*frames, frames[-1]], report)
    with pytest.raises(OutputError, match="holds 12 pictures instead of 13"):
        verify(output, format, info, expected)


@every_format
def test_a_picture_at_another_time_is_found(format: Format, clip: Clip, tmp_path: Path) -> None:
    output, info, frames, report = make_output(tmp_path, format, clip("plain"))
    expected = expectation(frames, report)
    pts = [*expected.pts]
    pts[4] += 72
    with pytest.raises(OutputError, match=r"picture 4 is [56]\.. ms away"):
        verify(output, format, info, replace(expected, pts=pts))


def test_a_cut_off_file_is_found(clip: Clip, tmp_path: Path) -> None:
    for name in ("prores", "webm"):
        format = get_format(name)
        output, info, frames, report = make_output(tmp_path, format, clip("plain"))
        data = output.read_bytes()
        output.write_bytes(data[: len(data) // 2])
        with pytest.raises(OutputError, match="failed verification"):
            verify(output, format, info, expectation(frames, report))


def test_damaged_pictures_are_found(clip: Clip, tmp_path: Path) -> None:
    format = get_format("prores")
    output, info, frames, report = make_output(tmp_path, format, clip("plain"))
    data = bytearray(output.read_bytes())
    at = data.index(b"icpf")
    data[at : at + 400] = bytes(400)
    output.write_bytes(data)
    with pytest.raises(OutputError, match="cannot be read back"):
        verify(output, format, info, expectation(frames, report))


def test_an_output_of_another_kind_is_found(clip: Clip, tmp_path: Path) -> None:
    output, info, frames, report = make_output(tmp_path, get_format("green"), clip("plain"))
    with pytest.raises(OutputError, match="codec is h264 instead of prores"):
        verify(output, get_format("prores"), info, expectation(frames, report))


def test_missing_and_short_sound_is_found(clip: Clip, tmp_path: Path) -> None:
    format = get_format("prores")
    output, info, frames, report = make_output(tmp_path, format, clip("plain"))
    expected = expectation(frames, report)
    with pytest.raises(OutputError, match="1 audio streams instead of 0"):
        verify(output, format, info, replace(expected, sounds=()))
    longer = replace(report.sounds[0], end=report.sounds[0].end + 1)
    with pytest.raises(OutputError, match="audio stream 1 runs from"):
        verify(output, format, info, replace(expected, sounds=(longer,)))


def test_a_wrong_end_is_found(clip: Clip, tmp_path: Path) -> None:
    format = get_format("prores")
    output, info, frames, report = make_output(tmp_path, format, clip("silent"))
    expected = expectation(frames, report)
    with pytest.raises(OutputError, match="it ends at"):
        verify(output, format, info, replace(expected, last_duration=expected.last_duration + 50))


def test_an_output_without_pictures_is_found(clip: Clip, tmp_path: Path) -> None:
    format = get_format("prores")
    info, _ = matted(clip("plain"))
    (part,) = write_parts(tmp_path, format, info, [])
    with pytest.raises(OutputError, match="failed verification"):
        verify(part, format, info, Expected([0], Fraction(0)))


def test_a_picture_that_is_not_shown_is_found(clip: Clip, tmp_path: Path) -> None:
    format = get_format("webm")
    output, info, frames, report = make_output(tmp_path, format, clip("one_frame"))
    data = bytearray(output.read_bytes())
    ((_, packet),) = packets(output)
    data[data.index(packet)] &= ~0x02  # show_frame, in the first byte of a VP9 key frame
    output.write_bytes(data)
    with pytest.raises(OutputError, match="failed verification: its picture 0 cannot be decoded"):
        verify(output, format, info, expectation(frames, report))


@pytest.mark.parametrize("name", ["prores", "webm", "ffv1"])
def test_the_end_of_a_long_last_picture_is_read(name: str, tmp_path: Path) -> None:
    output, info, frames, report = make_output(tmp_path, get_format(name), SAMPLES / "vfr.mp4")
    last = frames[-1]
    wanted = (last.pts + last.duration) * info.time_base - report.origin
    assert abs(read_finished_output(output, get_format(name)).end - wanted) <= Fraction(1, 1000)
    assert verify(output, get_format(name), info, expectation(frames, report)).frames == len(frames)
