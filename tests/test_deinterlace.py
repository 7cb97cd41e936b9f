"""Interlaced clips become progressive: no combs, nothing lost where nothing moves, no colour or time changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import clips
import numpy as np
import pytest
from clips import fielded_frame, flagged, write_clip, yuv_frame
from numpy.typing import NDArray

from birefvideo.frames import VideoInfo
from birefvideo.media.reading import deinterlace
from birefvideo.media.reading.decode import DecodeReport, read_frames
from birefvideo.media.reading.deinterlace import deinterlaced
from birefvideo.media.reading.normalize import planar, working_format
from birefvideo.media.reading.probe import probe
from birefvideo.planes import plane_array

Clip = Callable[[str], Path]
both_orders = pytest.mark.parametrize("order", ["tff", "bff"])


def edge(index: int, width: int, height: int) -> clips.RGB:
    """A bright bar that moves four pixels to the right with every field."""
    rgb = np.full((height, width, 3), 40, np.uint8)
    left = 8 + 4 * index
    rgb[:, left : left + 24] = 200
    return rgb


def still(index: int, width: int, height: int) -> clips.RGB:
    """One picture of noise, the finest detail there is."""
    return np.random.default_rng(5).integers(30, 220, (height, width, 3), dtype=np.uint8)


def luma(picture: av.VideoFrame) -> NDArray[np.float64]:
    return plane_array(picture, 0).astype(np.float64)


def combing(picture: av.VideoFrame) -> float:
    """How far every line is from the mean of its neighbours, in codes."""
    y = luma(picture)
    return float(np.abs(y[1:-1] - (y[:-2] + y[2:]) / 2).mean())


def lossless(folder: Path, order: str, pictures: Callable[[int, int, int], clips.RGB], **more: object) -> VideoInfo:
    path = write_clip(
        folder / "fields.mkv",
        codec="ffv1",
        frames=8,
        audio_tracks=0,
        pictures=pictures,
        fields=(order,),
        **more,  # type: ignore[arg-type]
    )
    return probe(path)


@both_orders
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le"])
def test_a_moving_edge_loses_its_combs_and_is_where_the_first_field_saw_it(
    order: str, pix_fmt: str, tmp_path: Path
) -> None:
    info = lossless(tmp_path, order, edge, pix_fmt=pix_fmt)
    white = 160 * (4 if "10" in pix_fmt else 1)  # codes between the bar and the ground
    raw = [frame.picture for frame in read_frames(replace(info, deinterlace=False))]
    made = [frame.picture for frame in read_frames(info)]
    for index, (woven, picture) in enumerate(zip(raw, made, strict=True)):
        truth = luma(yuv_frame(edge(2 * index, 96, 64), pix_fmt, clips.BT709))
        assert combing(woven) > 0.05 * white
        assert combing(picture) < 0.05 * combing(woven)
        assert np.abs(luma(picture) - truth).mean() < 0.02 * np.abs(luma(woven) - truth).mean()


@both_orders
def test_a_still_picture_stays_as_it_is_to_the_last_code(order: str, tmp_path: Path) -> None:
    info = lossless(tmp_path, order, still, pix_fmt="yuv422p10le")
    raw = read_frames(replace(info, deinterlace=False))
    for frame, woven in list(zip(read_frames(info), raw, strict=True))[1:-1]:
        for plane in range(3):
            assert np.array_equal(plane_array(frame.picture, plane), plane_array(woven.picture, plane))


@pytest.mark.parametrize(
    "name",
    ["interlaced", "interlaced_open_gop", "interlaced_mpeg2", "interlaced_prores", "interlaced_sd", "mixed_fields"],
)
def test_every_frame_stays_with_its_time_and_is_told(clip: Clip, name: str) -> None:
    info, report = probe(clip(name)), DecodeReport()
    raw = list(read_frames(replace(info, deinterlace=False)))
    frames = list(read_frames(info, report=report))
    assert [(f.pts, f.duration) for f in frames] == [(f.pts, f.duration) for f in raw]
    with av.open(str(clip(name))) as container:
        assert report.deinterlaced_frames == sum(p.interlaced_frame for p in container.decode(video=0)) > 0
    assert not any(f.picture.interlaced_frame for f in frames)
    for frame in frames:
        got = frame.picture
        tags = (got.colorspace, got.color_range, got.color_primaries, got.color_trc)
        assert tags == (info.colour.matrix, info.colour.range, info.colour.primaries, info.colour.transfer)
        assert (got.format.name, got.width, got.height) == (info.pix_fmt, info.width, info.height)


def test_progressive_frames_of_a_mixed_clip_are_not_touched(clip: Clip) -> None:
    info = probe(clip("mixed_fields"))
    for frame, raw in zip(read_frames(info), read_frames(replace(info, deinterlace=False)), strict=True):
        same = np.array_equal(plane_array(frame.picture, 0), plane_array(raw.picture, 0))
        assert same is not raw.picture.interlaced_frame


def test_a_progressive_clip_never_meets_the_filter(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deinterlace, "_Weaver", None)
    assert len(list(read_frames(probe(clip("plain"))))) == 12


def test_turned_pictures_are_deinterlaced_before_they_are_turned(clip: Clip) -> None:
    info = probe(clip("interlaced_turned"))
    assert (info.width, info.height) == (64, 96)
    for index, frame in enumerate(read_frames(info)):
        truth = luma(yuv_frame(clips.picture(2 * index, 64, 96), "yuv420p", clips.BT709))
        assert np.abs(luma(frame.picture) - truth).mean() < 4


PACKED = {"uyvy422": "yuv422p", "yuyv422": "yuv422p", "nv12": "yuv420p", "p010le": "yuv420p10le", "bgr0": "yuv444p"}


@both_orders
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("pix_fmt", PACKED)
def test_formats_that_the_filter_does_not_take_keep_codes_and_field_order(
    clip: Clip, order: str, full_range: bool, pix_fmt: str
) -> None:
    info = probe(clip("full_range" if full_range else "plain"))
    info = replace(info, pix_fmt=working_format(pix_fmt))
    assert info.pix_fmt == PACKED[pix_fmt]
    tags = (1, info.colour.range, 1, 1)
    pictures = partial(edge, width=96, height=64)
    packed = [fielded_frame(order, pictures, i, pix_fmt, tags) for i in range(4)]
    woven = [planar(picture, info) for picture in packed]
    made = [p for p, _ in deinterlaced(((p, None) for p in packed), lambda picture: planar(picture, info))]
    first = slice(0 if order == "tff" else 1, None, 2)
    for picture, before in zip(made, woven, strict=True):
        assert (picture.format.name, picture.color_range) == (info.pix_fmt, info.colour.range)
        for plane in range(3):
            assert np.array_equal(plane_array(picture, plane)[first], plane_array(before, plane)[first])
    assert all(combing(picture) < 0.1 * combing(before) for picture, before in zip(made, woven, strict=True))


def test_a_lone_picture_and_a_change_of_size_are_taken(clip: Clip) -> None:
    info = probe(clip("plain"))
    small, large = ([flagged(yuv_frame(edge(i, w, 48), "yuv420p", None), "tff") for i in range(2)] for w in (64, 80))
    for run in ([small[0]], [small[0], large[0]], [*small, *large, small[0]]):
        got = list(deinterlaced(enumerated(run), lambda picture: planar(picture, info)))
        assert [(p.width, index) for p, index in got] == [(p.width, index) for index, p in enumerate(run)]
        assert not any(p.interlaced_frame for p, _ in got)


def enumerated(pictures: list[av.VideoFrame]) -> Iterator[tuple[av.VideoFrame, int]]:
    return ((picture, index) for index, picture in enumerate(pictures))


def test_a_picture_is_made_of_its_neighbours_alone(tmp_path: Path) -> None:
    info = lossless(tmp_path, "tff", edge, pix_fmt="yuv420p")
    packed = [fielded_frame("tff", partial(edge, width=96, height=64), i, "yuv420p", clips.BT709) for i in range(8)]
    whole = [luma(p) for p, _ in deinterlaced(enumerated(packed), lambda picture: planar(picture, info))]
    for first in range(6):
        part = [luma(p) for p, _ in deinterlaced(enumerated(packed[first:]), lambda picture: planar(picture, info))]
        assert all(np.array_equal(a, b) for a, b in zip(part[1:], whole[first + 1 :], strict=True))


def test_times_of_pictures_without_their_own_are_kept(tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "raw.h264", rate=Fraction(25), time_base=Fraction(1, 25), audio_tracks=0,
        options={"x264-params": "tff=1"}, fields=("tff",),
    )  # fmt: skip
    report = DecodeReport()
    assert [f.seconds for f in read_frames(probe(path), report=report)] == [Fraction(i, 25) for i in range(12)]
    assert (report.deinterlaced_frames, report.untimed_frames) == (12, 12)


def test_a_picture_without_a_time_base_is_taken() -> None:
    woven = flagged(yuv_frame(edge(0, 64, 48), "yuv420p", None), "tff")
    # As a decoder gives some damaged ones.
    timeless: Any = SimpleNamespace(
        width=64, height=48, format=woven.format, interlaced_frame=True, time_base=None, pts=None, dts=None, duration=0
    )
    ((made, beside),) = deinterlaced(iter([(timeless, 7)]), lambda picture: woven)
    assert (made.width, made.height, beside) == (64, 48, 7)
