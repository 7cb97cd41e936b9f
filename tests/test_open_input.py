"""What may be opened as media: one file of a known kind, and nothing that it names or hides behind."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import GetClip

from birefvideo.errors import InputError, ModelError
from birefvideo.family.checkpoints import find, load
from birefvideo.jobs.receipt import still_the_same
from birefvideo.media.reading.open_input import open_input
from birefvideo.media.reading.probe import probe

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")

SCRIPTS: dict[str, Callable[[Path], str]] = {
    "list.m3u8": lambda clip: f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{clip}\n#EXT-X-ENDLIST\n",
    "live.m3u8": lambda clip: f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:1\n#EXTINF:2,\n{clip.name}\n",
    "list.mp4": lambda clip: f"ffconcat version 1.0\nfile {clip.name}\n",
    "list.ffconcat": lambda clip: f"ffconcat version 1.0\nfile '{clip.name}'\n",
    "call.sdp": lambda clip: "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "dash.mpd": lambda clip: f"<?xml version='1.0'?><MPD><Period><BaseURL>{clip}</BaseURL></Period></MPD>",
    "list.asx": lambda clip: f"<asx version='3.0'><entry><ref href='{clip}'/></entry></asx>",
    "words.srt": lambda clip: "1\n00:00:00,000 --> 00:00:02,000\nhello\n\n" * 5,
    "words.mov": lambda clip: "WEBVTT\n\n00:00.000 --> 00:02.000\nhello\n",
    "script.avs": lambda clip: f'AviSource("{clip}")\n',
    "list.txt": lambda clip: f"{clip}\n",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_playlists_scripts_and_texts_are_refused(clip: GetClip, tmp_path: Path, name: str) -> None:
    film = Path(os.path.relpath(clip("plain"), tmp_path))
    path = tmp_path / name
    path.write_text(SCRIPTS[name](film))
    with pytest.raises(InputError, match="text file, such as a playlist or a script") as caught:
        probe(path)
    assert "\n" not in str(caught.value)


CODES = ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("first", ["#EXTM3U", "ffconcat version 1.0"])
def test_a_text_in_any_code_is_told_from_media(tmp_path: Path, code: str, first: str) -> None:
    path = tmp_path / "list.mp4"
    path.write_bytes(f"{first}\r\nfile 'Grüße.mp4'\r\n\x1a".encode(code))
    with pytest.raises(InputError, match="text file, such as a playlist or a script"):
        probe(path)
    path.write_bytes(bytes(range(256)) * 16)
    with pytest.raises(InputError, match="not a video file"):
        probe(path)


@pytest.mark.parametrize("size", [(3000, 4), (4, 3000)])
def test_a_line_is_no_picture(tmp_path: Path, size: tuple[int, int]) -> None:
    _write_png(path := tmp_path / "line.png", size)
    with pytest.raises(InputError, match=f"pictures of {size[0]}×{size[1]} are too long for what they are wide"):
        probe(path)


def test_subtitles_in_a_binary_form_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "words.sup"
    path.write_bytes(b"".join(b"PG" + struct.pack(">IIBH", 0, 0, kind, 0) for kind in (0x16, 0x80) * 20))
    with pytest.raises(InputError, match="not a video file"):
        open_input(path)


@pytest.mark.parametrize("name", ["shot%d.png", "shot*.png", "%03d.png", "take:2.png", "a%%b?.png"])
def test_a_name_that_looks_like_a_pattern_is_one_picture(tmp_path: Path, name: str) -> None:
    for beside in ("shot1.png", "shot2.png", "001.png", "002.png", "a%b1.png"):
        _write_png(tmp_path / beside, (40, 30))
    _write_png(tmp_path / name, (64, 48))
    info = probe(tmp_path / name)
    assert (info.width, info.height) == (64, 48)


@needs_pipes
def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(InputError, match="is a pipe, not a file"):
        probe(tmp_path / "pipe.mp4")


@needs_pipes
def test_a_pipe_among_numbered_pictures_is_refused_at_once(tmp_path: Path) -> None:
    _write_png(tmp_path / "p1.png", (16, 16))
    os.mkfifo(tmp_path / "p2.png")
    with pytest.raises(InputError, match=r"p2\.png is a pipe"):
        open_input(tmp_path / "p%d.png")


@needs_pipes
def test_an_output_replaced_by_a_pipe_is_a_failed_check(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "clip_alpha.mov")
    entry = {"sha256": "a" * 64, "input": {"sha256": "b" * 64}, "format": "prores", "options": {}, "span": [None, None]}
    entry["verified"] = {"frames": 3, "sounds": []}
    found = still_the_same(tmp_path / "clip_alpha.mov", tmp_path / "clip_alpha.mov", entry)
    assert [check.passed for check in found] == [False, False]
    assert "not a file" in found[0].finding


@needs_pipes
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_pipe_in_a_checkpoint_folder_is_not_waited_for(tmp_path: Path, name: str) -> None:
    for file in {"config.json", "model.safetensors"} - {name}:
        (tmp_path / file).write_text("{}")
    os.mkfifo(tmp_path / name)
    with pytest.raises(ModelError):
        load(find(str(tmp_path)))


@needs_pipes
def test_sockets_and_devices_are_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.mp4")
        with pytest.raises(InputError, match="is a socket"):
            probe(Path("s.mp4"))
    with pytest.raises(InputError, match="is a device"):
        probe(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("name", "message"),
    [("x" * 300 + ".mp4", "too long"), ("a\0b.mp4", "null"), ("no/such.mp4", "does not exist"), ("loop.mp4", "link")],
)
def test_names_that_cannot_be_opened_are_one_line(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    with pytest.raises(InputError, match=message) as caught:
        probe(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_link_to_a_clip_is_read(clip: GetClip, tmp_path: Path) -> None:
    link = tmp_path / "link.mp4"
    link.symlink_to(clip("plain"))
    assert probe(link).width == probe(clip("plain")).width


def test_boxes_of_absurd_lengths_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    path.write_bytes(struct.pack(">I4sQ", 1, b"ftyp", 2**64 - 1) + b"\0" * 100)
    with pytest.raises(InputError, match=r"not a video file|no index"):
        open_input(path)


def _write_png(path: Path, size: tuple[int, int]) -> None:
    encoder = av.CodecContext.create("png", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height = size
    encoder.pix_fmt, encoder.time_base = "rgb24", Fraction(1)
    picture = av.VideoFrame.from_ndarray(np.zeros((size[1], size[0], 3), np.uint8), format="rgb24")
    path.write_bytes(b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)]))
