"""Frames of every kind of clip: upright, in the promised format, exactly timed, the same for any cut into spans."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import av
import clips
import numpy as np
import pytest

from birefvideo.frames import DecodedFrame, Span, VideoInfo
from birefvideo.media.reading.chroma_siting import CENTRE, TOP_LEFT
from birefvideo.media.reading.decode import DecodeReport, read_frames, working_format
from birefvideo.media.reading.normalize import prepare, upright_format
from birefvideo.media.reading.probe import probe
from birefvideo.planes import plane_array

Clip = Callable[[str], Path]


def fingerprint(frame: DecodedFrame) -> tuple[int, int, str]:
    pixels = hashlib.sha256(b"".join(plane_array(frame.picture, i).tobytes() for i in range(3)))
    return frame.pts, frame.duration, pixels.hexdigest()


def as_rgb(picture: av.VideoFrame) -> np.ndarray:
    matrix = {1: "ITU709", 9: "BT2020"}.get(picture.colorspace, "ITU601")
    rgb = picture.reformat(
        format="rgb24", src_colorspace=matrix, dst_colorspace=matrix, src_color_range=picture.color_range,
        dst_color_range=2, threads=1,
    )  # fmt: skip
    return rgb.to_ndarray().astype(int)


def raw_frames(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize(
    "name",
    [
        "plain", "rotated_90", "rotated_180", "rotated_270", "mirrored", "mirrored_90", "rotated_422", "odd_444",
        "odd_420", "rotated_odd", "yuv422", "ten_bit", "twelve_bit", "hdr", "full_range", "yuvj420", "rgb", "rgb_deep",
        "packed_rgb", "packed_422", "with_alpha", "untagged_sd", "webm", "avi", "transport_stream",
    ],
)  # fmt: skip
def test_pictures_are_upright_in_true_colour_and_as_the_info_says(clip: Clip, name: str) -> None:
    info = probe(clip(name))
    frames = list(read_frames(info))
    assert len(frames) >= 2
    for index, frame in enumerate(frames):
        picture = frame.picture
        assert (picture.width, picture.height) == (info.width, info.height)
        assert picture.format.name == info.pix_fmt
        tags = (picture.colorspace, picture.color_range, picture.color_primaries, picture.color_trc)
        assert tags == (info.colour.matrix, info.colour.range, info.colour.primaries, info.colour.transfer)
        error = np.abs(as_rgb(picture) - clips.picture(index, info.width, info.height))
        assert error.mean() < 6, f"frame {index}: {error.mean():.1f}"


def test_an_upright_yuv420_picture_is_passed_on_itself(clip: Clip) -> None:
    info = probe(clip("plain"))
    for picture in raw_frames(clip("plain")):
        assert prepare(picture, info) is picture


@pytest.mark.parametrize("name", ["full_range", "with_alpha", "ten_bit", "odd_420", "webm"])
def test_yuv_codes_are_those_of_the_file(clip: Clip, name: str) -> None:
    info = probe(clip(name))
    for frame, raw in zip(read_frames(info), raw_frames(clip(name)), strict=True):
        for index in range(3):
            assert np.array_equal(plane_array(frame.picture, index), plane_array(raw, index))


def test_gray_codes_are_kept_with_neutral_chroma(clip: Clip) -> None:
    info = probe(clip("gray"))
    for frame, raw in zip(read_frames(info), raw_frames(clip("gray")), strict=True):
        assert np.array_equal(plane_array(frame.picture, 0), plane_array(raw, 0))
        assert (plane_array(frame.picture, 1) == 128).all() and (plane_array(frame.picture, 2) == 128).all()


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_deep_gray_is_rounded_to_ten_bits(bits: int, clip: Clip) -> None:
    info = probe(clip("rgb_deep"))
    raw = av.VideoFrame(info.width, info.height, f"gray{bits}le")
    ramp = np.linspace(0, 2**bits - 1, info.width * info.height).round().astype(np.uint16)
    plane_array(raw, 0)[:] = ramp.reshape(info.height, info.width)
    full = probe(clip("gray")).colour
    codes = plane_array(prepare(raw, replaced(info, colour=full)), 0).ravel()
    assert np.abs(codes - ramp * (1023 / (2**bits - 1))).max() <= 0.51


def replaced(info: VideoInfo, **changes: object) -> VideoInfo:
    return VideoInfo(**{**vars(info), **changes})


@pytest.mark.parametrize(("name", "bits"), [("rgb", 8), ("rgb_deep", 10)])
def test_rgb_becomes_the_nearest_bt709_codes(clip: Clip, name: str, bits: int) -> None:
    info = probe(clip(name))
    scale = 2 ** (bits - 8)
    for frame, raw in zip(read_frames(info), raw_frames(clip(name)), strict=True):
        if bits == 8:
            rgb = raw.to_ndarray(format="rgb24", threads=1) / 255
        else:
            rgb = np.stack([plane_array(raw, i) for i in (2, 0, 1)], -1) / 1023
        luma = rgb @ [0.2126, 0.7152, 0.0722]
        blue, red = (rgb[..., 2] - luma) / 1.8556, (rgb[..., 0] - luma) / 1.5748
        wanted = (16 + 219 * luma) * scale, (128 + 224 * blue) * scale, (128 + 224 * red) * scale
        for index in range(3):
            assert np.abs(plane_array(frame.picture, index) - wanted[index]).max() <= 0.52


def test_twelve_bits_become_ten_within_one_code(clip: Clip) -> None:
    info = probe(clip("twelve_bit"))
    for frame, raw in zip(read_frames(info), raw_frames(clip("twelve_bit")), strict=True):
        for index in range(3):
            error = plane_array(frame.picture, index) - plane_array(raw, index) / 4
            assert np.abs(error).max() < 1 and abs(error.mean()) < 0.05


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("yuv420p", "yuv420p"), ("yuvj422p", "yuv422p"), ("nv12", "yuv420p"), ("p010le", "yuv420p10le"),
        ("yuv420p12le", "yuv420p10le"), ("yuv422p16be", "yuv422p10le"), ("yuv444p9le", "yuv444p10le"),
        ("uyvy422", "yuv422p"), ("yuv411p", "yuv422p"), ("yuv410p", "yuv420p"), ("yuv440p", "yuv444p"),
        ("rgb24", "yuv444p"), ("rgb48le", "yuv444p10le"), ("gbrap12le", "yuv444p10le"), ("pal8", "yuv444p"),
        ("gray", "yuv444p"), ("ya8", "yuv444p"), ("gray10le", "yuv444p10le"), ("yuva420p", "yuv420p"),
        ("yuva444p12le", "yuv444p10le"),
    ],
)  # fmt: skip
def test_working_formats(source: str, target: str) -> None:
    assert working_format(source) == target


def test_turned_pictures_keep_chroma_on_luma() -> None:
    assert upright_format("yuv422p10le", is_turned=True) == "yuv444p10le"
    assert upright_format("yuv420p", is_turned=True) == "yuv444p"
    assert upright_format("yuv420p", is_turned=False) == "yuv420p"
    assert upright_format("yuv422p", False, TOP_LEFT) == "yuv422p"
    assert upright_format("yuv420p10le", False, TOP_LEFT) == "yuv444p10le"
    assert upright_format("yuvj422p", False, CENTRE) == "yuv444p"


def test_variable_frame_times_and_durations_are_kept_exactly(clip: Clip) -> None:
    frames = list(read_frames(probe(clip("vfr"))))
    ends = [*clips.VFR_PTS[1:], clips.VFR_PTS[-1] + clips.STEP]
    assert [f.pts for f in frames] == list(clips.VFR_PTS)
    durations = [b - a for a, b in zip(clips.VFR_PTS, ends, strict=True)]
    assert [f.duration for f in frames][:-1] == durations[:-1]
    assert frames[-1].duration == pytest.approx(durations[-1], abs=12)  # a millisecond: edit lists know no better
    assert all(f.picture.pts == f.pts and f.picture.time_base == f.time_base for f in frames)


def test_frames_of_one_time_get_times_of_their_own(clip: Clip) -> None:
    report = DecodeReport()
    info = probe(clip("duplicate_pts"))
    pts = [f.pts for f in read_frames(info, report=report)]
    assert len(pts) == info.frame_count == 12 and pts == sorted(set(pts))
    assert (report.frames, report.dropped_frames, report.backward_frames) == (12, 0, 0)
    assert pts[5] < pts[6] < pts[7] <= pts[8]
    assert "1 frame the time of another" in info.doubts[0]


def test_a_stream_without_times_is_timed_by_its_rate(clip: Clip) -> None:
    report = DecodeReport()
    info = probe(clip("raw_h264"))
    frames = list(read_frames(info, report=report))
    assert [f.seconds for f in frames] == [Fraction(i, 25) for i in range(12)]
    assert report.untimed_frames == 12


@pytest.mark.parametrize("name", ["avi", "avi_mpeg4"])
def test_reordered_frames_of_avi_are_shown_in_order_and_from_the_start(clip: Clip, name: str) -> None:
    frames = list(read_frames(probe(clip(name))))
    assert [f.pts for f in frames] == list(range(24))
    assert {f.duration for f in frames} == {1}


@pytest.mark.parametrize(
    "name",
    [
        "plain", "short_gops", "vfr", "vfr_mkv", "duplicate_pts", "delayed", "open_gop", "open_gop_hevc",
        "transport_stream", "raw_h264", "avi", "avi_mpeg4", "rotated_90", "corrupt",
        "truncated", "size_change", "webm", "one_frame", "interlaced", "interlaced_open_gop", "interlaced_mpeg2",
        "interlaced_prores", "interlaced_sd", "interlaced_turned", "interlaced_size_change", "mixed_fields",
    ],
)  # fmt: skip
def test_any_two_spans_give_exactly_the_whole(clip: Clip, name: str) -> None:
    info = probe(clip(name))
    whole_report = DecodeReport()
    whole = [fingerprint(f) for f in read_frames(info, report=whole_report)]
    for number in range(0, len(whole) + 1, 2):
        cut = whole[number][0] if number < len(whole) else whole[-1][0] + 1
        context = number % 3
        report = DecodeReport()
        parts = [list(read_frames(info, span, context, report)) for span in (Span(None, cut), Span(cut, None))]
        cores = [[fingerprint(f) for f in part if f.core] for part in parts]
        assert cores == [whole[:number], whole[number:]]
        around = [[fingerprint(f) for f in part] for part in parts]
        if 0 < number < len(whole):
            assert around == [whole[: number + context], whole[max(0, number - context) :]]
        if name != "raw_h264":  # whose packets have no time to count them by
            assert asdict(report) == asdict(whole_report)


def test_a_span_inside_has_context_on_both_sides(clip: Clip) -> None:
    info = probe(clip("short_gops"))
    whole = list(read_frames(info))
    part = list(read_frames(info, Span(whole[11].pts, whole[14].pts), context=3))
    assert [f.pts for f in part] == [f.pts for f in whole[8:17]]
    assert [f.core for f in part] == [False] * 3 + [True] * 3 + [False] * 3


@pytest.mark.parametrize(("name", "frames"), [("corrupt", 23), ("corrupt_intra", 11)])
def test_a_corrupt_packet_costs_its_frame_only(clip: Clip, name: str, frames: int) -> None:
    report = DecodeReport()
    got = list(read_frames(probe(clip(name)), report=report))
    assert len(got) == report.frames == frames
    assert (report.corrupt_packets, report.packets) == (1, frames + 1)
    durations = [f.duration for f in got]
    assert sorted(durations) == [clips.STEP] * (frames - 1) + [2 * clips.STEP]


@pytest.mark.parametrize("name", ["truncated", "truncated_mp4"])
def test_a_truncated_file_is_read_to_the_cut_and_reported(clip: Clip, name: str) -> None:
    report = DecodeReport()
    assert len(list(read_frames(probe(clip(name)), report=report))) == 7
    assert float(report.short_by) == pytest.approx(5 / 24, abs=0.002)


def test_a_sound_clip_reports_nothing_but_its_frames(clip: Clip) -> None:
    report = DecodeReport()
    list(read_frames(probe(clip("plain")), report=report))
    assert report == DecodeReport(packets=12, frames=12)


def test_a_change_of_size_is_scaled_to_the_first(clip: Clip) -> None:
    info = probe(clip("size_change"))
    report = DecodeReport()
    frames = list(read_frames(info, report=report))
    assert {(f.picture.width, f.picture.height) for f in frames} == {(96, 64)}
    assert (len(frames), report.rescaled_frames) == (12, 6)
    for index, frame in enumerate(frames[6:]):
        assert np.abs(as_rgb(frame.picture) - clips.picture(index)).mean() < 8


def test_closing_early_still_reports(clip: Clip) -> None:
    report = DecodeReport()
    frames = read_frames(probe(clip("plain")), report=report)
    next(frames)
    frames.close()
    assert report.frames == 1


def test_pictures_outlive_their_reader(clip: Clip) -> None:
    info = probe(clip("plain"))
    frames = list(read_frames(info))
    again = [fingerprint(f) for f in read_frames(info)]
    assert [fingerprint(f) for f in frames] == again


@pytest.mark.parametrize("name", ["short_gops", "open_gop_hevc"])
def test_threads_change_no_pixel_of_a_sound_clip(clip: Clip, name: str) -> None:
    info = probe(clip(name))
    one, three = ([fingerprint(f) for f in read_frames(info, threads=n)] for n in (1, 3))
    assert one == three


def test_frames_know_the_shape_of_their_pixels(clip: Clip) -> None:
    for name, aspect in (("plain", 1), ("wide_pixels", Fraction(4, 3)), ("rotated_wide_pixels", Fraction(3, 4))):
        assert {frame.aspect for frame in read_frames(probe(clip(name)))} == {aspect}
