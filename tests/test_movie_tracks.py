"""QuickTime and MP4 files whose tracks refer to other files or ask for another speed: nothing foreign is read."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from clips import write_clip
from sounds import set_edits

import birefvideo
from birefvideo.errors import InputError
from birefvideo.media.reading.probe import probe


def reference(kind: bytes, other: Path) -> bytes:
    """A data reference to another file (ISO/IEC 14496-12, 8.7.2; QuickTime File Format, data reference atoms)."""
    name = f"{other}".encode() + b"\0"
    content = f"file://{other}".encode() + b"\0"
    if kind == b"alis":
        content = bytes(10) + bytes(28) + bytes(12) + bytes(64) + bytes(16) + struct.pack(">hh", -1, -1) + bytes(16)
        content += struct.pack(">hH", 2, len(name)) + name + bytes(len(name) % 2) + struct.pack(">hH", -1, 0) + bytes(8)
    return struct.pack(">I", 12 + len(content)) + kind + bytes(4) + content


def refer(path: Path, entry: bytes, track: int = 0) -> None:
    """Give a track of a movie, whose index is last, a data reference in place of "in this file"."""
    whole = bytearray(path.read_bytes())
    at = -1
    for _ in range(track + 1):
        at = whole.index(b"dref", at + 1)
    at += 12
    assert whole[at + 4 : at + 8] in (b"url ", b"alis") and whole.index(b"mdat") < at
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        box = whole.rindex(name, 0, at) - 4
        struct.pack_into(">I", whole, box, struct.unpack_from(">I", whole, box)[0] + len(entry) - 12)
    path.write_bytes(whole[:at] + entry + whole[at + 12 :])


@pytest.mark.parametrize("kind", [b"alis", b"url ", b"urn "])
def test_a_movie_whose_media_lie_in_another_file_shows_nothing_of_it(tmp_path: Path, kind: bytes) -> None:
    path = write_clip(tmp_path / "refers.mov", frames=3, audio_tracks=0)
    other = write_clip(tmp_path / "other.mov", frames=3, audio_tracks=0)
    refer(path, reference(kind, other))
    with pytest.raises(InputError, match=r"refers\.mov only refers to pictures in another file") as caught:
        probe(path)
    assert "\n" not in str(caught.value)


def test_references_that_name_no_file_are_to_this_one(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "plain.mov", frames=3, audio_tracks=0)
    refer(path, struct.pack(">I", 13) + b"url " + bytes(4) + b"\0")  # without the flag, as some programs write it
    assert probe(path).frame_count == 3


def test_a_movie_of_nothing_but_other_movies_is_one_line(tmp_path: Path) -> None:
    content = bytes(4) + b"url " + struct.pack(">I", 10) + b"other.mov\0"
    for name in (b"rdrf", b"rmda", b"rmra", b"moov"):
        content = struct.pack(">I", 8 + len(content)) + name + content
    path = tmp_path / "menu.mov"
    path.write_bytes(struct.pack(">I", 20) + b"ftypqt  " + bytes(4) + b"qt  " + content)
    with pytest.raises(InputError, match="refers to pictures in another file"):
        probe(path)


@pytest.mark.parametrize("kind", [b"alis", b"url "])
def test_sound_in_another_file_is_left_out_and_told(tmp_path: Path, network: Path, kind: bytes) -> None:
    path = write_clip(tmp_path / "refers.mov", frames=3)
    other = write_clip(tmp_path / "other.mov", frames=3)
    refer(path, reference(kind, other), track=1)
    made = birefvideo.matte(path, to="matte", model=str(network), receipts=False)
    assert made.losses == ["audio stream 1 is left out: it is in another file"]


@pytest.mark.parametrize("kind", [b"vide", b"soun"])
def test_another_speed_in_an_edit_list_is_told(tmp_path: Path, kind: bytes) -> None:
    path = write_clip(tmp_path / "fast.mp4", frames=24, options={"bf": "0"})
    set_edits(path, [(0.5, 0), (0.25, 0.5)], kind=kind, rate=12000 if kind == b"vide" else 44100)
    assert probe(path).doubts == ()
    whole = path.read_bytes()
    for rate, said in (((2, 0), "2 times the speed"), ((0, 0x8000), "0.5 times the speed"), ((0, 0), "to be held")):
        last = whole.index(b"elst") if kind == b"vide" else whole.rindex(b"elst")
        path.write_bytes(whole[: last + 32] + struct.pack(">hH", *rate) + whole[last + 36 :])
        (line,) = probe(path).doubts
        assert said in line and "for 0.25 s from 0.5 s on" in line
        assert ("does not fit in" in line) == (rate == (2, 0))
    path.write_bytes(whole[: last + 32] + struct.pack(">hH", 0, 1) + whole[last + 36 :])  # a mistake of some programs
    assert probe(path).doubts == ()
