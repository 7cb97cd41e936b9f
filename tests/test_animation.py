"""Stickers: GIF, APNG and animated WebP hold every picture that a browser can show, at its time, with its own alpha."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
import pytest
from browser import Browser, find_chromium
from clips import write_clip
from numpy.typing import NDArray
from outputs import ANIMATIONS, disc, expectation, full_disk, make_output, matted, with_matte, write_parts
from typer.testing import CliRunner

import birefvideo
from birefvideo.cli import app
from birefvideo.errors import InputError, OptionError, OutputError
from birefvideo.frames import Alpha, DecodedFrame, Frame, Span, VideoInfo
from birefvideo.media.animation_containers import read_webp
from birefvideo.media.animation_schedule import Schedule, schedule
from birefvideo.media.format_table import Format, get_format
from birefvideo.media.output_format import output_size
from birefvideo.media.reading.alpha import alpha_of
from birefvideo.media.verification.finished_output import read_finished_output
from birefvideo.media.verification.verify_in_job import verify
from birefvideo.media.verification.verify_later import Claims, prove
from birefvideo.media.writing import availability
from birefvideo.media.writing.animation_pixels import scaled
from birefvideo.media.writing.composer import EncodeSettings
from birefvideo.media.writing.join import join
from birefvideo.media.writing.segment_writer import open_writer
from birefvideo.scoring.evaluate import evaluate
from birefvideo.scoring.read_mattes import read_colours

GetClip = Callable[[str], Path]
Codes = NDArray[np.uint8]
every_animation = pytest.mark.parametrize("format", ANIMATIONS, ids=lambda format: format.name)
needs_chromium = pytest.mark.skipif(find_chromium() is None, reason="no Chromium here")
SIXTY = [200 * index for index in range(12)]
"""60 pictures a second in ticks of 1/12000 s."""


def ball(frame: DecodedFrame, index: int) -> Alpha:
    """A small soft disc that jumps to the right, so that no two pictures' discs overlap."""
    height, width = frame.picture.height, frame.picture.width
    y, x = np.mgrid[:height, :width].astype(np.float32)
    centre = 8 + (index * 20) % (width - 8)
    alpha: Alpha = np.clip((6 - np.hypot(x - centre, y - height / 2)) / 3 + 0.5, 0, 1).astype(np.float32)
    return alpha


def jumping(clip: Path) -> tuple[VideoInfo, list[Frame]]:
    info, frames = matted(clip)
    return info, [with_matte(frame, ball(frame, index)) for index, frame in enumerate(frames)]


def made(folder: Path, format: Format, info: VideoInfo, frames: Sequence[Frame]) -> Path:
    output = folder / f"out{format.suffix}"
    join(write_parts(folder, format, info, frames), output, format, info, Span())
    return output


def alphas(path: Path, format: Format) -> list[Alpha]:
    return [
        alpha for picture in read_finished_output(path, format).pictures() if (alpha := alpha_of(picture)) is not None
    ]


def rgba(path: Path, format: Format) -> list[Codes]:
    pictures = read_finished_output(path, format).pictures()
    return [cast(Codes, picture.reformat(format="rgba", threads=1).to_ndarray()) for picture in pictures]


def loops_of(path: Path) -> int:
    """How often an animation is played, by its bytes; 0 is for ever."""
    data = path.read_bytes()
    if data[:3] == b"GIF":
        return struct.unpack_from("<H", data, data.index(b"NETSCAPE2.0") + 13)[0]
    if data[:4] == b"RIFF":
        return struct.unpack_from("<H", data, data.index(b"ANIM") + 12)[0]
    return struct.unpack_from(">I", data, data.index(b"acTL") + 8)[0]


# -- time


def test_times_are_rounded_one_by_one_and_what_comes_too_soon_is_left_out() -> None:
    gif, webp = get_format("gif"), get_format("webp-anim")
    sixty = [Fraction(n, 60) for n in range(7)]
    assert schedule(sixty, Fraction(7, 60), gif) == Schedule((0, 2, 4, 6), (0, 3, 7, 10, 12))
    assert schedule(sixty, Fraction(7, 60), webp) == Schedule(tuple(range(7)), (0, 17, 33, 50, 67, 83, 100, 117))
    fifty = [Fraction(n, 50) for n in range(4)]
    assert schedule(fifty, Fraction(4, 50), gif) == Schedule((0, 1, 2, 3), (0, 2, 4, 6, 8))
    late = [5 + Fraction(n, 24) for n in range(4)]
    assert schedule(late, 5 + Fraction(4, 24), gif) == Schedule((0, 1, 2, 3), (0, 4, 8, 12, 17))
    assert schedule([Fraction(0), Fraction(1, 120), Fraction(2, 120)], Fraction(3, 120), webp).ticks == (0, 17, 28)


@every_animation
@pytest.mark.parametrize("name", ["plain", "vfr", "delayed", "one_frame", "odd_444", "wide_pixels", "full_range"])
def test_every_kind_of_clip_passes_and_keeps_its_times(
    format: Format, name: str, clip: GetClip, tmp_path: Path
) -> None:
    cuts = () if name == "one_frame" else (5,)
    output, info, frames, report = make_output(tmp_path, format, clip(name), cuts=cuts)
    expected = replace(expectation(frames, report), coverage=report.coverage)
    found = verify(output, format, info, expected)
    # Of the clip of varying rate two pictures come 8.3 and 0.1 ms after the one before.
    kept = [0, 1, 2, 3, 5, 6, 8, 9, 10, 11] if name == "vfr" else list(range(len(frames)))
    finished = read_finished_output(output, format)
    tick = Fraction(1, format.clock or 1)
    assert (found.frames, found.decoded) == (len(kept), len(kept))
    for time, index in zip(finished.times, kept, strict=True):
        assert abs(time - (frames[index].seconds - frames[0].seconds)) <= tick / 2
    length = frames[-1].seconds + frames[-1].duration * info.time_base - frames[0].seconds
    assert abs(finished.end - length) <= tick / 2
    assert report.origin == frames[0].seconds
    assert loops_of(output) == 0
    assert all(check.passed is not False for check in prove(output, format, clip(name), Claims()))


@every_animation
def test_a_last_picture_that_goes_on_for_minutes_ends_after_one(format: Format, network: Path, tmp_path: Path) -> None:
    source = write_clip(
        tmp_path / "slides.mp4", frames=2, rate=Fraction(1, 700), time_base=Fraction(1, 12000), audio_tracks=0
    )
    (output,) = birefvideo.matte(source, to=format.name, model=str(network), end=5).outputs
    assert read_finished_output(output, format).end == 60
    claims = Claims(span=Span(end=5 * 12000))
    assert all(check.passed is not False for check in prove(output, format, source, claims) if check.name != "alpha")


@pytest.mark.parametrize(
    ("name", "damaged"),
    [("gif", b""), ("apng", b""), ("webp-anim", b""), ("gif", b"GIF89a"), ("apng", b"\x89PNG\r\n\x1a\n12")],
)
def test_a_damaged_part_is_told(name: str, damaged: bytes, clip: GetClip, tmp_path: Path) -> None:
    info, frames = matted(clip("one_frame"))
    (part,) = write_parts(tmp_path, get_format(name), info, frames)
    (picture,) = (file for file in part.iterdir() if file.suffix != ".json")
    picture.write_bytes(damaged)
    with pytest.raises(OutputError, match="damaged picture: remove it"):
        join([part], tmp_path / "out", get_format(name), info, Span())


@every_animation
def test_a_last_picture_shorter_than_can_be_shown_is_shown_a_little_longer(format: Format, tmp_path: Path) -> None:
    source = write_clip(tmp_path / "fast.mp4", pts=[*range(0, 700, 100)], rate=Fraction(120), audio_tracks=0)
    output, info, frames, report = make_output(tmp_path, format, source)
    verify(output, format, info, expectation(frames, report))
    end = read_finished_output(output, format).end
    assert end > frames[-1].seconds + frames[-1].duration * info.time_base, "no case for this test"
    assert all(check.passed is not False for check in prove(output, format, source, Claims()))


@every_animation
def test_60_pictures_a_second_become_30_only_where_the_file_s_clock_asks_for_it(format: Format, tmp_path: Path) -> None:
    source = write_clip(tmp_path / "sixty.mp4", pts=SIXTY, rate=Fraction(60), audio_tracks=0)
    output, info, frames, report = make_output(tmp_path, format, source)
    assert verify(output, format, info, expectation(frames, report)).frames == (6 if format.name == "gif" else 12)
    lengths = np.diff([*map(float, (finished := read_finished_output(output, format)).times), float(finished.end)])
    assert lengths.min() >= (0.02 if format.name == "gif" else 0.011)
    assert all(check.passed is not False for check in prove(output, format, source, Claims()))


@every_animation
def test_cut_anywhere_the_bytes_are_the_same(format: Format, clip: GetClip, tmp_path: Path) -> None:
    data = []
    for name, cuts in (("whole", ()), ("cut", (4, 9))):
        (tmp_path / name).mkdir()
        output, *_ = make_output(tmp_path / name, format, clip("vfr"), cuts=cuts)
        data.append(output.read_bytes())
    assert data[0] == data[1]


# -- pixels


@every_animation
def test_alpha_is_exact_or_cut_in_the_middle_and_nothing_of_the_picture_before_stays(
    format: Format, clip: GetClip, tmp_path: Path
) -> None:
    info, frames = jumping(clip("plain"))
    found = alphas(made(tmp_path, format, info, frames), format)
    assert len(found) == len(frames)
    for alpha, frame in zip(found, frames, strict=True):
        assert frame.alpha is not None
        codes = np.rint(frame.alpha * 255)
        wanted = 255.0 * (codes >= 128) if format.name == "gif" else codes
        assert np.array_equal(np.rint(alpha * 255), wanted)


@every_animation
def test_pictures_without_a_hole_or_without_a_subject_are_whole(format: Format, clip: GetClip, tmp_path: Path) -> None:
    info, frames = matted(clip("plain"))
    levels = [0.0, 1.0, 0.0, 1.0, 1.0]
    flat = [replace(f, alpha=np.full_like(disc(f), level)) for f, level in zip(frames, levels, strict=False)]
    found = alphas(made(tmp_path, format, info, flat), format)
    assert [(float(alpha.min()), float(alpha.max())) for alpha in found] == [(level, level) for level in levels]


def test_colour_is_the_clip_s_within_the_codec_s_error(clip: GetClip, tmp_path: Path) -> None:
    info, frames = matted(clip("plain"))
    true = rgba(made(tmp_path, get_format("apng"), info, frames), get_format("apng"))
    for colours, (_, wanted) in zip(true, read_colours(clip("plain")), strict=True):
        opaque = colours[..., 3] == 255
        assert np.abs(colours[..., :3] - wanted * 255)[opaque].max() <= 2.5  # swscale's own error
        assert not colours[colours[..., 3] == 0].any()
    for name, mean in (("gif", 3.0), ("webp-anim", 4.5)):
        (tmp_path / name).mkdir()
        found = rgba(made(tmp_path / name, get_format(name), info, frames), get_format(name))
        for colours, apng in zip(found, true, strict=True):
            opaque = apng[..., 3] == 255
            assert np.abs(colours[..., :3].astype(int) - apng[..., :3])[opaque].mean() < mean, name


def test_apng_is_tagged_srgb(clip: GetClip, tmp_path: Path) -> None:
    output, *_ = make_output(tmp_path, get_format("apng"), clip("hdr"))
    with av.open(str(output)) as container:
        picture = next(container.decode(video=0))
    assert (picture.color_primaries, picture.color_trc) == (1, 13)


@pytest.mark.skipif(not hasattr(cv2, "imreadanimation"), reason="OpenCV reads animations from 4.11 on")
@pytest.mark.parametrize("name", ["apng", "webp-anim"])
def test_opencv_reads_the_same(name: str, clip: GetClip, tmp_path: Path) -> None:
    info, frames = jumping(clip("plain"))
    output = made(tmp_path, get_format(name), info, frames)
    output = output.rename(output.with_suffix(".png")) if name == "apng" else output
    done, animation = cv2.imreadanimation(str(output))
    assert done and animation.loop_count == 0 and len(animation.frames) == len(frames)
    assert [int(ms) for ms in animation.durations] == [42, 41, 42, 42, 41, 42] * 2
    for picture, frame in zip(animation.frames, frames, strict=True):
        assert frame.alpha is not None and np.array_equal(picture[..., 3], np.rint(frame.alpha * 255))


@needs_chromium
def test_chromium_plays_all_three_transparent(clip: GetClip, tmp_path: Path) -> None:
    info, frames = jumping(clip("plain"))
    whole = [with_matte(frame, disc(frame)) for frame in frames]
    page = ["<body style='margin:0;background:rgb(255,0,255)'>"]
    files: list[str] = []
    for format in ANIMATIONS:
        for pictures in (whole, frames):
            folder = tmp_path / f"{format.name}{len(files)}"
            folder.mkdir()
            files.append(base64.b64encode(made(folder, format, info, pictures).read_bytes()).decode())
        image = f"<img src='data:{picture_type(format)};base64,{files[-2]}'"
        page.append(f"{image} style='position:absolute;top:{len(page) * 100}px'>")
    path = tmp_path / "page.html"
    path.write_text("".join(page))
    with Browser(tmp_path / "profile") as browser:
        browser.open(path.as_uri())
        browser.until("[...document.images].every(image => image.complete && image.naturalWidth === 96)")
        browser.run("new Promise(done => setTimeout(done, 700))")  # longer than the first round
        shot = browser.shot().astype(int)
        for number, format in enumerate(ANIMATIONS):
            picture = shot[100 * (number + 1) :][:64, :96]
            assert np.array_equal(picture[60, 3], (255, 0, 255)), format.name
            assert picture[32, 48, 1] > 40, format.name
            decoded = browser.run(_DECODE % (picture_type(format), files[2 * number + 1]))
            assert decoded["loops"] is None  # for ever: JSON has no infinity
            lengths = [4, 4, 4, 5, 4, 4, 4, 4, 5, 4, 4, 4] if format.name == "gif" else [42, 41, 42, 42, 41, 42] * 2
            tick = 10_000 if format.name == "gif" else 1000
            assert decoded["lengths"] == [length * tick for length in lengths], format.name
            for codes, frame in zip(decoded["alphas"], frames, strict=True):
                assert frame.alpha is not None
                wanted = np.rint(frame.alpha * 255)
                wanted = 255 * (wanted >= 128) if format.name == "gif" else wanted
                assert np.array_equal(np.reshape(codes, wanted.shape), wanted)


def picture_type(format: Format) -> str:
    return "image/png" if format.name == "apng" else f"image/{format.container.muxer}"


_DECODE = """(async () => {
  const type = '%s', data = Uint8Array.from(atob('%s'), c => c.charCodeAt(0));
  const decoder = new ImageDecoder({data, type});
  await decoder.tracks.ready; await decoder.completed;
  const track = decoder.tracks.selectedTrack, alphas = [], lengths = [];
  const canvas = new OffscreenCanvas(96, 64).getContext('2d', {willReadFrequently: true});
  for (let frameIndex = 0; frameIndex < track.frameCount; frameIndex++) {
    const {image} = await decoder.decode({frameIndex});
    canvas.clearRect(0, 0, 96, 64); canvas.drawImage(image, 0, 0);
    alphas.push([...canvas.getImageData(0, 0, 96, 64).data].filter((_, i) => i %% 4 == 3));
    lengths.push(image.duration); image.close();
  }
  return {loops: track.repetitionCount, alphas, lengths};
})()"""


# -- size


@pytest.mark.parametrize(
    ("size", "aspect", "wanted"),
    [
        ((1920, 1080), Fraction(1), (512, 288)),
        ((1080, 1920), Fraction(1), (288, 512)),
        ((400, 300), Fraction(1), (400, 300)),
        ((720, 576), Fraction(64, 45), (512, 288)),
        ((96, 64), Fraction(4, 3), (128, 64)),
        ((4000, 2), Fraction(1), (512, 1)),
    ],
)
def test_stickers_are_at_most_512_pixels_long_and_never_enlarged(
    size: tuple[int, int], aspect: Fraction, wanted: tuple[int, int], clip: GetClip
) -> None:
    info, _ = matted(clip("one_frame"))
    shown = replace(info, width=size[0], height=size[1], sample_aspect_ratio=aspect)
    assert {output_size(format, shown) for format in ANIMATIONS} == {wanted}


@every_animation
def test_a_large_clip_is_written_small(format: Format, tmp_path: Path) -> None:
    source = write_clip(tmp_path / "large.mp4", size=(1024, 128), frames=2, audio_tracks=0)
    output, info, frames, report = make_output(tmp_path, format, source)
    assert read_finished_output(output, format).size == (512, 64)
    assert verify(output, format, info, replace(expectation(frames, report), coverage=report.coverage)).frames == 2


def test_scaling_brings_in_no_colour_from_where_alpha_is_0() -> None:
    rgb = np.zeros((40, 40, 3), np.float32)
    rgb[:, :21] = (250, 120, 30)  # hidden black beside it
    alpha = np.zeros((40, 40), np.float32)
    alpha[:, :21] = 1
    codes = scaled(rgb, alpha, (20, 20))
    assert set(codes[:, 10, 3]) == {128}  # half of the pixel's two columns
    assert {tuple(pixel) for pixel in codes[:, :11, :3].reshape(-1, 3)} == {(250, 120, 30)}
    assert not codes[:, 11:].any()


# -- the job


@every_animation
def test_a_job_is_made_verified_and_proven(format: Format, copy: GetClip, network: Path) -> None:
    source = copy("plain")
    target = source.with_name(f"sticker{format.extension}")
    result = birefvideo.matte(source, target, to=None, model=str(network), start=0.1, end=0.4)
    assert result.outputs == (target,)
    doubt = f"{network.name} is not sure that there is a person in this clip: look at the result, and try another model"
    assert result.warnings == [doubt, f"no sound: {format.name} cannot hold any"]
    assert {path.name for path in source.parent.iterdir()} == {"plain.mp4", target.name, "sticker.json"}
    told = json.loads(target.with_suffix(".json").read_text())["outputs"][target.name]
    assert told["format"] == format.name and told["verified"]["frames"] == result.frames == 7
    run = CliRunner().invoke(app, ["verify", str(target), "--source", str(source), "--json"])
    checks = {check["name"]: check for check in json.loads(run.stdout)[0]["checks"]}
    # The network of the tests is soft everywhere, so a GIF may have nobody in it.
    assert {name for name, check in checks.items() if check["passed"] is False} <= {"alpha"}
    assert "sound" not in checks


def test_pictures_become_a_sticker_at_their_rate(network: Path, tmp_path: Path) -> None:
    for number in range(4):
        picture = np.full((48, 64, 3), 60 * number, np.uint8)
        assert cv2.imwrite(str(tmp_path / f"shot_{number:03d}.png"), picture)
    source = tmp_path / "shot_%03d.png"
    (output,) = birefvideo.matte(source, to="apng", model=str(network), fps=10).outputs
    finished = read_finished_output(output, get_format("apng"))
    assert finished.times == tuple(Fraction(n, 10) for n in range(4)) and finished.end == Fraction(4, 10)


@every_animation
def test_more_than_a_minute_is_refused_before_anything_is_computed(
    format: Format, tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pts = [0, 12000 * 30, 12000 * 61]
    source = write_clip(tmp_path / "long.mp4", pts=pts, audio_tracks=0)
    monkeypatch.setattr("birefvideo.jobs.loaded_model.LoadedModel", None)
    result = CliRunner().invoke(app, ["matte", str(source), "--to", format.name, "--model", str(network)])
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert f"--to {format.name} is for up to 60 s, not 61.04" in line and "--start and --end" in line
    monkeypatch.undo()
    assert birefvideo.matte(source, to=[format.name], model=str(network), start=20).frames == 2


def test_a_clip_that_does_not_tell_its_length_is_stopped_after_a_minute(tmp_path: Path, clip: GetClip) -> None:
    info, (frame, *_) = matted(clip("plain"))
    late = replace(frame, pts=info.start + 60 * info.time_base.denominator)
    with (
        pytest.raises(OutputError, match="is for up to 60 s, and the clip goes on"),
        open_writer(tmp_path / "part.gif", get_format("gif"), info, EncodeSettings()) as writer,
    ):
        writer.write(frame)
        writer.write(late)


@every_animation
def test_a_full_disk_is_told_in_one_line(format: Format, clip: GetClip, tmp_path: Path) -> None:
    info, frames = matted(clip("plain"))
    with full_disk(100), pytest.raises(OutputError, match=r"^cannot write .*: File too large$"):
        write_parts(tmp_path, format, info, frames)
    parts = write_parts(tmp_path, format, info, frames)
    with full_disk(2000), pytest.raises(OutputError, match=r"^cannot write .*out.*: File too large$"):
        join(parts, tmp_path / f"out{format.suffix}", format, info, Span())


@every_animation
def test_an_encoder_that_is_not_there_is_told(format: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    assert availability.why_unavailable(format.name) == ""
    monkeypatch.setattr(availability, "FORMATS", {"x": replace(format, codec="tomorrow")})
    availability.why_unavailable.cache_clear()
    with pytest.raises(OptionError, match="to='x' is not possible here: this FFmpeg has no encoder tomorrow"):
        availability.check_available(replace(format, name="x"))
    availability.why_unavailable.cache_clear()


# -- damage


@every_animation
def test_a_damaged_file_fails_verification_and_proof(format: Format, clip: GetClip, tmp_path: Path) -> None:
    output, info, frames, report = make_output(tmp_path, format, clip("plain"))
    expected = replace(expectation(frames, report), coverage=report.coverage)
    whole = output.read_bytes()
    claims = Claims(frames=len(frames))
    for damaged in (b"", whole[:5], whole[: len(whole) // 2], whole[: len(whole) * 9 // 10], whole[9:]):
        output.write_bytes(damaged)
        with pytest.raises(OutputError, match="failed verification"):
            verify(output, format, info, expected)
        assert any(check.passed is False for check in prove(output, format, None, claims))
    output.unlink()
    with pytest.raises(OutputError, match="failed verification"):
        verify(output, format, info, expected)


@every_animation
def test_other_pictures_times_and_sizes_are_found(format: Format, clip: GetClip, tmp_path: Path) -> None:
    output, info, frames, report = make_output(tmp_path, format, clip("plain"))
    expected = replace(expectation(frames, report), coverage=report.coverage)
    for wrong, words in (
        (replace(expected, pts=expected.pts[:-1]), "number of pictures is 12 instead of 11"),
        (replace(expected, pts=[*expected.pts[:-1], expected.pts[-1] + 200]), "picture 11 begins"),
        (replace(expected, last_duration=1500), "the last ends"),
        (replace(expected, coverage=[*report.coverage[:5], 0.9, *report.coverage[6:]]), "of picture 5 instead of 90"),
    ):
        with pytest.raises(OutputError, match=words):
            verify(output, format, info, wrong)
    with pytest.raises(OutputError, match="size is"):
        verify(output, format, replace(info, width=90), expected)


def test_webp_whose_pictures_build_on_one_another_is_refused(clip: GetClip, tmp_path: Path) -> None:
    output, *_ = make_output(tmp_path, get_format("webp-anim"), clip("plain"))
    data = bytearray(output.read_bytes())
    data[data.index(b"ANMF") + 23] = 0
    output.write_bytes(data)
    with pytest.raises(InputError, match="build on one another"):
        read_webp(output)
    output.write_bytes(b"RIFF")
    with pytest.raises(InputError, match="no animated WebP"):
        read_webp(output)


# -- eval


@every_animation
def test_stickers_are_scored_against_the_truth(format: Format, clip: GetClip, tmp_path: Path) -> None:
    output, _, frames, _ = make_output(tmp_path, format, clip("plain"))
    (tmp_path / "truth").mkdir()
    truth, *_ = make_output(tmp_path / "truth", get_format("ffv1"), clip("plain"))
    score = evaluate(truth, output, truth_foreground=clip("plain")).score
    assert score.frames == len(frames)
    assert score.mad < (40 if format.name == "gif" else 0.01)
    assert score.foreground_sad is not None
