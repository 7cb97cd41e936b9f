"""Mattes of a slow network that outlive a stop, and segments of half a minute of work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outputs import disc

import birefvideo
from birefvideo.errors import OutputError
from birefvideo.frames import AlphaFrame, DecodedFrame, Span
from birefvideo.jobs import kept_mattes
from birefvideo.jobs.kept_mattes import KeptMattes, kept_frames
from birefvideo.jobs.loaded_model import LoadedModel
from birefvideo.jobs.options import Options
from birefvideo.jobs.pace import segment_frames
from birefvideo.jobs.plan import plan_segments
from birefvideo.matting.predict import Predictor
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import probe

GetClip = Callable[[str], Path]


class Slow:
    """A network that takes its time by a clock of its own, and counts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.now, self.seconds, self.asked = 0.0, seconds, 0
        monkeypatch.setattr("birefvideo.jobs.kept_mattes.time.monotonic", lambda: self.now)

    def predict(self, frames: Iterable[DecodedFrame]) -> Iterator[AlphaFrame]:
        for frame in frames:
            self.now += self.seconds
            self.asked += 1
            yield frame.with_alpha(disc(frame))


def mattes(network: Slow, path: Path, clip: Path, stop: int = 100) -> list[np.ndarray[Any, Any]]:
    made = []
    for frame in KeptMattes(network, path).predict(read_frames(probe(clip), Span())):
        made.append(frame.alpha)
        if len(made) == stop:
            break
    return made


def test_a_segment_that_is_begun_again_asks_a_slow_network_for_what_is_missing_only(
    clip: GetClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, source = tmp_path / "part_00000_mattes.f32", clip("plain")
    network = Slow(monkeypatch, 5.0)
    assert len(mattes(network, path, source, stop=7)) == 7 and kept_frames(path) == 7
    again = Slow(monkeypatch, 5.0)
    made = mattes(again, path, source)
    assert (len(made), again.asked, kept_frames(path)) == (12, 5, 12)
    for alpha, frame in zip(made, read_frames(probe(source), Span()), strict=True):
        assert np.array_equal(alpha, disc(frame))


def test_a_matte_that_is_cut_off_or_damaged_ends_what_is_taken(
    clip: GetClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, source = tmp_path / "mattes", clip("plain")
    mattes(Slow(monkeypatch, 5.0), path, source)
    whole = path.read_bytes()
    size = len(whole) // 12
    path.write_bytes(whole[: 3 * size + 100])
    network = Slow(monkeypatch, 5.0)
    mattes(network, path, source)
    assert network.asked == 9 and path.read_bytes() == whole
    path.write_bytes(whole[: 5 * size + 40] + b"x" + whole[5 * size + 41 :])
    network = Slow(monkeypatch, 5.0)
    mattes(network, path, source)
    assert network.asked == 7 and path.read_bytes() == whole
    other = Slow(monkeypatch, 5.0)
    mattes(other, path, clip("vfr"))
    assert other.asked > 9, "mattes of other frames are not taken"


def test_a_fast_network_leaves_nothing(clip: GetClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Slow(monkeypatch, 0.1)
    assert len(mattes(network, tmp_path / "mattes", clip("plain"))) == 12
    assert not list(tmp_path.iterdir())


def test_a_disk_that_refuses_is_no_error(clip: GetClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Slow(monkeypatch, 5.0)
    assert len(mattes(network, tmp_path / "gone" / "mattes", clip("plain"))) == 12


def test_a_stopped_job_with_a_slow_network_goes_on_within_its_segment_to_the_same_bytes(
    copy: GetClip, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_mattes, "_SLOW", 0.0)
    monkeypatch.setattr(kept_mattes, "_FIRST", 0.0)
    source, to = copy("plain"), ["matte", "webm"]
    whole = birefvideo.matte(source, tmp_path / "whole", to, model=str(network))
    out = tmp_path / "stopped"
    with pytest.raises(birefvideo.CancelledError):
        birefvideo.matte(source, out, to, model=str(network), progress=lambda one: one.frame < 6)
    (kept,) = (out / "plain.birefvideo").glob("*_mattes.f32")
    assert kept_frames(kept) >= 6
    with pytest.raises(OutputError, match=r"finished frames of a stopped job with smooth: run that command again"):
        birefvideo.matte(source, out, to, model=str(network), smooth=0)
    asked: list[int] = []
    real = Predictor.predict

    def counting(self: Predictor, frames: Iterable[DecodedFrame]) -> Iterator[AlphaFrame]:
        for frame in real(self, frames):
            asked.append(frame.pts)
            yield frame

    monkeypatch.setattr("birefvideo.matting.predict.Predictor.predict", counting)
    made = birefvideo.matte(source, out, to, model=str(network))
    assert len(asked) <= 13 - 6, "twelve frames, one of them twice"
    assert [path.read_bytes() for path in made.outputs] == [path.read_bytes() for path in whole.outputs]
    assert not (out / "plain.birefvideo").exists()


def test_a_segment_is_half_a_minute_of_work_and_at_most_ten_seconds(clip: GetClip, network: Path) -> None:
    info = replace(probe(clip("plain")), duration=Fraction(60), stretches=(), frame_count=1440)
    model = LoadedModel(Options(model=str(network)))
    assert len(plan_segments(info, Span(), segment_frames(model, info))) == 6, "small pictures: ten seconds"
    large = replace(info, width=3840, height=2160)
    frames = segment_frames(model, large)
    assert frames == int(30 / (0.27 * 64 * 64 / 1e6 + 0.022 * 3840 * 2160 / 1e6))
    spans = [segment.span for segment in plan_segments(large, Span(), frames)]
    assert spans[1].start == info.start + int(Fraction(frames, 24) / info.time_base)
    model.identity = replace(model.identity, backbone="swin_v1_l")
    model.size = replace(model.size, long_side=1024) if hasattr(model.size, "long_side") else model.size
    huge = segment_frames(model, replace(info, width=20000, height=20000))
    assert huge == 48, "never fewer than bound the work that smoothing does twice"
