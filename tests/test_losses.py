"""Frames that a damaged or cut file has lost are told; clips that never had them are left in peace."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import pytest
from clips import CLIPS, VFR_PTS, write_clip

from birefvideo.frames import Loss, Span
from birefvideo.jobs.plan import plan_segments
from birefvideo.media.clip_notes import file_losses
from birefvideo.media.reading import ebml, scan
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.packets import demuxed
from birefvideo.media.reading.probe import probe
from birefvideo.timeline import Timeline

Clip = Callable[[str], Path]
IN_ORDER = {"bf": "0"}
LOSSY = {"truncated", "truncated_mp4"}
UNREADABLE = {"without_moov", "no_frames", "audio_only", "cover_only", "undecodable"}


def packets(path: Path) -> list[tuple[int, int]]:
    """Byte position and size of each packet of pictures."""
    with av.open(str(path)) as container:
        return [(p.pos, p.size) for p in container.demux(video=0) if p.size and p.pos is not None]


def overwritten(path: Path, begin: int, end: int) -> Path:
    """The same file with zeros from one byte to another."""
    data = bytearray(path.read_bytes())
    data[begin:end] = bytes(end - begin)
    path.write_bytes(data)
    return path


def cut(path: Path, size: int) -> Path:
    path.write_bytes(path.read_bytes()[:size])
    return path


def made(path: Path, **kwargs: object) -> Path:
    codec = {".avi": "mpeg4", ".webm": "libvpx-vp9"}.get(path.suffix, "libx264")
    options = {} if path.suffix in (".avi", ".webm") else IN_ORDER
    return write_clip(path, codec=codec, options=options, **{"frames": 24, **kwargs})  # type: ignore[arg-type]


def frames_lost(path: Path) -> list[tuple[int, bool]]:
    return [(loss.frames, loss.is_end) for loss in probe(path).losses]


@pytest.mark.parametrize("name", sorted(CLIPS.keys() - LOSSY - UNREADABLE - {"hdr"}))
def test_no_clip_is_called_lossy_that_is_whole(clip: Clip, name: str) -> None:
    assert probe(clip(name)).losses == ()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".ts", ".flv"])
def test_pictures_left_out_on_purpose_are_no_loss(tmp_path: Path, suffix: str) -> None:
    pts = [index * 500 for index in range(40) if index % 7 != 3 and not 20 < index < 30]
    path = made(tmp_path / f"dropped{suffix}", pts=pts)
    assert probe(path).losses == ()


def test_a_last_picture_that_is_held_is_no_loss(tmp_path: Path) -> None:
    for suffix in (".mkv", ".webm", ".mp4"):
        path = made(tmp_path / f"held{suffix}", pts=[*range(0, 6000, 500), 18000, 18500], audio_tracks=0)
        assert probe(path).losses == ()
        assert probe(made(tmp_path / f"sound{suffix}", pts=VFR_PTS)).losses == ()


def test_chunks_that_an_avi_index_names_and_nothing_reads_are_counted(tmp_path: Path) -> None:
    path = made(tmp_path / "holed.avi")
    places = packets(path)
    overwritten(path, places[9][0] - 8, places[12][0] - 8)
    info = probe(path)
    (loss,) = info.losses
    assert (loss.frames, loss.is_end) == (3, False)
    (line,) = file_losses(info, Span())
    assert line == "about 3 frames are missing around 0:00.4: the file is damaged there"
    assert file_losses(info, Span(None, loss.at)) == []


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_blocks_whose_heads_are_destroyed_are_counted(tmp_path: Path, suffix: str) -> None:
    path = made(tmp_path / f"holed{suffix}", audio_tracks=0, container_options={"cluster_time_limit": "250"})
    whole = len(packets(path))
    position, _ = packets(path)[8]
    overwritten(path, position, position + 16)
    lost = whole - len(packets(path))
    assert lost > 0
    assert frames_lost(path) == [(lost, False)]


def test_tags_of_flv_that_are_destroyed_are_counted(tmp_path: Path) -> None:
    path = made(tmp_path / "holed.flv")
    position, size = packets(path)[8]
    overwritten(path, position - 40, position + size + 8)
    lost = 24 - len(packets(path))
    assert lost > 0
    assert frames_lost(path) == [(lost, False)]


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_blocks_destroyed_at_the_end_are_counted(tmp_path: Path, suffix: str) -> None:
    path = made(tmp_path / f"holed{suffix}", audio_tracks=0)
    position, _ = packets(path)[20]
    overwritten(path, position, position + 16)
    ((frames, is_end),) = frames_lost(path)
    assert is_end
    assert frames == 24 - len(packets(path))


def test_blocks_of_no_track_at_the_end_are_missed(tmp_path: Path) -> None:
    """The elements follow one another; but the track's number is not one of the file's."""
    path = made(tmp_path / "foreign.mkv", audio_tracks=0)
    data = bytearray(path.read_bytes())
    for position, _ in packets(path)[20:]:
        data[position] = 0x80 | 9
    path.write_bytes(data)
    assert frames_lost(path) == [(4, True)]


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".avi", ".flv"])
@pytest.mark.parametrize("last", [10, 21])
def test_a_file_cut_off_anywhere_says_what_is_missing(tmp_path: Path, suffix: str, last: int) -> None:
    path = made(tmp_path / f"cut{suffix}", audio_tracks=0)
    position, size = packets(path)[last]
    cut(path, position + size // 2)
    ((frames, is_end),) = frames_lost(path)
    assert is_end
    assert abs(frames - (24 - last)) <= 1


def test_a_cut_mp4_says_how_many_frames_its_index_names(tmp_path: Path) -> None:
    path = made(tmp_path / "cut.mp4", audio_tracks=0, container_options={"movflags": "faststart"})
    position, size = packets(path)[22]
    cut(path, position + size // 2)
    ((frames, is_end),) = frames_lost(path)
    assert (frames, is_end) in [(1, True), (2, True)]
    (line,) = file_losses(probe(path), Span())
    assert "it looks truncated" in line


def test_a_length_that_the_head_makes_up_costs_nothing(tmp_path: Path) -> None:
    """Matroska's duration is a float of eight bytes behind the name 0x4489."""
    path = made(tmp_path / "long.mkv")
    data = bytearray(path.read_bytes())
    place = data.index(b"\x44\x89\x88") + 3
    data[place : place + 8] = struct.pack(">d", 1e12)
    path.write_bytes(data)
    info = probe(path)
    assert info.duration == pytest.approx(1, abs=0.01)
    assert len(plan_segments(info, Span())) == 1
    assert info.losses == ()


def test_a_count_that_no_writer_came_back_to_is_no_claim(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "live.ivf", codec="libvpx", frames=6, audio_tracks=0)
    data = bytearray(path.read_bytes())
    (tmp_path / "cut.ivf").write_bytes(data[:-200])
    data[24:32] = b"\xff" * 8  # what FFmpeg writes first, and leaves in a pipe
    path.write_bytes(data)
    assert probe(path).losses == () and probe(path).frame_count == 6
    assert probe(tmp_path / "cut.ivf").frame_count < 6


def test_the_structure_of_whole_files_is_found_sound(tmp_path: Path) -> None:
    for suffix in (".mkv", ".webm"):
        path = made(tmp_path / f"whole{suffix}", audio_tracks=2)
        structure = ebml.walk(path)
        assert (structure.damage, structure.is_cut) == ([], False)
        with av.open(str(path)) as container:
            last = max(packet.pos or 0 for packet in container.demux())
        assert 0 <= last - structure.last < 8  # of a block in a group, the group's place counts


def test_many_holes_are_told_in_one_line(clip: Clip) -> None:
    info = probe(clip("plain"))
    holes = tuple(Loss(2, at) for at in range(0, 6000, 1000))
    (line,) = file_losses(replace(info, losses=holes), Span())
    assert line.startswith("about 12 frames are missing in 6 places of the file, from 0:00.0 to ")


@pytest.mark.parametrize("name", ["plain", "vfr", "delayed", "short_gops"])
def test_a_large_file_is_planned_by_its_index(clip: Clip, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    read = probe(clip(name))
    monkeypatch.setattr(scan, "_LARGE", 0)
    monkeypatch.setattr(scan, "find_joints", lambda *arguments: pytest.fail("all of the file was read"))
    assert replace(probe(clip(name)), stretches=()) == replace(read, stretches=())


def test_frames_of_a_large_file_that_are_reordered_without_a_word_are_all_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_clip(tmp_path / "a.mp4", frames=19, audio_tracks=0, options={"x264-params": "bframes=2:b-adapt=0"})
    data = source.read_bytes()
    source.write_bytes(data.replace(b"ctts", b"free").replace(b"edts", b"free"))  # only the times of decoding are left
    read = [frame.pts for frame in read_frames(probe(source))]
    monkeypatch.setattr(scan, "_LARGE", 0)
    info = probe(source)
    assert info.timeline == Timeline(unordered=True)
    assert [frame.pts for frame in read_frames(info)] == read and len(read) == 19


def test_a_large_file_that_is_cut_off_is_read(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_LARGE", 0)
    assert probe(clip("truncated_mp4")).losses


def doubled(path: Path, times: int = 2) -> Path:
    """The same file, so many times, as `cat` joins them."""
    path.write_bytes(path.read_bytes() * times)
    return path


@pytest.mark.parametrize(("suffix", "times"), [(".mp4", 2), (".mov", 2), (".flv", 2), (".mkv", 3), (".webm", 3)])
def test_another_file_that_is_joined_behind_and_not_read_is_told(tmp_path: Path, suffix: str, times: int) -> None:
    path = made(tmp_path / f"one{suffix}")
    size = path.stat().st_size
    assert probe(path).losses == ()
    info = probe(doubled(path, times))
    (loss,) = info.losses
    assert (loss.joined_at, loss.is_end) == (size * (times - 1), True)
    (line,) = file_losses(info, Span())
    assert line.startswith(f"another file is joined behind this one, from byte {size * (times - 1)} of {size * times}")


@pytest.mark.parametrize(("suffix", "times"), [(".ts", 3), (".mkv", 2), (".avi", 3)])
def test_joined_files_that_are_read_to_their_end_lack_nothing(tmp_path: Path, suffix: str, times: int) -> None:
    path = made(tmp_path / f"one{suffix}")
    info = probe(doubled(path, times))
    assert (info.losses, info.frame_count) == ((), 24 * times)


def test_a_live_matroska_file_that_is_joined_has_no_damage(tmp_path: Path) -> None:
    path = doubled(made(tmp_path / "live.mkv", container_options={"live": "1"}))
    structure = ebml.walk(path)
    assert structure.damage == []
    assert probe(path).losses == ()


def test_an_old_quicktime_file_that_is_joined_is_told(tmp_path: Path) -> None:
    """Without `ftyp`, a second `moov` says so."""
    path = made(tmp_path / "old.mov")
    whole = path.read_bytes().replace(b"ftyp", b"free", 1)
    path.write_bytes(whole)
    assert probe(path).losses == ()
    path.write_bytes(whole * 2)
    assert [loss.joined_at is not None for loss in probe(path).losses] == [True]


FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}


def fragmented(path: Path) -> Path:
    return write_clip(path, options={"bf": "0", "g": "6"}, frames=24, audio_tracks=0, container_options=FRAGMENTS)


@pytest.mark.parametrize("way", ["cut", "holed"])
def test_lost_fragments_of_an_mp4_are_told(tmp_path: Path, way: str) -> None:
    path = fragmented(tmp_path / "fragments.mp4")
    assert probe(path).losses == ()
    heads = [place for place in range(path.stat().st_size) if path.read_bytes()[place : place + 4] == b"moof"]
    if way == "cut":
        cut(path, heads[-2] + 200)
    else:
        overwritten(path, heads[-2] - 4, heads[-2] + 60)
    info = probe(path)
    assert 0 < info.frame_count < 24
    assert [loss.is_end for loss in info.losses] == [True]


@pytest.mark.parametrize(("suffix", "codec"), [(".ts", "libx264"), (".mpg", "mpeg2video")])
def test_a_broadcast_that_is_cut_off_within_a_packet_is_told(tmp_path: Path, suffix: str, codec: str) -> None:
    rate = Fraction(25)
    path = write_clip(tmp_path / f"clip{suffix}", codec=codec, frames=24, rate=rate, time_base=1 / rate, audio_tracks=0)
    assert probe(path).losses == ()
    cut(path, path.stat().st_size // 4 // 188 * 188 + 90)
    info = probe(path)
    assert info.frame_count < 24
    assert [loss.is_end for loss in info.losses] == [True]


def test_packets_of_a_stream_that_the_head_does_not_name_end_nothing() -> None:
    class Broken:
        """Raises once as PyAV does at such a packet."""

        def __init__(self) -> None:
            self.tries = 0

        def demux(self, *streams: object) -> Iterator[int]:
            self.tries += 1
            yield self.tries
            if self.tries == 1:
                raise IndexError("list index out of range")

    assert list(demuxed(cast(Any, Broken()))) == [1, 2]
