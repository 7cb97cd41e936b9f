"""Holes that come and go in the subject: which are found, which gaps are none, and how the user is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import picture, write_clip
from typer.testing import CliRunner

from birefvideo.cli import app
from birefvideo.frames import AlphaFrame, DecodedFrame, Span
from birefvideo.jobs.doubts import Doubt, doubt_lines, find_doubts
from birefvideo.matting.flicker import Curve
from birefvideo.matting.predict import Predictor
from birefvideo.matting.pulses import Pulse, Pulses
from birefvideo.matting.smoother import make_smoother
from birefvideo.media.reading.probe import probe
from birefvideo.pipeline import SegmentReport, matte_segment

WIDTH, HEIGHT = 192, 108
RGB = np.ascontiguousarray(picture(0, WIDTH, HEIGHT))


def disc(column: float, row: float, radius: float) -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.hypot(x - column, y - row) <= radius


BODY = disc(96, 80, 60)
HOLE = disc(100, 70, 10)


def frames(
    count: int, holes: Callable[[int], bool], *, rgb: Callable[[int], np.ndarray] = lambda _: RGB, form: str = "yuv420p"
) -> Iterator[AlphaFrame]:
    """A body, the hole in it where `holes` says so, over the pictures of `rgb`."""
    for number in range(count):
        alpha = (BODY & ~(HOLE & holes(number))).astype(np.float32)
        shown = av.VideoFrame.from_ndarray(rgb(number), format="rgb24").reformat(format=form)
        yield AlphaFrame(shown, number, Fraction(1, 25), 1, alpha=alpha)


def found(some: Iterable[AlphaFrame]) -> list[Pulse]:
    pulses = Pulses()
    for frame in some:
        pulses.add(frame)
    return pulses.found


@pytest.mark.parametrize("form", ["yuv420p", "yuv444p", "yuv422p10le", "gray"])
def test_a_hole_that_comes_and_goes_is_found_with_its_frames_and_place(form: str) -> None:
    (pulse,) = found(frames(40, lambda i: 12 <= i < 21, form=form))
    assert (pulse.first, pulse.last) == (12, 20)
    assert pulse.share == pytest.approx(HOLE.mean(), rel=0.25)
    assert pulse.place == pytest.approx((100 / WIDTH, 70 / HEIGHT), abs=0.01)


def test_a_hole_that_pulses_is_found_each_time() -> None:
    times = [(one.first, one.last) for one in found(frames(60, lambda i: i > 9 and i // 6 % 2 == 1))]
    assert times == [(18, 23), (30, 35), (42, 47)] or times == [(10, 11), (18, 23), (30, 35), (42, 47)]


def test_a_gap_through_which_something_else_is_seen_is_none() -> None:
    other = RGB.copy()
    other[HOLE] = 255 - other[HOLE]
    gap = range(12, 21)
    assert found(frames(40, lambda i: i in gap, rgb=lambda i: other if i in gap else RGB)) == []


@pytest.mark.parametrize(
    "holes",
    [lambda i: i >= 12, lambda i: i < 12, lambda i: 5 <= i < 60, lambda i: False],
    ids=["stays", "only goes", "is there for long", "is never there"],
)
def test_what_does_not_come_and_go_is_none(holes: Callable[[int], bool]) -> None:
    assert found(frames(70, holes)) == []


def test_a_body_that_sways_before_its_own_colour_has_no_hole() -> None:
    grey = np.full_like(RGB, 90)
    some = [
        replace(frame, alpha=np.roll(frame.alpha, round(6 * np.sin(i / 3)), axis=1))
        for i, frame in enumerate(frames(60, lambda i: False, rgb=lambda _: grey))
    ]
    assert found(some) == []


def test_a_speck_is_none() -> None:
    some = [
        replace(frame, alpha=np.where(disc(100, 70, 3) & (12 <= i < 21), 0, frame.alpha).astype(np.float32))
        for i, frame in enumerate(frames(40, lambda i: False))
    ]
    assert found(some) == []


class Losing:
    """A network that finds the body, and loses a part of it in some frames."""

    def __init__(self, lost: range) -> None:
        self._lost = lost

    def predict(self, some: Iterable[DecodedFrame]) -> Iterator[AlphaFrame]:
        for number, frame in enumerate(some):
            yield frame.with_alpha((BODY & ~(HOLE & (number in self._lost))).astype(np.float32))


@pytest.fixture
def still_life(tmp_path: Path) -> Path:
    return write_clip(
        tmp_path / "still_life.mp4", size=(WIDTH, HEIGHT), frames=36, pictures=lambda *_, **__: RGB, audio_tracks=0
    )


def test_a_segment_reports_the_holes_that_smoothing_leaves(still_life: Path) -> None:
    info = probe(still_life)
    report = matte_segment(info, Span(), Losing(range(10, 20)), make_smoother(1), [], lambda: None)
    (pulse,) = report.pulses
    assert abs(pulse.first - 10) <= 1 and abs(pulse.last - 19) <= 1


def report(*pulses: tuple[int, int], count: int = 100) -> SegmentReport:
    some = [Pulse(first, last, 0.01 + last / 1e4, (0.5, 0.9)) for first, last in pulses]
    return SegmentReport(pts=list(range(count)), curve=Curve(coverage=[0.3] * count), pulses=some)


@pytest.mark.parametrize(
    ("reports", "stretches"),
    [
        ([report((10, 15))], [(10, 15)]),
        ([report((10, 15), (30, 40))], [(10, 40)]),
        ([report((10, 15), (80, 90))], [(10, 15), (80, 90)]),
        ([report((90, 95)), report((20, 25))], [(90, 125)]),
    ],
    ids=["one", "two near each other", "two apart", "over segments"],
)
def test_holes_near_each_other_are_one_stretch(
    reports: Sequence[SegmentReport], stretches: list[tuple[int, int]]
) -> None:
    doubts = find_doubts(reports)
    assert [(doubt.first, doubt.last, doubt.kind) for doubt in doubts] == [(*one, "hole") for one in stretches]


def test_a_hole_is_told_in_a_line_of_its_own(still_life: Path) -> None:
    (line,) = doubt_lines(probe(still_life), [report((10, 15))], "talk")
    assert line.startswith("frames 10–15 (")
    assert "): a hole comes and goes in the person, in the lower part (1 % of the picture); look at it" in line
    assert find_doubts([report((10, 15))]) == [Doubt(10, 15, "hole", 0.0115, (0.5, 0.9))]


def test_a_job_tells_it_and_so_does_its_receipt(
    still_life: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Predictor, "predict", lambda self, some: Losing(range(10, 20)).predict(some))
    result = CliRunner().invoke(app, ["matte", str(still_life), "--model", str(network), "--to", "prores"])
    assert result.exit_code == 0, result.output
    assert "a hole comes and goes in the person" in " ".join(result.output.split())
    assert '"kind": "hole"' in still_life.with_name("still_life_alpha.json").read_text()
