"""Memory: what a header, an option or an archive claims is asked of what is free, before anything takes it."""

from __future__ import annotations

import gc
import os
import struct
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from clips import write_clip
from conftest import GetClip

import birefvideo
from birefvideo import memory
from birefvideo.errors import BirefvideoError, InputError, ModelError, OptionError
from birefvideo.family.checkpoints import find, load
from birefvideo.jobs.limits import check_pictures_fit
from birefvideo.jobs.loaded_model import LoadedModel
from birefvideo.jobs.options import Options
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.open_input import open_input
from birefvideo.media.reading.probe import probe
from birefvideo.media.writing.background import check_background
from birefvideo.scoring.read_mattes import open_mattes

GIGABYTE = 10**9


@pytest.fixture
def four_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has four gigabytes left."""
    monkeypatch.setattr(memory, "free_memory", lambda: 4 * GIGABYTE)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int) -> bytes:
    """A PNG whose header says that it is so large; there are no pixels in it."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def gif(width: int, height: int) -> bytes:
    screen = struct.pack("<6sHHBBB6x", b"GIF89a", width, height, 0x80, 0, 0)
    return screen + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00\x3b"


def pgm(width: int, height: int) -> bytes:
    return b"P5 %d %d 255\n" % (width, height) + bytes(100)


def webp(width: int, height: int) -> bytes:
    sides = b"".join((side - 1).to_bytes(3, "little") for side in (width, height))
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes([0x12, 0, 0, 0]) + sides
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.usefixtures("four_gigabytes")
@pytest.mark.parametrize("maker", [png, gif, pgm, webp])
class TestPicturesThatClaimToBeHuge:
    def test_are_refused_as_input(self, tmp_path: Path, maker: Callable[[int, int], bytes]) -> None:
        path = tmp_path / f"bomb.{maker.__name__}"
        path.write_bytes(maker(16000, 16000))
        with pytest.raises(InputError, match="memory") as caught:
            probe(path)
        assert "\n" not in str(caught.value)

    def test_are_refused_as_background(self, tmp_path: Path, maker: Callable[[int, int], bytes]) -> None:
        path = tmp_path / f"bomb.{maker.__name__}"
        path.write_bytes(maker(16000, 16000))
        with pytest.raises(OptionError, match=r"background: .*memory"):
            check_background(path)

    def test_are_refused_as_mattes(self, tmp_path: Path, maker: Callable[[int, int], bytes]) -> None:
        path = tmp_path / f"bomb.{maker.__name__}"
        path.write_bytes(maker(16000, 16000))
        with pytest.raises(BirefvideoError):
            list(open_mattes(path).mattes())


@pytest.mark.usefixtures("four_gigabytes")
def test_what_is_refused_says_how_much_is_needed_and_free(tmp_path: Path) -> None:
    path = tmp_path / "bomb.webp"
    path.write_bytes(webp(16000, 16000))
    with pytest.raises(InputError, match=r"pictures of 16000×16000 take about 12\.8 GB .* 2\.0 GB .* 4\.0 GB .* free"):
        open_input(path)


def test_a_larger_picture_among_others_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 50 * 2 * 100 * 100)  # for pictures of 100×100
    for number, side in ((1, 64), (2, 400), (3, 64)):
        _write_png(tmp_path / f"p{number}.png", side)
    info = probe(tmp_path / "p%d.png")
    assert [frame.pts for frame in read_frames(info)] == [0, 2]


def _write_png(path: Path, side: int) -> None:
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(side * (1 + 3 * side)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


@pytest.mark.parametrize("aspect", [Fraction(255), Fraction(1, 255), Fraction(11)])
def test_pixels_of_an_absurd_shape_are_taken_as_square_and_told(tmp_path: Path, aspect: Fraction) -> None:
    path = write_clip(tmp_path / "a.mp4", size=(272, 272), frames=1, audio_tracks=0, sample_aspect_ratio=aspect)
    info = probe(path)
    assert info.sample_aspect_ratio == 1
    assert any(f"{aspect.numerator}:{aspect.denominator}" in doubt for doubt in info.doubts)


@pytest.mark.parametrize("aspect", [Fraction(64, 45), Fraction(2), Fraction(1, 3)])
def test_pixels_of_a_usual_shape_are_believed(tmp_path: Path, aspect: Fraction) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=1, audio_tracks=0, sample_aspect_ratio=aspect)
    info = probe(path)
    assert info.sample_aspect_ratio == aspect
    assert not info.doubts


def test_a_clip_that_fits_alone_but_not_with_all_its_frames_under_way_is_refused(
    clip: GetClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = probe(clip("plain"))
    monkeypatch.setattr(memory, "free_memory", lambda: 2 * 100 * info.width * info.height)
    with pytest.raises(InputError, match="pictures of 96×64"):
        check_pictures_fit(info)


@pytest.mark.usefixtures("four_gigabytes")
@pytest.mark.parametrize(
    ("name", "choice"), [("batch", 100_000_000), ("size", "99968x99968"), ("size", 999_968), ("batch", 100_000)]
)
def test_options_that_take_too_much_are_refused_by_name(
    clip: GetClip, network: Path, name: str, choice: int | str
) -> None:
    options = Options(model=network, device="cpu").changed(**{name: choice})  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=rf"memory.* choose a smaller {name}"):
        LoadedModel(options).check_fits(probe(clip("plain")))


def test_an_archive_that_unfolds_to_more_than_it_is_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data.pkl", bytes(50_000_000))
    with pytest.raises(ModelError, match="50 MB packed into"):
        load(find(str(path)))


def test_weights_larger_than_the_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.pth"
    torch.save({"a": torch.zeros(100_000)}, path)
    monkeypatch.setattr(memory, "free_memory", lambda: 1_000_000)
    with pytest.raises(ModelError, match=r"weights in large\.pth take"):
        load(find(str(path)))


def test_free_memory_is_what_the_machine_and_the_shell_leave() -> None:
    free = memory.free_memory()
    assert free is None or 10**7 < free < 10**14


def test_where_nothing_says_how_much_is_free_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: None)
    memory.check_memory(10**18, "wishes", "wish for less", InputError)
    assert memory.allowed_memory() is None


def test_the_control_group_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    (tmp_path / "memory.stat").write_text("anon 300000\ninactive_file 50000\n")
    monkeypatch.setattr(memory, "_CGROUPS", (("", str(tmp_path), "memory.max", "memory.current", "inactive_file"),))
    assert memory._of_cgroup() in (650_000, None)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems say nothing of what is resident")
def test_memory_between_pieces_in_use_goes_back_to_the_system() -> None:
    pieces = [bytearray(64 << 10) for _ in range(600)]
    for piece in pieces:
        piece[::4096] = bytes(b"x" * len(piece[::4096]))
    del pieces[1::2], pieces[:-1]
    before = resident()
    memory.return_memory()
    assert before - resident() > 20 << 20
    assert len(pieces) == 1


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def media_objects() -> Counter[str]:
    """How many decoders, encoders, files, frames and the like there are, whether or not anyone can reach them."""
    kinds = [type(one) for one in gc.get_objects()]
    homes = ("av.", "birefvideo.media", "birefvideo.frames", "birefvideo.pipeline", "birefvideo.prefetch")
    return Counter(f"{kind.__module__}.{kind.__name__}" for kind in kinds if str(kind.__module__).startswith(homes))


def test_a_job_leaves_nothing_that_only_the_garbage_collector_would_find(copy: GetClip, network: Path) -> None:
    source = copy("plain")

    def job(name: str) -> None:
        out = f"{source.with_name(name)}{os.sep}"
        birefvideo.matte(source, out, ["prores", "green"], model=str(network), end="0.2", subject="largest")

    job("first")  # what is made once stays
    gc.collect()
    gc.disable()
    try:
        before = media_objects()
        job("second")
        left = media_objects() - before
    finally:
        gc.enable()
    by_pyav = ("av.video.frame.VideoFrame", "av.sidedata.sidedata.SideDataContainer", "av.sidedata.sidedata.SideData")
    assert left <= Counter(by_pyav)  # the first picture of a clip and its side data, which hold one another
