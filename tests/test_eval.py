"""`birefvideo eval` from the outside: every kind of matte is read right, and frames are paired by their times."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from clips import yuv_frame
from numpy.typing import DTypeLike, NDArray
from outputs import SEQUENCES, WRITABLE, make_output
from typer.testing import CliRunner, Result

from birefvideo.cli import app
from birefvideo.errors import InputError, OptionError
from birefvideo.media.format_table import FORMATS, Content, Format
from birefvideo.planes import plane_array
from birefvideo.scoring.evaluate import evaluate
from birefvideo.scoring.read_mattes import open_mattes

GetClip = Callable[[str], Path]
Array = NDArray[np.float32]
HEIGHT, WIDTH = 48, 64


def ramp(step: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Array:
    """A matte with every level, that moves to the right."""
    columns = np.arange(width, dtype=np.float32) - 2 * step
    return np.tile(np.clip((columns - 8) / (width - 24), 0, 1), (height, 1)).astype(np.float32)


def write_planes(
    path: Path,
    frames: Sequence[av.VideoFrame],
    codec: str = "ffv1",
    times: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    full_range: bool = False,
) -> Path:
    """Pictures as a file, at 25 frames a second or at `times` in milliseconds."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, frames[0].format.name
        context = stream.codec_context
        context.time_base, context.thread_count = Fraction(1, 1000), 1
        context.color_range = 2 if full_range else 0
        for index, frame in enumerate(frames):
            frame.pts, frame.time_base = times[index] if times else 40 * index, Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def gray(alpha: Array, pix_fmt: str = "gray") -> av.VideoFrame:
    """A matte as a gray picture; `gray10le` and deeper by their own largest code."""
    frame = av.VideoFrame(alpha.shape[1], alpha.shape[0], pix_fmt)
    peak = (1 << frame.format.components[0].bits) - 1
    plane_array(frame, 0)[:] = np.rint(alpha * peak)
    return frame


def truth_file(path: Path, mattes: Sequence[Array], times: Sequence[int] | None = None) -> Path:
    return write_planes(path, [gray(matte) for matte in mattes], times=times)


def read(path: Path) -> list[Array]:
    return list(open_mattes(path).mattes())


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["eval", *map(str, arguments)])


LOSSY = {"webm": 0.2, "matte": 0.02, "hevc-alpha": 0.2}
"""Largest error of alpha of the formats that do not keep it to a code."""
MATTES = [row for row in [*WRITABLE, *SEQUENCES] if row.has_alpha or row.content is Content.MATTE]
COLOURS = [row for row in WRITABLE if row not in MATTES]


@pytest.mark.parametrize("format", MATTES, ids=lambda format: format.name)
@pytest.mark.parametrize("source", ["plain", "odd_444"])
def test_what_matte_writes_is_read_as_the_alpha_it_was_made_of(
    clip: GetClip, tmp_path: Path, format: Format, source: str
) -> None:
    output, info, frames, _ = make_output(tmp_path, format, clip(source))
    most = LOSSY.get(format.name, 0.51 / 255 if format.pix_fmt in ("argb", "yuva444p") else 0.7 / 1023)
    found = read(output)
    assert len(found) == len(frames)
    for alpha, frame in zip(found, frames, strict=True):
        assert frame.alpha is not None
        inside = alpha[: info.height, : info.width]  # H.264 pads to even sizes
        assert np.abs(inside - frame.alpha).max() <= most
        assert np.abs(inside - frame.alpha).mean() <= 0.003


@pytest.mark.parametrize("format", MATTES, ids=lambda format: format.name)
def test_outputs_with_alpha_are_scored_by_their_times(clip: GetClip, tmp_path: Path, format: Format) -> None:
    output, _, frames, _ = make_output(tmp_path, format, clip("vfr"))
    mattes = [frame.alpha for frame in frames if frame.alpha is not None]
    truth = truth_file(tmp_path / "alpha.mkv", mattes, [round(1000 * frame.seconds) for frame in frames])
    result = invoke("--truth", truth, output, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["mean"]["mad"] < 3
    assert report["per_frame"][3]["time"] == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize("format", COLOURS, ids=lambda format: format.name)
def test_outputs_without_alpha_are_refused_in_one_line(clip: GetClip, tmp_path: Path, format: Format) -> None:
    output, _, frames, _ = make_output(tmp_path, format, clip("plain"))
    truth = truth_file(tmp_path / "alpha.mkv", [f.alpha for f in frames if f.alpha is not None])
    result = invoke("--truth", truth, output)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert f"{output.name} has no alpha and its pictures are in colour" in result.stderr


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
def test_a_luma_matte_is_read_in_its_own_range(tmp_path: Path, full: bool) -> None:
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    plane_array(frame, 0)[:] = np.rint(ramp() * 255 if full else 16 + 219 * ramp())
    for index in (1, 2):
        plane_array(frame, index)[:] = 128
    frame.color_range = 2 if full else 1
    path = write_planes(tmp_path / "matte.mkv", [frame], full_range=full)
    assert np.abs(read(path)[0] - ramp()).max() < 0.6 / 219


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le", "gray16le"])
def test_gray_is_read_in_its_depth(tmp_path: Path, pix_fmt: str) -> None:
    path = write_planes(tmp_path / "matte.mkv", [gray(ramp(), pix_fmt)])
    assert np.abs(read(path)[0] - ramp()).max() <= (0.51 / 255 if pix_fmt == "gray" else 0.51 / 1023)


PACKED: dict[str, tuple[str, str, DTypeLike, int]] = {
    "rgba": ("png", ".mov", np.uint8, 3),
    "rgba64be": ("png", ".mov", ">u2", 3),
    "argb": ("qtrle", ".mov", np.uint8, 0),
    "bgra": ("ffv1", ".mkv", np.uint8, 3),
    "ya8": ("png", ".mov", np.uint8, 1),
}


@pytest.mark.parametrize("pix_fmt", PACKED)
def test_packed_alpha_is_read_to_the_code(tmp_path: Path, pix_fmt: str) -> None:
    codec, suffix, sample, place = PACKED[pix_fmt]
    dtype, count = np.dtype(sample), 2 if pix_fmt == "ya8" else 4
    peak = np.iinfo(dtype.newbyteorder("=")).max
    frame = av.VideoFrame(WIDTH, HEIGHT, pix_fmt)
    plane = frame.planes[0]
    strides = (plane.line_size, count * dtype.itemsize, dtype.itemsize)
    pixels = np.ndarray((HEIGHT, WIDTH, count), dtype, memoryview(plane), strides=strides)
    pixels[:] = peak // 3
    pixels[..., place] = np.rint(ramp() * peak)
    found = read(write_planes(tmp_path / f"clip{suffix}", [frame], codec))[0]
    assert np.array_equal(np.rint(found * peak), np.rint(ramp() * peak))


@pytest.mark.parametrize("pix_fmt", ["yuva420p", "yuva444p10le", "gbrap12le", "gbrap16le"])
def test_planar_alpha_is_read_to_the_code(tmp_path: Path, pix_fmt: str) -> None:
    frame = av.VideoFrame(WIDTH, HEIGHT, pix_fmt)
    peak = (1 << frame.format.components[3].bits) - 1
    for index in range(3):
        plane_array(frame, index)[:] = peak // 3
    plane_array(frame, 3)[:] = np.rint(ramp() * peak)
    found = read(write_planes(tmp_path / "clip.mkv", [frame]))[0]
    assert np.array_equal(np.rint(found * peak), np.rint(ramp() * peak))


@pytest.mark.parametrize("kind", ["gray8", "gray16", "rgba", "equal channels"])
def test_a_folder_of_pictures_is_read_in_the_order_of_its_numbers(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "matte"
    folder.mkdir()
    for step in range(8, 12):  # 8, 9, 10, 11: by name 10 would come first
        level = ramp(step)
        codes: NDArray[Any]
        codes = np.rint(level * 65535).astype(np.uint16) if kind == "gray16" else np.rint(level * 255).astype(np.uint8)
        if kind == "rgba":
            codes = np.dstack([*[np.full_like(codes, 90)] * 2, np.full_like(codes, 30), codes])
        elif kind == "equal channels":
            codes = np.dstack([codes] * 3)
        cv2.imwrite(str(folder / f"frame_{step}.png"), codes)
    (folder / "notes.txt").write_text("not a picture")
    truth = truth_file(tmp_path / "alpha.mkv", [ramp(step) for step in range(8, 12)])
    found = evaluate(truth, folder)
    assert found.score.frames == 4
    assert found.score.mad < (0.6 if kind == "gray16" else 1e-4)
    assert evaluate(folder, folder).times is None
    with pytest.raises(InputError, match=r"has 4 frames and .*alpha.mkv 5: without times"):
        evaluate(truth_file(tmp_path / "alpha.mkv", [ramp()] * 5), folder)


def test_pictures_in_colour_are_refused(tmp_path: Path, clip: GetClip) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8))
    for path in (tmp_path, clip("rgb"), clip("packed_rgb"), clip("plain")):
        with pytest.raises(InputError, match="no alpha and its pictures are in colour"):
            read(path)


def test_frames_are_paired_by_time_and_a_missing_one_is_named(tmp_path: Path) -> None:
    times = [0, 40, 100, 104, 300, 340]
    mattes = [ramp(step) for step in range(6)]
    truth = truth_file(tmp_path / "alpha.mkv", mattes, times)
    assert evaluate(truth, truth).score.mad == 0
    holed = truth_file(tmp_path / "holed.mkv", mattes[:2] + mattes[3:], times[:2] + times[3:])
    with pytest.raises(InputError, match=r"holed.mkv lacks 1 of the 6 frames of .*alpha.mkv, the first at 0.100 s"):
        evaluate(truth, holed)
    with pytest.raises(InputError, match=r"holed.mkv lacks 1 of the 6 frames of .*alpha.mkv, the first at 0.100 s"):
        evaluate(holed, truth)
    beheaded = truth_file(tmp_path / "beheaded.mkv", mattes[1:], times[1:])
    with pytest.raises(InputError, match=r"lacks 1 of the 6 frames of .*alpha.mkv, the first at 0.000 s"):
        evaluate(truth, beheaded)


def test_times_may_be_off_by_the_containers_clock_and_start_elsewhere(tmp_path: Path) -> None:
    mattes = [ramp(step) for step in range(5)]
    truth = truth_file(tmp_path / "alpha.mkv", mattes, [0, 33, 67, 100, 133])
    rounded = truth_file(tmp_path / "rounded.mkv", mattes, [1400, 1434, 1466, 1501, 1533])
    assert evaluate(truth, rounded).score.mad == 0
    assert invoke("--truth", truth, rounded).stdout.count("1.400 s (frame 0)") > 0


def test_a_trimmed_result_is_scored_with_the_times_it_was_trimmed_by(tmp_path: Path) -> None:
    mattes = [ramp(step) for step in range(8)]
    truth = truth_file(tmp_path / "alpha.mkv", mattes)
    trimmed = truth_file(tmp_path / "trimmed.mkv", mattes[2:6])
    with pytest.raises(InputError, match="pass the start and end"):
        evaluate(truth, trimmed)
    assert evaluate(truth, trimmed, start=Fraction(8, 100), end=Fraction(24, 100)).score.mad == 0
    assert invoke("--truth", truth, trimmed, "--start", "0.08", "--end", "0:00.24").exit_code == 0
    with pytest.raises(OptionError, match="no frame between"):
        evaluate(truth, trimmed, start=Fraction(5))


def test_the_worst_frame_is_named_with_its_time(tmp_path: Path) -> None:
    mattes = [ramp(step) for step in range(6)]
    truth = truth_file(tmp_path / "alpha.mkv", mattes)
    mattes[4] = np.zeros_like(mattes[4])
    result = invoke("--truth", truth, truth_file(tmp_path / "bad.mkv", mattes))
    assert result.exit_code == 0, result.output
    assert "bad.mkv against alpha.mkv: 6 frames, 64×48" in result.stdout
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("  MAD")]
    wrong = 1000 * np.rint(ramp(4) * 255).mean() / 255
    assert line.split() == ["MAD", "×1000", f"{wrong / 6:.2f}", f"{wrong:.2f}", "0.160", "s", "(frame", "4)"]


def test_json_holds_every_frame_and_the_plot_shows_every_figure(tmp_path: Path) -> None:
    truth = truth_file(tmp_path / "alpha.mkv", [ramp(step // 2) for step in range(6)])
    wrong = truth_file(tmp_path / "wrong.mkv", [ramp(step // 2 + 1) for step in range(6)])
    plot = tmp_path / "report.png"
    result = invoke("--truth", truth, wrong, "--json", "--plot", plot)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert [frame["time"] for frame in report["per_frame"]] == [0, 0.04, 0.08, 0.12, 0.16, 0.2]
    assert report["per_frame"][0]["dtssd"] is None
    assert report["mean"]["mad"] == pytest.approx(np.mean([frame["mad"] for frame in report["per_frame"]]))
    assert report["worst_frame"]["foreground_sad"] is None
    picture = cv2.imread(str(plot))
    assert picture.shape[1] == 1280 and picture.shape[0] > 7 * 150  # seven figures
    blue = picture[..., 0].astype(int) - picture[..., 2] > 60
    assert (blue.sum(axis=1) > 0).sum() > 200  # curves with a slope, in every panel


def test_foreground_is_scored_against_the_true_colours(tmp_path: Path) -> None:
    def coloured(level: int) -> av.VideoFrame:
        rgb = np.full((HEIGHT, WIDTH, 3), level, np.uint8)
        frame = yuv_frame(rgb, "yuva444p", None)
        plane_array(frame, 3)[:] = np.rint(ramp() * 255)
        return frame

    truth = truth_file(tmp_path / "alpha.mkv", [ramp()] * 3)
    result = write_planes(tmp_path / "result.mkv", [coloured(120) for _ in range(3)])
    true = write_planes(tmp_path / "true.mkv", [coloured(180) for _ in range(3)])
    assert evaluate(truth, result, truth_foreground=result).score.foreground_sad == 0
    found = evaluate(truth, result, truth_foreground=true).score.foreground_sad
    assert found == pytest.approx(60 / 255 * (np.rint(ramp() * 255) > 0).sum() / 1e3, rel=0.02)
    with pytest.raises(InputError, match=r"alpha.mkv has no colours beside an alpha"):
        evaluate(truth, truth, truth_foreground=true)


def test_sizes_that_differ_are_named(tmp_path: Path) -> None:
    truth = truth_file(tmp_path / "alpha.mkv", [ramp()])
    small = truth_file(tmp_path / "small.mkv", [ramp(height=24, width=32)])
    result = invoke("--truth", truth, small)
    assert result.exit_code == 1
    assert "small.mkv is 32×24 and" in result.stderr and "64×48: scale one to the other's size" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing.mov"], 1, "missing.mov does not exist"),
        (["alpha.mkv", "--plot", "report.pdf"], 2, "report.pdf is not a PNG file"),
        (["alpha.mkv", "--plot", "no/such/folder.png"], 1, "cannot write"),
        (["alpha.mkv", "--start", "soon"], 2, "'soon'"),
        (["."], 1, "holds no picture"),
        (["alpha.mkv", "--truth-foreground", "alpha.mkv"], 1, "no colours beside an alpha"),
    ],
)
def test_a_mistake_gives_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    truth_file(Path("alpha.mkv"), [ramp()])
    result = invoke("--truth", "alpha.mkv", *arguments)
    assert result.exit_code == code
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_a_frame_that_cannot_be_decoded_is_an_error(clip: GetClip, tmp_path: Path) -> None:
    output, *_ = make_output(tmp_path, FORMATS["prores"], clip("plain"))
    with av.open(str(output)) as container:
        packet = [p for p in container.demux(video=0) if p.size][5]
        place, size = packet.pos, packet.size
    data = bytearray(output.read_bytes())
    data[place : place + size] = b"\xff" * size
    output.write_bytes(data)
    with pytest.raises(InputError, match="decoded"):
        read(output)
