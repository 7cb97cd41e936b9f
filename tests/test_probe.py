"""What probe says of clips, and the one line it gives for files that are none."""

from __future__ import annotations

import socket
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from birefvideo.colour import Colour
from birefvideo.errors import InputError
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import probe

Clip = Callable[[str], Path]


def test_tells_streams_sizes_and_times(clip: Clip) -> None:
    info = probe(clip("plain"))
    assert (info.width, info.height, info.pix_fmt, info.bit_depth) == (96, 64, "yuv420p", 8)
    assert (info.time_base, info.rate, info.start) == (Fraction(1, 12000), 24, 0)
    assert (info.duration, info.frame_count) == (Fraction(1, 2), 12)
    assert (info.quarter_turns, info.mirrored, info.interlaced, info.sample_aspect_ratio) == (0, False, False, 1)
    (sound,) = info.audio
    assert (sound.codec, sound.rate, sound.channels, sound.start) == ("aac", 44100, 1, 0)
    assert sound.duration == pytest.approx(0.5, abs=0.03)


def test_lists_every_audio_stream(clip: Clip) -> None:
    assert [a.index for a in probe(clip("two_audio")).audio] == [1, 2]
    assert probe(clip("silent")).audio == ()


def test_flags_interlaced(clip: Clip) -> None:
    assert probe(clip("interlaced")).interlaced


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("audio_only", "no video track beside its sound"),
        ("cover_only", "only a cover picture beside its sound"),
        ("no_frames", "ends before its first frame"),
        ("without_moov", "no index"),
        ("undecodable", "none of the first 8 prores packets can be decoded"),
    ],
)
def test_names_what_is_wrong_with_a_file_in_one_line(clip: Clip, name: str, message: str) -> None:
    path = clip(name)
    with pytest.raises(InputError, match=message) as caught:
        probe(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", b"dear diary\n" * 40, "text file"),
        ("script.py", b"print('hello')\n" * 40, "text file"),
        ("noise.mp4", bytes(range(256)) * 20, "not a video file"),
        ("nothing.mp4", b"", "is empty"),
    ],
)
def test_refuses_files_that_are_no_video(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        probe(tmp_path / name)


def test_refuses_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        probe(tmp_path / "missing.mp4")
    with pytest.raises(InputError, match="is a folder"):
        probe(tmp_path)


def test_opens_no_connection_for_a_playlist(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        playlist = tmp_path / "list.m3u8"
        playlist.write_text(
            f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n"
        )
        with pytest.raises(InputError):
            probe(playlist)
        server.settimeout(0.05)
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_colon_in_a_name_is_no_protocol(clip: Clip, tmp_path: Path) -> None:
    path = tmp_path / "http:take 2%d.mp4"
    path.write_bytes(clip("silent").read_bytes())
    assert probe(path).frame_count == 12


def test_cover_art_is_not_the_video(clip: Clip) -> None:
    info = probe(clip("with_cover"))
    assert (info.stream_index, info.width) == (0, 96)


@pytest.mark.parametrize(
    ("name", "colour"),
    [
        ("plain", Colour(1, 1, 1, 1)),
        ("full_range", Colour(1, 2, 1, 1)),
        ("yuvj420", Colour(5, 2, 1, 1)),
        ("hdr", Colour(9, 1, 9, 16)),
        ("untagged_sd", Colour(6, 1, 6, 6, guessed=True)),
        ("untagged_hd", Colour(1, 1, 1, 1, guessed=True)),
        ("untagged_portrait_hd", Colour(1, 1, 1, 1, guessed=True)),
        ("rgb", Colour(1, 1, 1, 1)),
        ("gray", Colour(1, 2, 1, 1)),
        ("matrix_only", Colour(6, 1, 6, 6)),
        ("primaries_only", Colour(9, 1, 9, 14)),
    ],
)
def test_resolves_every_colour_tag(clip: Clip, name: str, colour: Colour) -> None:
    assert probe(clip(name)).colour == colour


def test_deep_formats_have_ten_bits(clip: Clip) -> None:
    depths = {name: probe(clip(name)).bit_depth for name in ("hdr", "ten_bit", "twelve_bit", "rgb_deep", "rgb")}
    assert depths == {"hdr": 10, "ten_bit": 10, "twelve_bit": 10, "rgb_deep": 10, "rgb": 8}


@pytest.mark.parametrize(
    ("name", "turns", "mirrored", "size"),
    [
        ("rotated_90", 1, False, (64, 96)),
        ("rotated_180", 2, False, (96, 64)),
        ("rotated_270", 3, False, (64, 96)),
        ("mirrored", 0, True, (96, 64)),
        ("mirrored_90", 1, True, (64, 96)),
    ],
)
def test_tells_how_to_turn_pictures_and_their_upright_size(
    clip: Clip, name: str, turns: int, mirrored: bool, size: tuple[int, int]
) -> None:
    info = probe(clip(name))
    assert (info.quarter_turns, info.mirrored, (info.width, info.height)) == (turns, mirrored, size)


def test_pixel_shape_is_upright(clip: Clip) -> None:
    assert probe(clip("wide_pixels")).sample_aspect_ratio == Fraction(4, 3)
    assert probe(clip("rotated_wide_pixels")).sample_aspect_ratio == Fraction(3, 4)


@pytest.mark.parametrize("name", ["plain", "delayed", "delayed_mkv", "transport_stream", "raw_h264", "avi", "webm"])
def test_start_is_the_first_frames_time_and_the_rate_is_sane(clip: Clip, name: str) -> None:
    info = probe(clip(name))
    assert info.start == next(read_frames(info)).pts
    assert info.rate == (25 if name == "raw_h264" else 24)  # a raw stream does not say


def test_delay_is_in_the_start_and_not_in_the_duration(clip: Clip) -> None:
    for name in ("delayed", "delayed_mkv"):
        info = probe(clip(name))
        assert info.start * info.time_base == Fraction(7, 5)
        assert info.duration == pytest.approx(0.5, abs=0.03)
