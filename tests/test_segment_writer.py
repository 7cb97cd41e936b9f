"""Part files: alpha, colour and time survive the codecs, and the same frames give the same bytes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from outputs import WRITABLE, decoded_video, full_disk, matted, packets, rgb_and_alpha, write_parts

from birefvideo.colour import rgb_to_yuv
from birefvideo.errors import OutputError
from birefvideo.media.format_table import Format, get_format
from birefvideo.media.output_format import output_colour, output_size
from birefvideo.media.writing.composer import EncodeSettings
from birefvideo.media.writing.segment_writer import open_writer
from birefvideo.planes import plane_array, to_444

Clip = Callable[[str], Path]
every_format = pytest.mark.parametrize("format", WRITABLE, ids=lambda format: format.name)


@every_format
@pytest.mark.parametrize("name", ["vfr", "delayed"])
def test_a_part_keeps_every_time_and_dts_is_pts(format: Format, name: str, clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip(name))
    (part,) = write_parts(tmp_path, format, info, frames)
    tick = 0.0005001 if format.container.muxer in ("webm", "matroska") else 0
    for (time, _), frame in zip(packets(part), frames, strict=True):
        assert abs(time - (frame.pts - info.start) * info.time_base) <= tick


@every_format
def test_the_same_frames_give_the_same_bytes(format: Format, clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip("plain"))
    (tmp_path / "again").mkdir()
    (one,), (two,) = (write_parts(folder, format, info, frames) for folder in (tmp_path, tmp_path / "again"))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("format", [format for format in WRITABLE if format.stands_alone], ids=lambda f: f.name)
def test_encoders_that_take_turns_write_what_one_alone_does(
    format: Format, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threading.active_count()
    info, frames = matted(clip("vfr"))
    (tmp_path / "alone").mkdir()
    (alone,) = write_parts(tmp_path / "alone", replace(format, stands_alone=False), info, frames)
    for count in (1, 2, 5):
        monkeypatch.setattr("birefvideo.media.writing.sinks.ENCODERS", count)
        (tmp_path / str(count)).mkdir()
        (part,) = write_parts(tmp_path / str(count), format, info, frames)
        assert part.read_bytes() == alone.read_bytes()
    assert threading.active_count() == before


def test_a_part_that_is_given_up_leaves_no_thread(clip: Clip, tmp_path: Path) -> None:
    before = threading.active_count()
    info, frames = matted(clip("plain"))
    with (
        pytest.raises(KeyError),
        open_writer(tmp_path / "part.mov", get_format("prores"), info, EncodeSettings()) as to,
    ):
        to.write(frames[0])
        assert threading.active_count() > before
        raise KeyError
    assert threading.active_count() == before


@pytest.mark.parametrize("name", ["plain", "odd_420", "ten_bit"])
def test_prores_alpha_is_exact_and_colour_close(name: str, clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip(name))
    (part,) = write_parts(tmp_path, get_format("prores"), info, frames)
    for picture, frame in zip(decoded_video(part), frames, strict=True):
        assert frame.alpha is not None
        assert np.abs(plane_array(picture, 3) / 4095 - frame.alpha).max() <= 1 / 1023
        gain = 4 if info.bit_depth == 8 else 1
        for i in range(3):
            source = plane_array(to_444(frame.picture), i).astype(float) * gain
            error = np.abs(plane_array(picture, i) / 4 - source)
            assert error.mean() < 2.5, f"plane {i}, of 1023"


@pytest.mark.parametrize("name", ["plain", "odd_444", "ten_bit", "full_range", "hdr"])
def test_ffv1_is_lossless_in_the_source_s_codes_and_depth(name: str, clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip(name))
    (part,) = write_parts(tmp_path, get_format("ffv1"), info, frames[:3])
    peak = 255 if info.bit_depth == 8 else 1023
    for picture, frame in zip(decoded_video(part), frames, strict=False):
        assert frame.alpha is not None
        assert np.abs(plane_array(picture, 3) - frame.alpha * peak).max() <= 0.501
        for i in range(3):
            assert np.array_equal(plane_array(picture, i), plane_array(to_444(frame.picture), i))


@pytest.mark.parametrize("name", ["plain", "untagged_sd", "full_range", "ten_bit"])
def test_qtrle_holds_the_8_bit_rgb_of_the_source_s_matrix_and_range(name: str, clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip(name))
    (part,) = write_parts(tmp_path, get_format("qtrle"), info, frames[:2])
    for shown, frame in zip(decoded_video(part), frames, strict=False):
        assert frame.alpha is not None and shown.format.name == "argb"
        argb = shown.to_ndarray().astype(float)
        assert np.abs(argb[..., 0] - frame.alpha * 255).max() <= 0.501
        step = 1 << (info.bit_depth - 8)
        y, u, v = (plane_array(to_444(frame.picture), i) / step for i in range(3))
        full = info.colour.range == 2
        y = y / 255 if full else (y - 16) / 219
        u, v = ((c - 128) / (255 if full else 224) for c in (u, v))
        red, blue, greens = (1.5748, 1.8556, (0.187324, 0.468124)) if info.colour.matrix == 1 else _BT601
        wanted = np.stack([y + red * v, y - greens[0] * u - greens[1] * v, y + blue * u], axis=-1)
        assert np.abs(argb[..., 1:] - np.clip(wanted, 0, 1) * 255).max() <= 0.51


_BT601 = (1.402, 1.772, (0.344136, 0.714136))


def test_xq_has_less_error_than_prores(clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip("plain"))
    errors = []
    for name in ("prores", "prores-xq"):
        (part,) = write_parts(tmp_path, get_format(name), info, frames[:3])
        errors.append(
            np.mean(
                [
                    np.abs(plane_array(picture, 0) / 16 - plane_array(frame.picture, 0)).mean()
                    for picture, frame in zip(decoded_video(part), frames, strict=False)
                ]
            )
        )
    assert errors[1] < 0.7 * errors[0]


def test_blue_is_blue_whatever_the_background_and_a_fill_is_the_foreground_alone(clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip("plain"))
    colours = [rgb_to_yuv((0, 71, 187), info.colour), rgb_to_yuv((255, 0, 0), info.colour)]
    for name, wanted in zip(("blue", "green"), colours, strict=True):
        path = tmp_path / f"{name}.mp4"
        with open_writer(path, get_format(name), info, EncodeSettings(background=(255, 0, 0), threads=1)) as writer:
            writer.write(frames[0])
        corner = [int(plane_array(decoded_video(path)[0], i)[-4, -4]) for i in range(3)]
        assert np.abs(np.subtract(corner, wanted)).max() <= 4, name
    (part,) = write_parts(tmp_path, get_format("fill"), info, frames[:1])
    error = plane_array(decoded_video(part)[0], 0).astype(float) - plane_array(frames[0].picture, 0)
    assert np.abs(error).mean() < 1.5


@pytest.mark.parametrize("format", [row for row in WRITABLE if row.has_alpha], ids=lambda format: format.name)
def test_straight_and_premultiplied_composite_to_the_same_picture(format: Format, clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip("plain"))
    over_white = []
    for premultiplied in (False, True):
        path = tmp_path / f"{premultiplied}{format.extension}"
        with open_writer(path, format, info, EncodeSettings(premultiplied=premultiplied, threads=1)) as writer:
            writer.write(frames[0])
        colour, alpha = rgb_and_alpha(decoded_video(path)[0])
        assert frames[0].alpha is not None
        outside = frames[0].alpha == 0
        if premultiplied:
            assert colour[outside].max() < 0.04
        else:
            assert colour[outside].max() > 0.5
            colour = colour * alpha
        over_white.append(colour + 1 - alpha)
    difference = np.abs(over_white[0] - over_white[1])
    assert difference.mean() < (0.02 if format.pix_fmt == "yuva420p" else 0.004)


def test_webm_alpha_and_colour_are_close(clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip("plain"))
    (part,) = write_parts(tmp_path, get_format("webm"), info, frames)
    for picture, frame in zip(decoded_video(part), frames, strict=True):
        assert frame.alpha is not None and picture.format.name == "yuva420p"
        error = np.abs(plane_array(picture, 3) / 255 - frame.alpha)
        assert error.mean() < 0.006 and error.max() < 0.2
        assert np.abs(plane_array(picture, 0).astype(float) - plane_array(frame.picture, 0)).mean() < 4


def test_a_matte_shows_alpha_within_three_percent(clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip("odd_420"))
    (part,) = write_parts(tmp_path, get_format("matte"), info, frames)
    for picture, frame in zip(decoded_video(part), frames, strict=True):
        assert frame.alpha is not None and (picture.width, picture.height) == (76, 54)
        shown = (plane_array(picture, 0)[:53, :75] - 16.0) / 219
        assert np.abs(shown - frame.alpha).mean() < 0.003
        assert np.abs(shown - frame.alpha).max() < 0.03


@pytest.mark.parametrize(
    ("name", "format", "tags"),
    [
        ("plain", "prores", (1, 1, 1, 1)),
        ("untagged_sd", "prores", (6, 1, 6, 1)),
        ("full_range", "prores", (1, 1, 1, 1)),
        ("hdr", "prores", (9, 1, 9, 16)),
        ("untagged_sd", "webm", (1, 1, 1, 1)),
        ("untagged_sd", "green", (6, 1, 6, 6)),
        ("full_range", "green", (1, 2, 1, 1)),
        ("full_range", "matte", (1, 1, 1, 1)),
    ],
)
def test_pictures_are_tagged(
    name: str, format: str, tags: tuple[int, int, int, int], clip: Clip, tmp_path: Path
) -> None:
    info, frames = matted(clip(name))
    (part,) = write_parts(tmp_path, get_format(format), info, frames[:2])
    picture = decoded_video(part)[0]
    with av.open(str(part)) as container:
        context = container.streams.video[0].codec_context
        assert (context.color_primaries, context.color_trc) == tags[2:]
    assert (picture.colorspace, picture.color_range) == tags[:2]
    colour = output_colour(get_format(format), info.colour)
    assert (colour.matrix, colour.range, colour.primaries, colour.transfer) == tags


def test_10_bit_hdr_codes_go_into_prores(clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip("hdr"))
    (part,) = write_parts(tmp_path, get_format("prores"), info, frames[:1])
    error = plane_array(decoded_video(part)[0], 0) / 4 - plane_array(frames[0].picture, 0)
    assert np.abs(error).mean() < 2


@every_format
def test_pixel_shape_is_kept(format: Format, clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip("wide_pixels"))
    (part,) = write_parts(tmp_path, format, info, frames[:1])
    with av.open(str(part)) as container:
        stream = container.streams.video[0]
        aspect = stream.sample_aspect_ratio or Fraction(1)
        assert info.sample_aspect_ratio == Fraction(4, 3)
        assert Fraction(stream.width, stream.height) * aspect == Fraction(info.width * 4, info.height * 3)


@every_format
def test_odd_sizes_are_kept_or_padded(format: Format, clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip("odd_444"))
    (part,) = write_parts(tmp_path, format, info, frames[:2])
    picture = decoded_video(part)[1]
    assert (picture.width, picture.height) == output_size(format, info)
    assert output_size(format, info) == ((76, 54) if format.codec == "libx264" else (75, 53))


@every_format
def test_a_segment_without_frames_can_be_closed(format: Format, clip: Clip, tmp_path: Path) -> None:
    info, _ = matted(clip("plain"))
    with open_writer(tmp_path / f"part{format.extension}", format, info, EncodeSettings()) as writer:
        pass
    assert writer.frames_written == 0


def test_an_exception_while_writing_passes_and_leaves_only_the_part(clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip("plain"))
    with (
        pytest.raises(RuntimeError, match="stop"),
        open_writer(tmp_path / "part.mov", get_format("prores"), info, EncodeSettings()) as writer,
    ):
        writer.write(frames[0])
        raise RuntimeError("stop")
    assert [path.name for path in tmp_path.iterdir()] == ["part.mov"]


def test_a_frame_of_another_size_is_refused(clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip("plain"))
    with (
        open_writer(tmp_path / "part.mov", get_format("prores"), replace(info, width=90), EncodeSettings()) as writer,
        pytest.raises(OutputError, match=r"is 96x64, the clip 90x64"),
    ):
        writer.write(frames[0])


def test_a_frame_that_is_not_later_is_refused(clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip("plain"))
    with open_writer(tmp_path / "part.mov", get_format("prores"), info, EncodeSettings()) as writer:
        writer.write(frames[1])
        with pytest.raises(OutputError, match="out of order"):
            writer.write(frames[0])


def test_a_folder_that_does_not_exist_is_told(clip: Clip, tmp_path: Path) -> None:
    info, _ = matted(clip("plain"))
    with pytest.raises(OutputError, match=r"cannot write .*part\.mov: No such file"):
        open_writer(tmp_path / "nowhere" / "part.mov", get_format("prores"), info, EncodeSettings())


@every_format
@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_a_full_disk_is_told_in_one_line(format: Format, share: float, clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip("plain"))
    (part,) = write_parts(tmp_path, format, info, frames)
    size = int(share * (part.stat().st_size - 1))
    with full_disk(size), pytest.raises(OutputError, match=r"^cannot write .*part0.*: File too large$"):
        write_parts(tmp_path, format, info, frames)


@every_format
def test_a_full_disk_does_not_hide_the_error_before_it(format: Format, clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip("plain"))
    writer = open_writer(tmp_path / "part", format, info, EncodeSettings())
    for frame in frames:
        writer.write(frame)
    with full_disk(0), pytest.raises(RuntimeError, match="stop"), writer:
        raise RuntimeError("stop")


def test_a_name_with_a_colon_is_a_file(clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info, frames = matted(clip("plain"))
    monkeypatch.chdir(tmp_path)
    with open_writer(Path("take:2.mov"), get_format("prores"), info, EncodeSettings()) as writer:
        writer.write(frames[0])
    assert len(decoded_video(tmp_path / "take:2.mov")) == 1


def test_opaque_chroma_of_webm_is_the_foregrounds_where_spill_was_taken_out(clip: Clip, tmp_path: Path) -> None:
    info, frames = matted(clip("plain"))
    grey = to_444(frames[0].picture)
    for index in (1, 2):
        plane_array(grey, index)[:] = 128
    opaque = np.ones((info.height, info.width), np.float32)
    frame = replace(frames[0], alpha=opaque, foreground=grey)
    off = []
    for despilled in (False, True):
        path = tmp_path / f"{despilled}.webm"
        with open_writer(path, get_format("webm"), info, EncodeSettings(despilled=despilled)) as writer:
            writer.write(frame)
        (picture,) = decoded_video(path)
        off.append(np.abs(plane_array(picture, 1).astype(int) - 128).mean())
    assert off[0] > 5 and off[1] < 1
