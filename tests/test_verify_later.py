"""`birefvideo verify`: good outputs pass by themselves and against their source, and each kind of damage is told."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import write_clip
from numpy.typing import NDArray
from outputs import disc, make_output, matted, with_matte, write_parts
from typer.testing import CliRunner, Result

import birefvideo
from birefvideo.cli import app
from birefvideo.colour import BT709
from birefvideo.media.format_table import get_format
from birefvideo.media.reading.alpha import alpha_of
from birefvideo.media.verification import audio_sync
from birefvideo.media.verification.premultiplication import EdgeColour
from birefvideo.media.verification.verify_later import Check, Claims, prove
from birefvideo.media.verification.verify_sound import SoundClaims
from birefvideo.media.writing.composer import EncodeSettings
from birefvideo.media.writing.segment_writer import open_writer
from birefvideo.planes import plane_array

GetClip = Callable[[str], Path]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["verify", *map(str, arguments)])


def proof(output: Path, name: str, source: Path | None = None, claims: Claims | None = None) -> dict[str, Check]:
    """The checks of an output by their names."""
    return {check.name: check for check in prove(output, get_format(name), source, claims or Claims())}


def failed(checks: dict[str, Check]) -> list[str]:
    return sorted(name for name, check in checks.items() if check.passed is False)


@pytest.mark.parametrize("name", ["prores", "webm", "green", "matte", "ffv1"])
@pytest.mark.parametrize("clip_name", ["plain", "vfr", "delayed"])
def test_a_good_output_passes_with_and_without_its_source(
    clip: GetClip, tmp_path: Path, name: str, clip_name: str
) -> None:
    output, _, frames, _ = make_output(tmp_path, get_format(name), clip(clip_name), cuts=(5,))
    alone, beside = proof(output, name), proof(output, name, clip(clip_name))
    assert failed(alone) == failed(beside) == []
    assert beside["frames"].finding == f"{len(frames)}, as the source has"
    assert beside["times"].passed and beside["duration"].passed and beside["sound"].passed and beside["tags"].passed
    assert ("pixels" in beside) == get_format(name).has_alpha


@pytest.mark.parametrize("clip_name", ["odd_444", "wide_pixels", "full_range", "rotated_270", "untagged_sd"])
def test_every_kind_of_clip_passes(clip: GetClip, tmp_path: Path, clip_name: str) -> None:
    for name in ("prores", "webm"):
        output, *_ = make_output(tmp_path, get_format(name), clip(clip_name))
        assert failed(proof(output, name, clip(clip_name))) == []


P3 = (1, 1, 12, 1)


@pytest.mark.parametrize("name", ["webm", "apng", "webp-anim", "qtrle", "prores", "exr", "gif", "png"])
@pytest.mark.parametrize("tags", [P3, (6, 1, 5, 6), (9, 1, 9, 14), (1, 1, 1, 4)])
def test_colours_of_another_gamut_are_proven(tmp_path: Path, name: str, tags: tuple[int, int, int, int]) -> None:
    source = write_clip(tmp_path / "wide.mp4", tags=tags, frames=3, audio_tracks=0, options={"crf": "4"})
    output, *_ = make_output(tmp_path, get_format(name), source)
    assert failed(proof(output, name, source)) == []


def test_codes_of_another_gamut_are_found(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "wide.mp4", tags=P3, frames=3, audio_tracks=0, pictures=saturated)
    info, frames = matted(source)
    (part,) = write_parts(tmp_path, get_format("webm"), replace(info, colour=BT709), frames)
    assert failed(proof(part, "webm", source)) == ["pixels"]


def saturated(index: int, width: int, height: int) -> NDArray[np.uint8]:
    """A red picture."""
    return np.full((height, width, 3), (203, 63, 53), np.uint8)


def test_a_missing_picture_and_another_time_are_found(clip: GetClip, tmp_path: Path) -> None:
    output, *_ = make_output(tmp_path, get_format("prores"), clip("short_gops"))
    assert failed(proof(output, "prores", clip("plain"))) == ["frames", "gaps", "sound"]
    output, *_ = make_output(tmp_path, get_format("prores"), clip("plain"))
    assert "times" in failed(proof(output, "prores", clip("vfr")))
    assert failed(proof(output, "prores", claims=Claims(frames=13))) == ["frames"]


def test_another_picture_is_found(clip: GetClip, tmp_path: Path) -> None:
    info, frames = matted(clip("plain"))
    others = [frames[(index + 4) % 12].picture for index in range(len(frames))]
    shifted = [with_matte(replace(f, picture=other), f.alpha) for f, other in zip(frames, others, strict=True)]
    (part,) = write_parts(tmp_path, get_format("prores"), info, shifted)
    assert failed(proof(part, "prores", clip("plain"), Claims(sound=SoundClaims(written=0, tracks="none")))) == [
        "pixels"
    ]


@pytest.mark.parametrize(("level", "words"), [(0.0, "empty"), (1.0, "the same everywhere")])
def test_a_matte_without_a_subject_or_a_background_is_found(
    clip: GetClip, tmp_path: Path, level: float, words: str
) -> None:
    info, frames = matted(clip("plain"))
    flat = [replace(frame, alpha=np.full_like(disc(frame), level)) for frame in frames]
    for name in ("prores", "matte"):
        (part,) = write_parts(tmp_path, get_format(name), info, flat)
        checks = proof(part, name)
        assert failed(checks) == ["alpha"] and words in checks["alpha"].finding


@pytest.mark.parametrize("name", ["prores", "ffv1"])
@pytest.mark.parametrize("is_multiplied", [False, True])
def test_premultiplied_colour_is_told_from_straight(
    clip: GetClip, tmp_path: Path, name: str, is_multiplied: bool
) -> None:
    info, frames = matted(clip("plain"))
    part = tmp_path / f"part{get_format(name).extension}"
    with open_writer(part, get_format(name), info, EncodeSettings(premultiplied=is_multiplied)) as writer:
        for frame in frames:
            writer.write(frame)
    assert failed(proof(part, name, claims=Claims(premultiplied=is_multiplied))) == []
    assert failed(proof(part, name, claims=Claims(premultiplied=not is_multiplied))) == ["colour"]


def test_edges_darker_than_alpha_could_make_them_tell_nothing(clip: GetClip, tmp_path: Path) -> None:
    info, frames = matted(clip("plain"))
    for frame in frames:
        plane_array(frame.foreground, 0)[frame.alpha < 0.98] = 16
    (part,) = write_parts(tmp_path, get_format("ffv1"), info, frames)
    colour = proof(part, "ffv1")["colour"]
    assert colour.passed is None and "is neither" in colour.finding


def test_light_beyond_white_tells_nothing() -> None:
    alpha = np.clip(np.linspace(-0.5, 1.5, 64, dtype=np.float32), 0, 1) + np.zeros((48, 1), np.float32)
    for peak, kind in ((1.0, "premultiplied"), (8.0, None)):
        edges = EdgeColour()
        picture = av.VideoFrame(64, 48, "gbrapf16le")
        for index in range(3):
            plane_array(picture, index).view(np.float16)[:] = peak * alpha
        for _ in range(8):
            edges.add(picture, alpha)
        assert edges.darkening is not None
        assert edges.kind == kind


def test_too_little_edge_tells_nothing() -> None:
    edges = EdgeColour()
    picture = av.VideoFrame(64, 48, "yuv444p")
    edges.add(picture, np.ones((48, 64), np.float32))
    assert edges.darkening is None


def test_missing_tags_are_found(clip: GetClip, tmp_path: Path) -> None:
    output, *_ = make_output(tmp_path, get_format("green"), clip("plain"))
    stripped = tmp_path / "stripped_green.mp4"
    with av.open(str(output)) as source, av.open(str(stripped), "w") as target:
        stream = target.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for picture in source.decode(video=0):
            picture.colorspace = picture.color_primaries = picture.color_trc = 2
            target.mux(stream.encode(picture))
        target.mux(stream.encode(None))
    assert "tags" in failed(proof(stripped, "green"))


def test_a_cut_off_or_missing_file_is_told(clip: GetClip, tmp_path: Path) -> None:
    output, *_ = make_output(tmp_path, get_format("prores"), clip("plain"))
    output.write_bytes(output.read_bytes()[:3000])
    assert failed(proof(output, "prores")) == ["file"]
    assert failed(proof(tmp_path / "missing_alpha.mov", "prores")) == ["file"]


# -- sound


def speech(seconds: float, seed: int = 1) -> np.ndarray:
    """Noise that swells and fades, like talk: (samples,) int16 at audio_sync.RATE."""
    noise = np.random.default_rng(seed).normal(size=round(seconds * audio_sync.RATE))
    loud = 0.5 + 0.5 * np.sin(np.arange(len(noise)) / audio_sync.RATE * 7)
    return (np.convolve(noise, np.ones(6) / 6, "same") * loud * 4000).astype(np.int16)


@pytest.mark.parametrize("late", [0, 1, -1, 5, -40, 800])
def test_sound_is_placed_to_the_sample(late: int) -> None:
    sound = speech(6)
    source = audio_sync.MonoAudio(Fraction(0), sound)
    output = audio_sync.MonoAudio(Fraction(max(late, 0), audio_sync.RATE), sound[max(-late, 0) :])
    found = audio_sync.offset(source, output, Fraction(0))
    assert found.windows == 9 and found.different == 0
    assert abs(found.worst) == Fraction(abs(late), audio_sync.RATE)


def test_sound_begins_with_its_first_frame_however_short(tmp_path: Path) -> None:
    path, rate, written = tmp_path / "cut.mka", 44100, 0
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=rate, layout="mono")
        for count in (80, 1024, 1024):  # less than the resampler keeps back, as where an edit list cuts a packet
            frame = av.AudioFrame.from_ndarray(np.full((1, count), 1000, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, written, Fraction(1, rate)
            out.mux(stream.encode(frame))
            written += count
        out.mux(stream.encode(None))
    heard = audio_sync.read_mono_audio(path, 0)
    assert heard is not None and heard.start == 0
    assert abs(heard.end - Fraction(written, rate)) <= Fraction(1, audio_sync.RATE)


@pytest.mark.parametrize("pitch", [440, 1000, 1330])
def test_a_steady_tone_a_part_of_a_sample_away_is_not_taken_for_one_a_period_away(pitch: int) -> None:
    times = np.arange(2 * audio_sync.RATE)
    away = 0.35
    source, output = (
        audio_sync.MonoAudio(
            Fraction(0), np.rint(5000 * np.sin(2 * np.pi * pitch * (times - late) / audio_sync.RATE)).astype(np.int16)
        )
        for late in (0, away)
    )
    found = audio_sync.offset(source, output, Fraction(0))
    assert found.different == 0
    assert found.worst <= Fraction(1, 2 * audio_sync.RATE)


def test_drift_is_found_at_its_worst() -> None:
    sound = speech(8)
    stretched = np.interp(np.arange(len(sound)) * 1.002, np.arange(len(sound)), sound).astype(np.int16)
    before, after = (audio_sync.MonoAudio(Fraction(0), one) for one in (sound, stretched))
    found = audio_sync.offset(before, after, Fraction(0))
    assert abs(found.worst) > Fraction(10, 1000)


def test_other_sound_and_silence_are_told() -> None:
    one, other = (audio_sync.MonoAudio(Fraction(0), speech(4, seed)) for seed in (1, 2))
    assert audio_sync.offset(one, other, Fraction(0)).different > 0
    silent = audio_sync.MonoAudio(Fraction(0), np.zeros(4 * audio_sync.RATE, np.int16))
    assert audio_sync.offset(silent, one, Fraction(0)).windows == 0


def test_sound_that_starts_late_is_found(clip: GetClip, tmp_path: Path) -> None:
    output, *_ = make_output(tmp_path, get_format("prores"), clip("plain"))
    late = tmp_path / "late_alpha.mov"
    with av.open(str(output)) as source, av.open(str(late), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        streams[0].codec_context.codec_tag = "ap4h"
        for packet in source.demux():
            if packet.dts is not None:
                if packet.stream.type == "audio":
                    packet.pts += 1764  # 40 ms
                    packet.dts += 1764
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    checks = proof(late, "prores", clip("plain"))
    assert failed(checks) == ["sound"], checks["sound"]


# -- the command


@pytest.fixture
def made(copy: GetClip, network: Path) -> Path:
    """A ProRes output with its receipt, beside its source plain.mp4."""
    return birefvideo.matte(copy("plain"), to=["prores"], model=str(network), start=0.1).outputs[0]


def test_the_command_uses_the_receipt(made: Path) -> None:
    result = invoke(made, "--source", made.with_name("plain.mp4"))
    assert result.exit_code == 0, result.output
    assert "SHA-256" in result.stdout and "9, as the source has" in result.stdout, "the receipt tells of the trim"
    made.with_suffix(".json").unlink()
    result = invoke(made, "--source", made.with_name("plain.mp4"))
    assert result.exit_code == 1 and "was it trimmed? Pass the --start" in result.stdout
    result = invoke(made, "--source", made.with_name("plain.mp4"), "--start", "0.1")
    assert result.exit_code == 0 and "9, as the source has" in result.stdout, result.output
    result = invoke(made, "--source", made.with_name("plain.mp4"), "--end", "0.1")
    assert result.exit_code == 1 and "was it trimmed?" not in result.stdout, result.output
    assert invoke(made).exit_code == 0


def test_all_is_good_only_where_a_receipt_proves_it(made: Path) -> None:
    assert invoke(made).stdout.splitlines()[-1].startswith("  all good")
    receipt = made.with_suffix(".json")
    told = json.loads(receipt.read_text())
    del told["outputs"][made.name]["sha256"]
    receipt.write_text(json.dumps(told))
    for words in ("has no hash of this file", "none beside it"):
        result = invoke(made)
        assert result.exit_code == 0 and words in result.stdout and "all good" not in result.stdout, result.output
        assert "nothing wrong found; without its receipt, who made it is not proven" in result.stdout
        (one,) = json.loads(invoke(made, "--json").stdout)
        assert (one["passed"], one["proven_ours"]) == (True, False)
        receipt.unlink(missing_ok=True)
    renamed = made.rename(made.with_name("final.mov"))
    assert invoke(renamed).exit_code == 1
    result = invoke(renamed, "--to", "prores")
    assert result.exit_code == 0 and "not proven" in result.stdout


@pytest.mark.parametrize(
    ("name", "made_as"),
    [
        ("camera.mp4", {"codec": "libx264"}),
        ("camera.mov", {"codec": "prores_ks", "pix_fmt": "yuva444p10le"}),
        ("archive.mkv", {"codec": "ffv1", "pix_fmt": "yuva444p"}),
        ("sticker.gif", {"codec": "gif", "pix_fmt": "rgb8", "audio_tracks": 0, "tags": None}),
    ],
)
def test_a_file_of_someone_else_is_not_called_ours(tmp_path: Path, name: str, made_as: dict[str, Any]) -> None:
    foreign = write_clip(tmp_path / name, **made_as)
    result = invoke(foreign)
    assert result.exit_code == 1 and "all good" not in result.stdout, result.output
    assert "neither a receipt nor its name says that birefvideo made it" in result.stdout
    assert "chroma-key" not in result.stdout
    (one,) = json.loads(invoke(foreign, "--json").stdout)
    assert (one["passed"], one["proven_ours"]) == (False, False)
    ours_by_name = foreign.rename(tmp_path / "camera_green.mp4") if name == "camera.mp4" else None
    if ours_by_name:
        result = invoke(ours_by_name)
        assert result.exit_code == 0 and "not proven" in result.stdout and "all good" not in result.stdout


def test_one_changed_byte_is_found(made: Path) -> None:
    data = bytearray(made.read_bytes())
    data[len(data) // 2] ^= 1
    made.write_bytes(data)
    result = invoke(made)
    assert result.exit_code == 1 and "it was changed" in result.stdout


def test_another_source_is_found(made: Path, clip: GetClip) -> None:
    result = invoke(made, "--source", clip("vfr"))
    assert result.exit_code == 1 and "vfr.mp4 is not the file" in result.stdout


@pytest.mark.parametrize(
    "damage",
    [
        {"input": ["plain.mp4"]},
        {"sha256": 5},
        {"format": ["prores"]},
        {"span": ["a", None]},
        {"options": {"fps": float("inf")}},
    ],
    ids=lambda damage: next(iter(damage)),
)
def test_what_a_damaged_receipt_says_is_passed_over(made: Path, damage: dict[str, object]) -> None:
    receipt = made.with_suffix(".json")
    told = json.loads(receipt.read_text())
    told["outputs"][made.name] |= damage
    receipt.write_text(json.dumps(told))
    result = invoke(made, "--source", made.with_name("plain.mp4"))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "alpha" in result.stdout


def test_json_is_for_programs(made: Path) -> None:
    result = invoke(made, made, "--json")
    whole: list[dict[str, Any]] = json.loads(result.stdout)
    assert [one["passed"] for one in whole] == [True, True]
    assert {check["name"] for check in whole[0]["checks"]} >= {"bytes", "codec", "frames", "times", "alpha", "sound"}


def test_a_terminal_without_unicode_gets_plain_signs(made: Path) -> None:
    command = [sys.executable, "-m", "birefvideo", "verify", str(made)]
    done = subprocess.run(command, capture_output=True, env={"PYTHONIOENCODING": "ascii", "PATH": ""}, check=True)
    assert b"ok   frames" in done.stdout and b"\xe2" not in done.stdout


def test_bad_arguments_give_one_line(made: Path, clip: GetClip, tmp_path: Path) -> None:
    (tmp_path / "clip.xyz").write_bytes(b"x")
    for arguments, code in (
        ([tmp_path / "clip.xyz"], 2),
        ([tmp_path / "gone.xyz"], 1),
        ([made, "--to", "betamax"], 2),
        ([made, "--source", tmp_path / "gone.mp4"], 1),
        ([made, "--source", clip("plain"), "--start", "soon"], 2),
        ([made, "--start", "0.1"], 2),
    ):
        result = invoke(*arguments)
        assert (result.exit_code, len(result.stderr.splitlines())) == (code, 1), result.output
    both = invoke(tmp_path / "clip.xyz", made)
    assert both.exit_code == 2 and "all good" in both.stdout, "one that cannot be read does not keep the next from it"
    made.with_name("two words_alpha.mov").touch()
    split = invoke(made.with_name("two"), "words_alpha.mov")
    assert split.exit_code == 1 and "put quotes around" in split.stderr and not split.stdout
    missing = invoke(tmp_path / "gone_alpha.mov")
    assert missing.exit_code == 1 and "does not exist" in missing.stdout
    made.unlink()  # its receipt is still there
    missing = invoke(made)
    assert missing.exit_code == 1 and "does not exist" in missing.stdout


@pytest.mark.parametrize("name", ["png", "exr"])
def test_folders_of_pictures_are_proven_too(copy: GetClip, network: Path, name: str) -> None:
    source = copy("vfr")
    (folder,) = birefvideo.matte(source, to=[name], model=str(network)).outputs
    result = invoke(folder, "--source", source)
    assert result.exit_code == 0, result.output
    next(folder.glob("*_000004.*")).unlink()
    assert invoke(folder).exit_code == 1
    shutil.rmtree(folder)


def test_alpha_is_read_from_every_layout() -> None:
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (16, 1))
    rgba = np.dstack([np.full((16, 64, 3), 120, np.uint8), ramp])
    frame = av.VideoFrame.from_ndarray(rgba, format="rgba")
    for pix_fmt in ("rgba", "argb", "rgba64le", "rgba64be", "yuva444p", "yuva420p", "gbrap", "gbrap16le"):
        found = alpha_of(frame.reformat(format=pix_fmt, threads=1))
        assert found is not None and np.abs(found - ramp / 255).max() < 4 / 255, pix_fmt
    assert alpha_of(frame.reformat(format="yuv444p", threads=1)) is None
