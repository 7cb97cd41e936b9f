"""Directed jobs: the network's alpha is kept in a first pass, and the outputs are made of it in a second one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import birefvideo
from birefvideo.directing.coarse import CoarseClip
from birefvideo.directing.masks import Masks, directed
from birefvideo.directing.records import RecordFile, RecordWriter, is_whole_file, packed, unpacked
from birefvideo.errors import InputError, OptionError
from birefvideo.frames import AlphaFrame, DecodedFrame
from birefvideo.jobs import plan, two_passes
from birefvideo.matting.predict import Predictor
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import probe

GetClip = Callable[[str], Path]
MATTE = "take_matte.mp4"
CACHE = "take.birefvideo-cache"


class LeftHalf:
    """A director that takes away what is right of the middle, from the third frame on."""

    notes = ["the right half is gone"]  # noqa: RUF012 - never changed

    def masks(self, clip: CoarseClip) -> Iterator[Masks]:
        columns, rows = clip.size
        stays = np.zeros((rows, columns), np.uint8)
        stays[:, : columns // 2] = 255
        for number in range(len(clip)):
            assert clip.picture(number).shape == (rows, columns, 3)
            assert clip.alpha(number).shape == (rows, columns)
            yield Masks(stays) if number >= 2 else Masks()


@pytest.fixture(autouse=True)
def halved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wish is `LeftHalf`."""
    monkeypatch.setattr(two_passes, "directors", lambda options: [LeftHalf()])


@pytest.fixture
def source(clip: GetClip, tmp_path: Path) -> Path:
    """A clip of 24 frames in a folder of this test's own."""
    return Path(shutil.copy(clip("short_gops"), tmp_path / "take.mp4"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From when it is called on, the network may not run."""

    def refuse(self: Predictor, frames: Iterable[DecodedFrame]) -> Iterator[AlphaFrame]:
        raise AssertionError("the network ran")

    return lambda: monkeypatch.setattr(Predictor, "predict", refuse)


def segments_of(monkeypatch: pytest.MonkeyPatch, seconds: Fraction) -> None:
    monkeypatch.setattr(plan, "SEGMENT_SECONDS", seconds)
    monkeypatch.setattr(plan, "SHORTEST_TAIL", Fraction(1, 24))


def matte(source: Path, network: Path, to: str = "matte", **options: Any) -> birefvideo.Result:
    return birefvideo.matte(source, to=to, model=str(network), people=1, batch=2, **options)


def pictures(result: birefvideo.Result) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted(result.outputs[0].glob("*.png")))


class Stop:
    """A progress callback that interrupts the job at a frame, and counts."""

    def __init__(self, at: int = 1000) -> None:
        self.at, self.seen = at, 0

    def __call__(self) -> None:
        self.seen += 1
        if self.seen == self.at:
            raise KeyboardInterrupt


def left_by(source: Path) -> list[str]:
    return sorted(path.name for path in source.parent.iterdir() if path != source)


@pytest.mark.slow
def test_any_segments_and_any_stop_give_the_same_bytes(
    source: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = set()
    for seconds in (Fraction(1, 6), Fraction(3, 8), Fraction(10)):
        segments_of(monkeypatch, seconds)
        found.add(pictures(matte(source, network, to="png", overwrite=True)))
        assert left_by(source) == ["take_png", "take_png.json"]
    segments_of(monkeypatch, Fraction(1, 6))
    for at in (9, 9, 20):  # two of them in the first pass
        with pytest.raises(KeyboardInterrupt):
            matte(source, network, to="png", overwrite=True, progress=Stop(at))
    counted = Stop()
    result = matte(source, network, to="png", overwrite=True, progress=counted)
    assert counted.seen < 24
    found.add(pictures(result))
    assert len(found) == 1
    assert left_by(source) == ["take_png", "take_png.json"]
    assert "the right half is gone" in result.warnings


def frame_bytes(output: Path) -> Iterator[bytes]:
    for frame in read_frames(probe(output)):
        yield b"".join(bytes(plane) for plane in frame.picture.planes)


def test_a_mask_takes_alpha_away_from_the_frame_it_is_for(source: Path, network: Path) -> None:
    plain = birefvideo.matte(source, source.with_name("plain"), to="png", model=str(network), smooth=0)
    halved = birefvideo.matte(
        source, source.with_name("halved"), to="png", model=str(network), smooth=0, subject="left"
    )
    whole, half = (sorted(result.outputs[0].glob("*.png")) for result in (plain, halved))
    before, after = (alpha_of(files[1]) for files in (whole, half))
    assert np.abs(after - before).max() <= 1  # of 65,535
    before, after = (alpha_of(files[2]) for files in (whole, half))
    assert before.min() > 0
    assert np.abs(after - before)[:, :46].max() <= 1
    assert (after[:, 50:] == 0).all()


def alpha_of(path: Path) -> Any:
    import cv2

    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return picture[..., 3].astype(np.int32)


def test_a_kept_cache_serves_other_wishes_without_the_network(
    source: Path, network: Path, no_network: Callable[[], None]
) -> None:
    first = matte(source, network, keep_cache=True)
    assert first.cache == source.parent / CACHE
    assert first.reused == 0
    no_network()
    second = matte(source, network, keep_cache=True, overwrite=True, grow=1, smooth=1)
    assert (second.reused, second.frames) == (24, 24)
    entry = json.loads((source.parent / "take_matte.json").read_text())["outputs"][MATTE]
    assert entry["computed"]["frames_of_kept_alpha"] == 24
    third = matte(source, network, overwrite=True)
    assert (third.reused, third.cache) == (24, None)
    assert left_by(source) == ["take_matte.json", MATTE]


def test_a_cache_of_another_size_is_made_anew(source: Path, network: Path) -> None:
    matte(source, network, keep_cache=True)
    assert matte(source, network, overwrite=True, size=96).reused == 0


def test_a_damaged_part_of_the_cache_is_made_again(
    source: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments_of(monkeypatch, Fraction(1, 2))
    whole = list(frame_bytes(matte(source, network, keep_cache=True).outputs[0]))
    part = source.parent / CACHE / "part_00001_alpha.bin"
    damaged = bytearray(part.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    part.write_bytes(damaged)
    again = matte(source, network, keep_cache=True, overwrite=True)
    assert again.reused == 12
    assert list(frame_bytes(again.outputs[0])) == whole


def test_a_wish_that_cannot_be_met_keeps_the_alpha_for_another_one(
    source: Path, network: Path, monkeypatch: pytest.MonkeyPatch, no_network: Callable[[], None]
) -> None:
    class Refusing(LeftHalf):
        def masks(self, clip: CoarseClip) -> Iterator[Masks]:
            raise OptionError("nobody is there")

    with monkeypatch.context() as patched:
        patched.setattr(two_passes, "directors", lambda options: [Refusing()])
        with pytest.raises(OptionError, match="nobody is there"):
            matte(source, network)
    assert left_by(source) == [CACHE]
    no_network()
    assert matte(source, network).reused == 24


def test_an_input_that_changes_leaves_no_alpha(source: Path, network: Path) -> None:
    class Change(Stop):
        def __call__(self) -> None:
            super().__call__()
            if self.seen == 24:
                source.write_bytes(source.read_bytes() + b"\0")

    with pytest.raises(InputError, match="was changed while the job ran"):
        matte(source, network, progress=Change())
    assert left_by(source) == []


def test_a_folder_of_the_user_in_the_cache_s_place_is_not_touched(source: Path, network: Path) -> None:
    mine = source.parent / CACHE
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    with pytest.raises(birefvideo.BirefvideoError, match="was not made by birefvideo: move it"):
        matte(source, network)
    assert (mine / "notes.txt").read_text() == "mine"
    assert left_by(source) == [CACHE]


def test_a_trimmed_job_needs_no_frames_outside(source: Path, network: Path) -> None:
    assert matte(source, network, start=0.25, end=0.5).frames == 6


@pytest.mark.parametrize("name", ["subject", "people"])
def test_what_sees_no_whole_clip_refuses_wishes_by_name(source: Path, name: str) -> None:
    value: Any = {"subject": "left", "people": 1}[name]
    with pytest.raises(OptionError, match=f"{name}.* is for files: pass it to birefvideo.matte"):
        birefvideo.mattes(source, **{name: value})
    with pytest.raises(OptionError, match=f"{name}.* needs the whole clip"):
        birefvideo.mattes(source, options=birefvideo.Options(**{name: value}))
    with pytest.raises(OptionError, match=f"{name}.* is for files: pass it to birefvideo.matte"):
        birefvideo.cutout(source, **{name: value})


def test_masks_one_after_another_do_what_one_does() -> None:
    rng = np.random.default_rng(1)
    stays, added, more, later = (rng.choice([0, 255], (4, 6)).astype(np.uint8) for _ in range(4))
    both = Masks(stays, added).then(Masks(more, later))
    alpha = rng.random((4, 6), np.float32)
    step = np.maximum(alpha * (stays / 255), added / 255)
    step = np.maximum(step * (more / 255), later / 255)
    assert both.stays is not None
    assert both.added is not None
    assert np.array_equal(np.maximum(alpha * (both.stays / 255), both.added / 255), step)
    assert Masks().then(Masks(stays)).stays is stays


def test_alpha_is_left_exactly_as_it_was_away_from_a_mask_s_edge(clip: GetClip) -> None:
    frame = next(read_frames(probe(clip("short_gops"))))
    alpha = np.random.default_rng(2).random((64, 96), np.float32)
    stays = np.zeros((32, 48), np.uint8)
    stays[:, :24] = 255
    found = directed(alpha, Masks(stays), frame.picture)
    assert np.array_equal(found[:, :42], alpha[:, :42])
    assert not found[:, 54:].any()
    assert directed(alpha, Masks(np.full((32, 48), 255, np.uint8)), frame.picture) is alpha


def test_records_come_back_and_damage_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "some.bin"
    plane = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    with RecordWriter(path) as file:
        for record in (b"one", b"", packed(plane)):
            file.write(record)
    found = RecordFile(path)
    assert [len(found), found.read(0), found.read(1)] == [3, b"one", b""]
    assert np.array_equal(unpacked(found.read(2)), plane)
    found.close()
    assert is_whole_file(path)
    whole = path.read_bytes()
    path.write_bytes(b"x" + whole[1:])
    assert not is_whole_file(path)
    for cut in (0, 10, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert not is_whole_file(path)
        with pytest.raises(ValueError, match="is not whole"):
            RecordFile(path)


def test_another_mark_has_only_the_segments_made_again_that_it_reaches(
    source: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cut(LeftHalf):
        def masks(self, clip: CoarseClip) -> Iterator[Masks]:
            return (Masks() if 8 <= n < 10 else masks for n, masks in enumerate(super().masks(clip)))

    segments_of(monkeypatch, Fraction(1, 6))  # four frames
    wanted: dict[str, Any] = {"to": ["png", "matte"], "smooth": 1, "overwrite": True}
    matte(source, network, keep_cache=True, **wanted)
    assert matte(source, network, keep_cache=True, **wanted).computed == 0
    monkeypatch.setattr(two_passes, "directors", lambda options: [Cut()])
    result = matte(source, network, keep_cache=True, **wanted)
    assert (result.frames, result.computed) == (24, 8)  # its own segment, and the one that smoothing reaches
    assert matte(source, network, keep_cache=True, remove="0,0,9,9@0.5", **wanted).computed == 4
    assert matte(source, network, keep_cache=True, **{**wanted, "to": "png"}).computed == 4
    shutil.rmtree(source.parent / CACHE)
    anew = matte(source, network, **{**wanted, "to": "png"}, out=source.with_name("anew"))
    assert pictures(result) == pictures(anew)


def test_a_disk_that_takes_no_parts_after_the_outputs_fails_no_job(
    source: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if self.parent != target.parent and target.parent.name == CACHE:
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    result = matte(source, network, keep_cache=True, end=0.25)
    assert result.outputs[0].is_file()
    (told,) = [line for line in result.warnings if "could not take" in line]
    assert told.endswith(
        f"{CACHE} could not take the outputs' parts (No space left on device): the next run makes them again"
    )


def test_parts_are_kept_without_a_copy_where_files_have_one_name_only(
    source: Path, network: Path, monkeypatch: pytest.MonkeyPatch, no_network: Callable[[], None]
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(95, "Operation not supported")

    def copied(source: Path, target: Path) -> None:
        copies.append(target.name)
        real(source, target)

    copies: list[str] = []
    real = shutil.copyfile
    monkeypatch.setattr("birefvideo.own_files.os.link", refuse)
    monkeypatch.setattr("birefvideo.own_files.shutil.copyfile", copied)
    matte(source, network, keep_cache=True, end=0.25)
    assert copies == []
    no_network()
    assert matte(source, network, keep_cache=True, overwrite=True, end=0.25).computed == 0
    assert len(copies) == 1, "the one part, into the folder of the second job"
