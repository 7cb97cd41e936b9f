"""Commands that are run again: what receipts prove to be done is not made again, and changed inputs give nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

import birefvideo
from birefvideo.cli import app
from birefvideo.errors import InputError, OutputError
from birefvideo.jobs import plan

GetClip = Callable[[str], Path]


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of four frames at 24 a second."""
    monkeypatch.setattr(plan, "SEGMENT_SECONDS", Fraction(1, 6))
    monkeypatch.setattr(plan, "SHORTEST_TAIL", Fraction(1, 12))


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["matte", *map(str, arguments), "--to", "matte"])


def made_at(*outputs: Path) -> list[int]:
    return [output.stat().st_ino for output in outputs]


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_what_a_stopped_command_had_finished_is_skipped_with_a_word(
    copy: GetClip, network: Path, more: list[str]
) -> None:
    first = copy("one_frame")
    second = Path(shutil.copy(first, first.with_name("second.mp4")))
    done, missing = (source.with_name(f"{source.stem}_matte.mp4") for source in (first, second))
    assert invoke(first, second, "--model", network).exit_code == 0
    missing.unlink()
    before = made_at(done)
    result = invoke(first, second, "--model", network, *more)
    assert result.exit_code == 0, result.output
    assert "one_frame.mp4: done already" in result.stdout and "second.mp4: done already" not in result.stdout
    assert made_at(done) == before and missing.exists()


def test_one_clip_is_done_already_unless_it_is_to_be_overwritten(copy: GetClip, network: Path) -> None:
    source = copy("one_frame")
    output = source.with_name("one_frame_matte.mp4")
    assert invoke(source, "--model", network).exit_code == 0
    before = made_at(output)
    again = invoke(source, "--model", network)
    assert (again.exit_code, made_at(output)) == (0, before) and "done already" in again.stdout
    shutil.copyfile(source, source.with_name("copy.mp4"))
    source.with_name("copy.mp4").replace(source)
    assert invoke(source, "--model", network).exit_code == 0, "a copy of the input is the same input"
    assert invoke(source, "--model", network, "--quiet").output == ""
    again = invoke(source, "--model", network, "--overwrite")
    assert again.exit_code == 0 and "done already" not in again.stdout and made_at(output) != before


def test_what_an_earlier_run_had_to_tell_is_told_again(
    copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = copy("one_frame")
    with monkeypatch.context() as patched:
        patched.setattr("birefvideo.jobs.doubts.LEAST_COVERAGE", 1.1)
        assert "found no person" in invoke(source, "--model", network).stdout
    assert "found no person" in invoke(source, "--model", network).stdout


@pytest.mark.parametrize("change", ["output", "input", "option", "receipt"])
def test_what_is_not_the_same_job_is_not_done(copy: GetClip, network: Path, change: str) -> None:
    source = copy("one_frame")
    (output,) = birefvideo.matte(source, to="matte", model=str(network)).outputs
    if change == "receipt":
        source.with_name("one_frame_matte.json").unlink()
    elif change != "option":
        path = output if change == "output" else source
        path.write_bytes(path.read_bytes() + bytes(8))
    with pytest.raises(OutputError, match="exists already"):
        birefvideo.matte(source, to="matte", model=str(network), smooth=1 if change == "option" else 2)


def test_more_outputs_than_before_are_not_done(copy: GetClip, network: Path) -> None:
    source = copy("one_frame")
    birefvideo.matte(source, to=["matte", "green"], model=str(network))
    assert birefvideo.matte(source, to="green", model=str(network)).was_done
    with pytest.raises(OutputError, match="exists already"):
        birefvideo.matte(source, to=["matte", "prores"], model=str(network))


class _KilledError(BaseException):
    """Stands for a kill."""


@pytest.mark.parametrize("receipts", [True, False])
def test_a_kill_while_the_finished_job_is_removed_is_cleared_by_the_same_command(
    copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch, receipts: bool
) -> None:
    def killed(*_: object) -> None:
        raise _KilledError

    source = copy("one_frame")
    folder = source.with_name("one_frame.birefvideo")
    with monkeypatch.context() as patched, pytest.raises(_KilledError):
        patched.setattr("birefvideo.jobs.folder.remove_lock", killed)
        birefvideo.matte(source, to="matte", model=str(network), receipts=receipts)
    assert folder.exists()
    if receipts:
        assert birefvideo.matte(source, to="matte", model=str(network)).was_done
    else:
        with pytest.raises(OutputError, match="exists already"):
            birefvideo.matte(source, to="matte", model=str(network))
    assert not folder.exists()


def changed_at(frame: int, change: Callable[[], object]) -> Callable[[], None]:
    """A progress callback that changes something at a frame."""
    seen: list[int] = []

    def progress() -> None:
        seen.append(1)
        if len(seen) == frame:
            change()

    return progress


@pytest.mark.parametrize("how", ["touched", "longer", "replaced", "by another clip"])
@pytest.mark.parametrize("frame", [6, 24])
def test_an_input_that_changes_while_the_job_runs_gives_nothing(
    clip: GetClip, copy: GetClip, network: Path, short_segments: None, frame: int, how: str
) -> None:
    source = copy("short_gops")

    def change() -> None:
        if how == "touched":
            source.touch()
        elif how == "longer":
            with source.open("ab") as file:
                file.write(bytes(9))
        else:
            other = source.with_name("other")
            shutil.copy(clip("vfr" if how == "by another clip" else "short_gops"), other)
            os.utime(other, ns=(1, 1))
            other.replace(source)

    with pytest.raises(InputError, match=r"short_gops\.mp4 was changed while the job ran: nothing was delivered"):
        birefvideo.matte(source, to="matte", model=str(network), progress=changed_at(frame, change))
    assert [path.name for path in source.parent.iterdir()] == [source.name], "mixed parts are not kept either"


def test_a_background_that_changes_while_the_job_runs_gives_nothing(
    copy: GetClip, network: Path, tmp_path: Path
) -> None:
    source, below = copy("plain"), tmp_path / "below.png"
    picture = np.zeros((8, 8, 3), np.uint8)
    cv2.imwrite(str(below), picture)

    def change() -> None:
        cv2.imwrite(str(below), picture + 255)

    with pytest.raises(InputError, match=r"below\.png was changed while the job ran"):
        birefvideo.matte(source, to="green", model=str(network), background=below, progress=changed_at(9, change))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["below.png", "plain.mp4"]


def test_a_picture_that_is_replaced_while_the_job_runs_gives_nothing(network: Path, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(3):
        cv2.imwrite(str(frames / f"{number:03d}.png"), np.full((32, 48, 3), 40 * number, np.uint8))

    def change() -> None:
        cv2.imwrite(str(frames / "001.png"), np.full((32, 48, 3), 255, np.uint8))

    with pytest.raises(InputError, match=r"frames was changed while the job ran"):
        birefvideo.matte(frames, to="matte", model=str(network), progress=changed_at(3, change))
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]


def test_an_input_that_is_away_for_a_while_costs_no_finished_part(
    copy: GetClip, network: Path, short_segments: None
) -> None:
    source = copy("short_gops")
    away = source.with_name("away.mp4")
    with pytest.raises(InputError, match=r"cannot be read any more|does not exist"):
        birefvideo.matte(source, to="matte", model=str(network), progress=changed_at(13, lambda: source.rename(away)))
    away.rename(source)
    seen: list[int] = []
    made = birefvideo.matte(source, to="matte", model=str(network), progress=lambda: seen.append(1))
    assert (made.frames, len(seen) <= 12) == (24, True)


@pytest.mark.parametrize("to", ["png", "tiff", "exr", "webp-anim"])
def test_a_photo_s_job_leaves_nothing_but_its_output(network: Path, tmp_path: Path, to: str) -> None:
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.full((32, 48, 3), 90, np.uint8))
    (output,) = birefvideo.matte(photo, to=to, model=str(network), receipts=False).outputs
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["photo.png", output.name])
