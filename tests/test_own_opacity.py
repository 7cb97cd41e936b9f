"""What the input's own alpha hides stays hidden, in every kind of file that has it, and is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import clips
import numpy as np
import pytest
from numpy.typing import NDArray

from birefvideo.frames import DecodedFrame, VideoInfo
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import as_asked, plan_targets
from birefvideo.jobs.run import run
from birefvideo.matting.foreground import with_foreground
from birefvideo.matting.opacity import with_own_opacity
from birefvideo.media.reading.alpha import alpha_of
from birefvideo.media.reading.decode import DecodeReport, read_frames
from birefvideo.media.reading.probe import probe
from birefvideo.media.writing.animation_pixels import paletted
from birefvideo.planes import plane_array

WIDTH, HEIGHT = clips.WIDTH, clips.HEIGHT
FRAMES = 3


def half_shown(pix_fmt: str, index: int, least: int = 0) -> av.VideoFrame:
    """A picture of the usual clip whose left half has alpha `least` of 255."""
    rgb = clips.picture(index)
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    alpha[:, : WIDTH // 2] = least
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.dstack([rgb, alpha])), format="rgba")
    return frame.reformat(format=pix_fmt, threads=1)


def write(path: Path, codec: str, pix_fmt: str, options: Mapping[str, str] | None = None, least: int = 0) -> Path:
    """A clip of `half_shown` pictures."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=dict(options or {}))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        for index in range(FRAMES):
            frame = half_shown(pix_fmt, index, least)
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


VP = {"deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "0", "crf": "4", "b": "2M"}
KINDS: list[tuple[str, str, str, dict[str, str]]] = [
    ("a.mov", "prores_ks", "yuva444p10le", {"profile": "4444", "alpha_bits": "16"}),
    ("a.mov", "qtrle", "argb", {}),
    ("a.mov", "png", "rgba", {}),
    ("a.mov", "png", "rgba64be", {}),
    ("a.mkv", "ffv1", "yuva420p", {}),
    ("a.mkv", "ffv1", "yuva444p10le", {}),
    ("a.mkv", "ffv1", "bgra", {}),
    ("a.webm", "libvpx-vp9", "yuva420p", VP),
    ("a.webm", "libvpx", "yuva420p", VP),
    ("a.apng", "apng", "rgba", {}),
]


@pytest.mark.parametrize(("name", "codec", "pix_fmt", "options"), KINDS)
def test_frames_carry_their_own_opacity(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, options: dict[str, str]
) -> None:
    info, report = probe(write(tmp_path / name, codec, pix_fmt, options)), DecodeReport()
    assert info.has_alpha
    frames = list(read_frames(info, report=report))
    assert len(frames) == report.transparent_frames == FRAMES
    for frame in frames:
        assert frame.opacity is not None and frame.opacity.shape == (HEIGHT, WIDTH)
        assert frame.opacity[:, : WIDTH // 2 - 8].max() < 0.02
        assert frame.opacity[:, WIDTH // 2 + 8 :].min() > 0.98
        assert frame.picture.format.name == info.pix_fmt and len(frame.picture.planes) == 3


def test_a_gif_s_palette_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("gif", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "pal8"
        codes = np.full((32, 32, 4), 255, np.uint8)
        codes[:, :16] = 0
        frame = paletted(codes)
        frame.pts = 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    (shown,) = read_frames(probe(path))
    assert shown.opacity is not None and shown.opacity[:, :16].max() == 0 and shown.opacity[:, 16:].min() == 1


def test_opaque_alpha_counts_as_none(tmp_path: Path) -> None:
    info, report = probe(write(tmp_path / "a.mkv", "ffv1", "yuva444p", least=255)), DecodeReport()
    assert info.has_alpha
    assert all(frame.opacity is None for frame in read_frames(info, report=report))
    assert report.transparent_frames == 0


@pytest.mark.parametrize(("turns", "mirrored"), [(1, False), (2, False), (3, False), (0, True)])
def test_opacity_turns_with_the_picture(tmp_path: Path, turns: int, mirrored: bool) -> None:
    path = write(tmp_path / "a.mov", "qtrle", "argb")
    clips.set_display_matrix(path, turns, mirrored)
    stored = np.ones((HEIGHT, WIDTH))
    stored[:, : WIDTH // 2] = 0
    wanted = np.rot90(stored, turns)
    for frame in read_frames(probe(path)):
        assert frame.opacity is not None
        assert np.array_equal(frame.opacity, wanted[:, ::-1] if mirrored else wanted)


def test_alpha_is_multiplied_and_what_is_hidden_is_black(clip: Callable[[str], Path]) -> None:
    frame = next(read_frames(probe(clip("plain"))))
    opacity = np.ones((HEIGHT, WIDTH), np.float32)
    opacity[:, :48] = 0
    opacity[:, 48:60] = 0.5
    own = replace(frame, opacity=opacity).with_alpha(np.full((HEIGHT, WIDTH), 0.8, np.float32))
    finished = with_own_opacity(with_foreground(own))
    assert np.allclose(finished.alpha, 0.8 * opacity)
    assert (plane_array(finished.foreground, 0)[:, :40] == 16).all()
    plain = with_foreground(frame.with_alpha(own.alpha))
    for index in range(3):
        one, other = (plane_array(frame.foreground, index)[:, 48:] for frame in (finished, plain))
        assert np.array_equal(one, other)


def alpha_written(path: Path) -> NDArray[np.float32]:
    with av.open(str(path)) as container:
        alpha = alpha_of(next(container.decode(video=0)))
    assert alpha is not None
    return alpha


def test_a_job_hides_what_the_input_hides_and_tells(tmp_path: Path, network: Path) -> None:
    source = write(tmp_path / "a.mov", "prores_ks", "yuva444p10le", KINDS[0][3])
    options = Options(model=network, device="cpu", smooth=1)
    result = run(source, plan_targets(source, tmp_path / "with", ["prores"]), options)
    assert any("3 frames with transparency of the input's own" in note for note in result.warnings)
    hidden = alpha_written(result.outputs[0])
    assert hidden[:, : WIDTH // 2].max() == 0 and hidden[:, WIDTH // 2 :].mean() > 0.1
    ignoring = options.changed(ignore_alpha=True)
    without = run(source, plan_targets(source, tmp_path / "without", ["prores"]), ignoring)
    assert not without.warnings or "transparency" not in " ".join(without.warnings)
    shown = alpha_written(without.outputs[0])
    assert shown[:, : WIDTH // 2].mean() > 0.1
    assert np.abs(shown - hidden)[:, WIDTH // 2 :].max() < 0.002


def test_interlaced_pictures_keep_their_opacity(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuva420p"
        for index in range(FRAMES):
            picture = clips.flagged(half_shown("yuva420p", index), "tff")
            picture.pts, picture.time_base = index, Fraction(1, 25)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    info, report = probe(path), DecodeReport()
    frames = list(read_frames(info, report=report))
    assert report.deinterlaced_frames == report.transparent_frames == FRAMES
    for frame in frames:
        assert frame.opacity is not None
        assert frame.opacity[:, :40].max() == 0 and frame.opacity[:, 56:].min() == 1


def test_ignoring_alpha_leaves_it_unread(tmp_path: Path) -> None:
    info = as_asked(probe(write(tmp_path / "a.mkv", "ffv1", "yuva444p")), Options(ignore_alpha=True))
    assert all(frame.opacity is None for frame in read_frames(info))


def test_premultiplied_exr_becomes_straight(tmp_path: Path) -> None:
    context = av.CodecContext.create("exr", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt, context.time_base = 32, 32, "gbrapf32le", Fraction(1, 25)
    frame = av.VideoFrame(32, 32, "gbrapf32le")
    for plane, value in zip(frame.planes, (0.2, 0.1, 0.3, 0.5), strict=True):
        plane.update(np.full((32, plane.line_size // 4), value, np.float32).tobytes())
    path = tmp_path / "a.exr"
    path.write_bytes(b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)]))
    info = probe(path)
    assert info.has_alpha and info.is_premultiplied
    shown: DecodedFrame = next(read_frames(info))
    straight: VideoInfo = replace(info, is_premultiplied=False)
    dark = next(read_frames(straight))
    assert shown.opacity is not None and np.allclose(shown.opacity, 0.5, atol=0.01)
    luma, half = (float(plane_array(one.picture, 0).mean()) - 64 for one in (shown, dark))
    assert luma == pytest.approx(2 * half, rel=0.02)
