"""`birefvideo matte` from the outside: what it writes, and that nothing of it depends on how the work went."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import write_clip
from sounds import write_sound_clip
from typer.testing import CliRunner, Result

import birefvideo
from birefvideo.cli import app
from birefvideo.errors import InputError
from birefvideo.jobs import doubts, plan
from birefvideo.matting import engine
from birefvideo.matting.foreground import OPAQUE
from birefvideo.media.writing.sinks import FileSink
from birefvideo.planes import plane_array

GetClip = Callable[[str], Path]
ALL_FORMATS = ("prores", "webm", "green", "matte")


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["matte", *map(str, arguments)])


def times(path: Path, kind: str = "video") -> list[Fraction]:
    """Presentation times in seconds, sorted, of the packets of the first video or audio stream."""
    with av.open(str(path)) as container:
        stream = container.streams.get(**{kind: 0})[0]
        return sorted(p.pts * p.time_base for p in container.demux(stream) if p.pts is not None)


def leftovers(folder: Path, *allowed: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path not in allowed)


def test_default_outputs_lie_beside_the_input_with_its_frames_times_and_sound(copy: GetClip, network: Path) -> None:
    source = copy("plain")
    result = invoke(source, "--model", network)
    assert result.exit_code == 0, result.output
    assert leftovers(source.parent, source) == [
        "plain_alpha.json",
        "plain_alpha.mov",
        "plain_green.json",
        "plain_green.mp4",
    ]
    for name in ("plain_alpha.mov", "plain_green.mp4"):
        output = source.parent / name
        assert times(output) == times(source)
        assert times(output, "audio")[-1] == pytest.approx(times(source, "audio")[-1], abs=0.03)
        assert name in result.stdout


@pytest.mark.parametrize(
    "name",
    [
        *("vfr", "rotated_270"),
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("delayed", "odd_444", "hdr", "open_gop")),
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("one_frame", "webm")),
    ],
)
def test_every_format_keeps_the_times_of_every_kind_of_clip(copy: GetClip, network: Path, name: str) -> None:
    source = copy(name)
    made = birefvideo.matte(source, to=ALL_FORMATS, model=str(network))
    first = times(source)[0]
    earliest = min([first, *(times(source, "audio")[:1] if _has_audio(source) else [])])
    origin = max(earliest, min(first, Fraction(0)))  # the priming of an audio codec lies before 0
    with av.open(str(source)) as container:
        count = sum(1 for _ in container.decode(video=0))
    assert made.frames == count
    for output in made.outputs:
        wanted = [float(t - origin) for t in times(source)]
        assert [float(t) for t in times(output)] == pytest.approx(wanted, abs=1e-3), output.name


def _has_audio(path: Path) -> bool:
    with av.open(str(path)) as container:
        return bool(container.streams.audio)


def test_one_decode_feeds_all_outputs(copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    real = birefvideo.pipeline.read_frames  # type: ignore[attr-defined]

    def counting(*arguments: Any, **more: Any) -> Iterator[Any]:
        for frame in real(*arguments, **more):
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr("birefvideo.pipeline.read_frames", counting)
    made = birefvideo.matte(copy("plain"), to=ALL_FORMATS, model=str(network))
    assert len(decoded) == made.frames


def test_trimming_keeps_the_frames_between_the_times(copy: GetClip, network: Path) -> None:
    source = copy("plain")
    result = invoke(source, "--model", network, "--start", "0:00.125", "--end", "0.3", "--to", "prores")
    assert result.exit_code == 0, result.output
    kept = [t for t in times(source) if Fraction(125, 1000) <= t < Fraction(3, 10)]
    assert times(source.with_name("plain_alpha.mov")) == [t - kept[0] for t in kept]


def test_segments_give_the_alpha_of_the_whole(
    clip: GetClip, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = birefvideo.matte(clip("plain"), tmp_path / "whole", to=["prores"], model=str(network))
    monkeypatch.setattr(plan, "SEGMENT_SECONDS", Fraction(1, 6))
    monkeypatch.setattr(plan, "SHORTEST_TAIL", Fraction(1, 12))
    pieces = birefvideo.matte(clip("plain"), tmp_path / "pieces", to=["prores"], model=str(network))
    for one, other in zip(planes(whole.outputs[0]), planes(pieces.outputs[0]), strict=True):
        assert (one == other).all()


def planes(path: Path) -> list[np.ndarray]:
    """Y, U, V and alpha of every frame of a ProRes 4444 file, stacked."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert {frame.format.name for frame in frames} == {"yuva444p12le"}
    return [np.stack([plane_array(frame, i) for i in range(4)]) for frame in frames]


def test_opaque_pixels_are_the_sources_own(clip: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The network's own alpha is soft everywhere; pull most of it to 0 and 1.
    monkeypatch.setattr(engine, "solidified", lambda alpha: ((alpha - alpha.mean()) * 2000 + 0.5).clamp_(0, 1))
    frame = next(iter(birefvideo.mattes(clip("plain"), model=str(network), smooth=0)))
    solid = frame.alpha >= OPAQUE
    assert 20 < solid.sum() < solid.size
    luma, source = plane_array(frame.foreground, 0), plane_array(frame.picture, 0)
    assert (luma[solid] == source[solid]).all()
    assert (luma[~solid] != source[~solid]).any()


BROKEN = {
    "audio_only": "no video",
    "no_frames": "no",
    "without_moov": "index",
    "undecodable": "decode",
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_unusable_input_gives_one_line_and_leaves_nothing(copy: GetClip, network: Path, name: str) -> None:
    source = copy(name)
    result = invoke(source, "--model", network)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert source.name in result.stderr
    assert leftovers(source.parent, source) == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing.mp4"], 1, "does not exist"),
        (["notes.txt"], 1, "not a video"),
        (["empty"], 1, "holds no video"),
        (["plain.mp4", "--background", "greenish"], 2, "greenish"),
        (["plain.mp4", "--model", "birefnet-9000"], 2, "portrait"),
        (["plain.mp4", "--model", "portrait"], 1, "not on this machine"),
        (["plain.mp4", "--model", "torn.safetensors", "-o", "new/folder"], 1, "torn.safetensors"),
        (["plain.mp4", "--start", "2", "--end", "1"], 2, "not after"),
        (["plain.mp4", "--start", "1000"], 2, "past the end"),
        (["plain.mp4", "--start", "soon"], 2, "soon"),
        (["plain.mp4", "--start", "1e400"], 2, "1e400"),
        (["plain.mp4", "--end", "1:75"], 2, "1:75"),
        (["plain.mp4", "-o", "out", "--background", "notes.txt"], 2, "notes.txt"),
        (["plain.mp4", "--to", "mpeg"], 2, "prores"),
        (["plain.mp4", "--smooth", "-1"], 2, "--smooth"),
        (["plain.mp4", "--batch", "0"], 2, "--batch"),
        (["plain.mp4", "--device", "gpu"], 2, "cuda"),
        (["plain.mp4", "-o", "out.webm", "--to", "prores"], 2, "does not go with"),
        (["plain.mp4", "-o", "out.mov", "--to", "prores", "--to", "green"], 2, "name a folder"),
        (["plain.mp4", "-o", "plain.mp4"], 1, "input itself"),
        (["plain.mp4", "-o", "taken.mov"], 1, "--overwrite"),
        (["plain.mp4", "-o", "notes.txt/out"], 1, "another folder"),
        ([""], 2, "empty"),
        (["plain.mp4", "--model", ""], 2, "unknown model ''"),
        (["plain.mp4", "-o", ""], 2, "empty"),
    ],
)
def test_bad_input_gives_one_line_with_the_remedy(
    clip: GetClip,
    network: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    shutil.copy(clip("plain"), "plain.mp4")
    Path("notes.txt").write_text("not a video\n")
    Path("taken.mov").write_text("precious\n")
    Path("torn.safetensors").write_text("half a file")
    Path("empty").mkdir()
    before = leftovers(tmp_path)
    result = invoke(*arguments, *([] if "--model" in arguments else ["--model", network]))
    assert result.exit_code == code, result.output
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert words in result.stderr
    assert leftovers(tmp_path) == before
    assert Path("taken.mov").read_text() == "precious\n"


def test_one_failure_does_not_stop_the_rest(copy: GetClip, network: Path, tmp_path: Path) -> None:
    good, bad, empty = copy("plain"), copy("audio_only"), tmp_path / "empty"
    empty.mkdir()
    result = invoke(bad, good, empty, "--model", network, "--to", "matte")
    assert result.exit_code == 1
    assert good.with_name("plain_matte.mp4").exists()
    assert len([line for line in result.stderr.splitlines() if line.startswith("birefvideo: ")]) == 3
    assert "2 of 3 inputs failed" in result.stderr


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["my", "clip.mp4"], "'my clip.mp4' does: put quotes around a name with spaces"),
        (["clip.mp4", "shots/a", "long", "take.mov"], "'shots/a long  take.mov' does: put quotes"),
        (["clip.mp4", "gone.mp4"], "check the name and the folder"),
        (["clip.mp4", "clpi.mp4"], "did you mean 'clip.mp4'?"),
        (["clip.mp4", "shot/a"], "did you mean 'shots'?"),
        (["clip.mp4", "frames/%04d.png"], "there are no pictures frames/%04d.png"),
        (["clip.mp4", "tape://shelf/abc.mp4"], "tape://shelf/abc.mp4 begins with tape://, which is no kind of store"),
    ],
)
def test_nothing_is_made_where_one_input_is_not_there(
    copy: GetClip, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str], hint: str
) -> None:
    copy("one_frame").rename(tmp_path / "clip.mp4")
    (tmp_path / "shots").mkdir()
    for name in ("my clip.mp4", "shots/a long  take.mov"):
        shutil.copy(tmp_path / "clip.mp4", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    before = leftovers(tmp_path)
    result = invoke(*words)
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1) and hint in result.stderr, result.stderr
    assert leftovers(tmp_path) == before and not result.stdout


def test_a_folder_is_searched_for_clips_but_not_for_our_own_outputs(copy: GetClip, network: Path) -> None:
    folder = copy("plain").parent
    copy("vfr")
    (folder / "._vfr.mp4").write_bytes(b"what macOS leaves on other systems' disks")
    for _ in range(2):
        result = invoke(folder, "--model", network, "--to", "matte", "--overwrite", "--review")
        assert result.exit_code == 0, result.output
        assert sorted(p.name for p in folder.glob("*_matte*")) == [
            "plain_matte.json",
            "plain_matte.mp4",
            "vfr_matte.json",
            "vfr_matte.mp4",
        ]


def test_corrupt_packets_are_skipped_counted_and_told(copy: GetClip, network: Path) -> None:
    source = copy("corrupt_intra")
    result = invoke(source, "--model", network, "--to", "matte")
    assert result.exit_code == 3, result.output
    assert "1 corrupt packet" in result.stdout
    assert len(times(source.with_name("corrupt_intra_matte.mp4"))) == len(times(source)) - 1
    entry = json.loads(source.with_name("corrupt_intra_matte.json").read_text())["outputs"]["corrupt_intra_matte.mp4"]
    assert entry["losses"] == ["1 corrupt packet skipped: frames are missing"]


@pytest.mark.parametrize("name", ["corrupt_intra", "truncated", "truncated_mp4"])
def test_strict_delivers_nothing_of_a_clip_that_lacks_frames(copy: GetClip, network: Path, name: str) -> None:
    source = copy(name)
    result = invoke(source, "--model", network, "--to", "matte", "--strict")
    assert result.exit_code == 1, result.output
    line = result.stderr.splitlines()[-1]
    assert "is not whole" in line
    assert "leave out --strict" in line
    assert not source.with_name(f"{name}_matte.mp4").exists()


def test_a_truncated_clip_is_done_and_told_with_an_exit_code_of_its_own(copy: GetClip, network: Path) -> None:
    result = invoke(copy("truncated"), copy("one_frame"), "--model", network, "--to", "matte")
    assert result.exit_code == 3, result.output
    assert "it looks truncated, about 5 frames are missing" in result.stdout


def test_lost_sound_is_a_loss_told_once(tmp_path: Path, network: Path) -> None:
    source = write_sound_clip(tmp_path / "a.mp4", "aac", seconds=1, frames=24)
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        places = [(p.pos, p.size) for p in container.demux(audio=0) if p.size and p.pos is not None]
    for position, size in places[20:25]:
        data[position : position + size] = bytes([0xFF]) * size
    source.write_bytes(data)
    arguments = (source, "--model", network, "--to", "prores,webm")
    refused = invoke(*arguments, "--strict")
    assert refused.exit_code == 1 and "damaged packet" in refused.output
    assert not source.with_name("a_alpha.mov").exists()
    result = invoke(*arguments)
    assert result.exit_code == 3, result.output
    for name, said in (("a_alpha.mov", "copied as they are"), ("a_alpha.webm", "passed over")):
        assert result.output.count(f"note: {name}: audio stream 1 (aac): 5 damaged packets {said}") == 1
    assert source.with_name("a_alpha.mov").exists()


def test_strict_makes_no_difference_to_a_whole_clip(copy: GetClip, network: Path) -> None:
    made = birefvideo.matte(copy("vfr"), to="matte", model=str(network), strict=True)
    assert made.losses == []


def test_a_clip_without_a_person_is_told(copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doubts, "LEAST_COVERAGE", 1.1)
    result = invoke(copy("plain"), "--model", network, "--to", "matte")
    assert "found no person" in result.stdout


@pytest.mark.parametrize("size", [(2, 2), (6, 10), (400, 16)])
def test_tiny_and_extreme_pictures_work(network: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    source = write_clip(tmp_path / "tiny.mkv", size=size, frames=3, codec="ffv1", audio_tracks=0)
    assert birefvideo.matte(source, to=ALL_FORMATS, model=str(network)).frames == 3


def test_one_format_may_be_given_as_text(copy: GetClip, network: Path) -> None:
    assert [o.name for o in birefvideo.matte(copy("one_frame"), to="matte", model=str(network)).outputs] == [
        "one_frame_matte.mp4"
    ]


def test_sigterm_ends_a_job_as_ctrl_c_does(clip: GetClip, network: Path, tmp_path: Path) -> None:
    source = Path(shutil.copy(clip("plain"), tmp_path / "clip.mp4"))
    code = (
        "import os, signal; import birefvideo.jobs.segment_work as r; from birefvideo.cli import main;"
        "r.matte_segment = lambda *a: os.kill(os.getpid(), signal.SIGTERM); main()"
    )
    arguments = ["matte", str(source), "--model", str(network)]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "birefvideo: stopped; nothing was finished yet"
    assert leftovers(tmp_path) == ["clip.mp4"]


def test_a_name_that_the_terminal_cannot_show_stops_no_job(clip: GetClip, network: Path, tmp_path: Path) -> None:
    source = Path(shutil.copy(clip("one_frame"), tmp_path / "ünï 人.mp4"))
    command = [sys.executable, "-m", "birefvideo", "matte", str(source), "--model", str(network), "--to", "matte"]
    done = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert source.with_name("ünï 人_matte.mp4").exists()


def test_what_the_terminal_obeys_in_a_name_is_not_printed(clip: GetClip, network: Path, tmp_path: Path) -> None:
    source = Path(shutil.copy(clip("one_frame"), tmp_path / "red\x1b[31m\nline.mp4"))
    result = invoke(source, "--model", network, "--to", "matte")
    assert result.exit_code == 0, result.output
    first, second, third = result.stdout.splitlines()[1:4]
    assert first.startswith("red?[31m?line.mp4: ") and second.startswith("  1 frame in ") and "red?[31m?line" in third
    assert "\x1b" not in invoke(source, "--model", network, "--to", "matte").stderr, "it exists already"


def test_quiet_prints_nothing(copy: GetClip, network: Path) -> None:
    result = invoke(copy("plain"), "--model", network, "--to", "matte", "--quiet")
    assert (result.exit_code, result.output) == (0, "")


class _BrokenError(Exception):
    """Stands for any fault of our own."""


def _failing(*_: object, **__: object) -> object:
    raise _BrokenError


@pytest.mark.parametrize(
    "stage",
    [
        "birefvideo.media.reading.decode.prepare",
        "birefvideo.matting.engine.Engine._infer",
        "birefvideo.matting.temporal_smoother._smooth",
        "birefvideo.matting.foreground.estimate_foreground",
        "birefvideo.media.writing.composer.OpaqueComposer.compose",
        "birefvideo.jobs.run.join",
        "birefvideo.jobs.run.verify",
    ],
)
def test_an_error_of_any_stage_ends_the_job_and_leaves_no_output(
    copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    source = copy("plain")
    monkeypatch.setattr(stage, _failing)
    with pytest.raises(_BrokenError):
        birefvideo.matte(source, model=str(network))
    assert not list(source.parent.glob("plain_*"))


def test_a_full_disk_ends_the_job_in_one_line(copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: FileSink, picture: object) -> None:
        raise birefvideo.errors.OutputError(f"cannot write {self.path}: No space left on device")

    source = copy("plain")
    monkeypatch.setattr(FileSink, "_encode", full)
    result = invoke(source, "--model", network)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].endswith("No space left on device")
    assert "Traceback" not in result.stderr
    assert leftovers(source.parent, source) == []


def test_mattes_is_lazy_and_can_be_left_early(clip: GetClip, network: Path) -> None:
    frames = birefvideo.mattes(clip("plain"), model=str(network))
    first = next(frames)
    assert first.alpha.shape == (first.picture.height, first.picture.width)
    assert first.alpha.dtype == np.float32
    assert first.foreground.format.name == "yuv444p"
    frames.close()


def test_mattes_of_a_missing_file_raises_at_the_first_frame(network: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        next(birefvideo.mattes("missing.mp4", model=str(network)))


def test_the_module_runs_and_help_needs_no_torch() -> None:
    code = (
        "import sys; from birefvideo.cli import app; app(['matte', '--help'], standalone_mode=False);"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    done = subprocess.run([sys.executable, "-m", "birefvideo", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("birefvideo ")
