"""Jobs with marks: exact where they are plain, the same bytes for any segments, refused before the network runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from test_two_passes import Stop, alpha_of, segments_of

import birefvideo
from birefvideo.errors import InputError, OptionError

GetClip = Callable[[str], Path]
STROKE = {"do": "keep", "stroke": [[4, 4], [16, 12]], "width": 4, "time": 0.25}  # on the red block of 24 × 16 pixels


@pytest.fixture
def source(clip: GetClip, tmp_path: Path) -> Path:
    """A clip of 24 frames of 96×64 pixels in a folder of this test's own."""
    return Path(shutil.copy(clip("short_gops"), tmp_path / "take.mp4"))


def alphas(source: Path, network: Path, name: str, **options: Any) -> list[Any]:
    """The 16-bit alpha of every frame that a job with such options makes."""
    out = source.with_name(name)
    result = birefvideo.matte(source, out, to="png", model=str(network), overwrite=True, **options)
    return [alpha_of(path) for path in sorted(result.outputs[0].glob("*.png"))]


def test_plain_areas_are_exact_in_the_output_and_need_one_pass(source: Path, network: Path) -> None:
    plain = alphas(source, network, "plain")
    counted = Stop()
    areas = {"garbage": "24,16,72,48", "keep": (30, 20, 40, 30), "remove": "50,20,60,30@0.25-0.5; 62,20,66,24"}
    marked = alphas(source, network, "marked", progress=counted, **areas)
    assert counted.seen == 24
    for number, (before, after) in enumerate(zip(plain, marked, strict=True)):
        wanted = before.copy()
        wanted[20:30, 30:40] = 65535
        if 6 <= number <= 12:  # 24 frames a second
            wanted[20:30, 50:60] = 0
        wanted[20:24, 62:66] = 0
        inside = np.zeros(wanted.shape, np.bool_)
        inside[16:48, 24:72] = True
        assert np.array_equal(after, np.where(inside, wanted, 0))


def test_a_mended_frame_comes_out_exactly_and_its_neighbours_follow(source: Path, network: Path) -> None:
    plain = alphas(source, network, "plain", smooth=0)
    mended = np.rint(plain[11] / 257).astype(np.uint8)
    mended[40:60, 60:90] = 255 - mended[40:60, 60:90] // 2
    folder = source.with_name("mends")
    folder.mkdir()
    assert cv2.imwrite(str(folder / "take_alpha_000012.png"), mended)
    after = alphas(source, network, "mended", mend=folder)  # smoothed: the mended frame is not
    assert np.array_equal(after[11], mended.astype(np.int32) * 257)
    area = np.s_[44:56, 64:86]
    distance = [abs(float(after[n][area].mean()) - float(after[11][area].mean())) for n in (12, 18, 23)]
    assert distance[0] < distance[1] < distance[2]
    assert distance[0] < 0.3 * abs(float(plain[12][area].mean()) - float(after[11][area].mean()))


def test_a_stroke_keeps_what_it_is_drawn_on(source: Path, network: Path) -> None:
    marks = {"birefvideo_marks": 1, "marks": [STROKE]}
    plain, kept = alphas(source, network, "plain"), alphas(source, network, "kept", marks=marks)
    for before, after in zip(plain, kept, strict=True):
        assert after[2:14, 2:22].min() > 0.95 * 65535
        assert np.abs(after - before)[24:].max() <= 2  # which the store has rounded


@pytest.mark.slow
def test_any_segments_and_any_stop_give_the_same_pictures(
    source: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = source.with_name("marks.json")
    marks.write_text(json.dumps({"birefvideo_marks": 1, "garbage": [0, 0, 90, 60], "marks": [STROKE]}))
    found = []
    for seconds in (Fraction(1, 6), Fraction(3, 8), Fraction(10)):
        segments_of(monkeypatch, seconds)
        found.append(np.stack(alphas(source, network, "out", marks=marks)))
    segments_of(monkeypatch, Fraction(1, 6))
    for at in (9, 30):  # in the first pass, and in the second
        with pytest.raises(KeyboardInterrupt):
            alphas(source, network, "out", marks=marks, progress=Stop(at))
    found.append(np.stack(alphas(source, network, "out", marks=marks)))
    assert all(np.array_equal(one, found[0]) for one in found)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network may be loaded."""

    def refuse(*arguments: object, **more: object) -> None:
        raise AssertionError("a network was loaded")

    monkeypatch.setattr("birefvideo.family.checkpoints.load", refuse)


def refused(kind: type[Exception], source: Path, **options: Any) -> str:
    """The line by which a job is refused."""
    with pytest.raises(kind) as caught:
        birefvideo.matte(source, to="matte", **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_marks_that_do_not_go_with_the_clip_are_refused_before_the_network_is_loaded(
    source: Path, tmp_path: Path, no_network: None
) -> None:
    assert "keep: 200, 0, 220, 20 is not in the picture, which is 96×64" in refused(
        InputError, source, keep="200,0,220,20"
    )
    assert "remove, box 2: its time is 9 s, but the output goes from 0 s to 1 s" in refused(
        InputError, source, remove="0,0,9,9;0,0,9,9@9"
    )
    assert "subject='200,5': the point is outside of the picture of 96×64" in refused(
        OptionError, source, subject="200,5"
    )
    assert "subject='5,5@9': its time is 9 s, but the output goes from 0 s to" in refused(
        InputError, source, subject="5,5@9"
    )
    assert "subject='5,5@0.1': its time is 0.1 s, but the output goes from 0.5 s to" in refused(
        InputError, source, subject="5,5@0.1", start=0.5
    )
    assert cv2.imwrite(str(tmp_path / "f3.png"), np.zeros((4, 4), np.uint8))
    assert "it has 4×4 pixels, and the clip 96×64" in refused(InputError, source, mend=tmp_path / "f3.png")
    assert cv2.imwrite(str(tmp_path / "f99.png"), np.zeros((64, 96), np.uint8))
    assert "f99.png: it is of frame 99, but the clip has 24 frames" in refused(
        InputError, source, mend=tmp_path / "f99.png"
    )
    first = (tmp_path / "f99.png").rename(tmp_path / "f0.png")
    assert "f0.png: it is of frame 0: count from 1" in refused(InputError, source, mend=first)
    folder = tmp_path / "twice"
    folder.mkdir()
    for name in ("a3.png", "b3.png"):
        assert cv2.imwrite(str(folder / name), np.zeros((64, 96), np.uint8))
    assert "b3.png: it is of the same frame as" in refused(InputError, source, mend=folder)
    assert "garbage is '1,2,3': give LEFT,TOP,RIGHT,BOTTOM" in refused(OptionError, source, garbage="1,2,3")
    assert "marks is 5: give a file of marks" in refused(OptionError, source, marks=5)
    marks = {"birefvideo_marks": 1, "marks": [{"do": "subject", "point": [4, 4]}]}
    assert "subject keeps one and people the largest" in refused(OptionError, source, marks=marks, people=1)


def test_frames_and_photos_one_by_one_refuse_marks_by_name(source: Path) -> None:
    with pytest.raises(OptionError, match=r"^garbage .*birefvideo\.matte"):
        birefvideo.mattes(source, garbage="0,0,9,9")  # type: ignore[call-arg]
    with pytest.raises(OptionError, match=r"^garbage .*birefvideo\.matte"):
        birefvideo.cutout(source, garbage="0,0,9,9")  # type: ignore[call-overload]
