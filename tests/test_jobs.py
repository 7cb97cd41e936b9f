"""Jobs that meet each other, earlier runs of themselves, and odd names."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from outputs import ANIMATIONS, SEQUENCES, WRITABLE, full_disk
from typer.testing import CliRunner, Result

import birefvideo
from birefvideo.cli import app
from birefvideo.errors import InputError, OutputError
from birefvideo.frames import Span
from birefvideo.jobs import manifest, plan, run
from birefvideo.jobs.plan import plan_segments
from birefvideo.jobs.receipt import claims_of, read, still_the_same
from birefvideo.media.format_table import format_for_suffix
from birefvideo.media.reading.probe import probe
from birefvideo.media.verification.verify_later import prove

GetClip = Callable[[str], Path]
ALL_FORMATS = tuple(row.name for row in (*WRITABLE, *SEQUENCES, *ANIMATIONS))


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of four frames at 24 a second."""
    monkeypatch.setattr(plan, "SEGMENT_SECONDS", Fraction(1, 6))
    monkeypatch.setattr(plan, "SHORTEST_TAIL", Fraction(1, 12))


@pytest.fixture
def source(clip: GetClip, tmp_path: Path) -> Path:
    """A clip of six segments in a folder of this test's own."""
    return Path(shutil.copy(clip("short_gops"), tmp_path / "take.mp4"))


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["matte", *map(str, arguments)])


class Stop:
    """A progress callback that interrupts the job at a frame, and counts."""

    def __init__(self, at: int = 1000) -> None:
        self.at, self.seen = at, 0

    def __call__(self) -> None:
        self.seen += 1
        if self.seen == self.at:
            raise KeyboardInterrupt


def stopped(source: Path, network: Path, **options: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        birefvideo.matte(source, model=str(network), progress=Stop(15), **options)


def frames_of_next_run(source: Path, network: Path, **options: Any) -> int:
    counted = Stop()
    birefvideo.matte(source, model=str(network), progress=counted, **options)
    return counted.seen


def contents(output: Path) -> dict[str, bytes]:
    """The bytes of a file, or of the files in a folder."""
    files = output.iterdir() if output.is_dir() else [output]
    return {path.name: path.read_bytes() for path in files}


def test_a_stopped_job_goes_on_and_ends_with_the_same_bytes(
    copy: GetClip, network: Path, tmp_path: Path, short_segments: None
) -> None:
    source = copy("short_gops")
    whole = birefvideo.matte(source, tmp_path / "whole", to=ALL_FORMATS, model=str(network))
    assert whole.frames == 24

    seen = []

    def stop_late() -> None:
        seen.append(1)
        if len(seen) == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        birefvideo.matte(source, tmp_path / "stopped", to=ALL_FORMATS, model=str(network), progress=stop_late)
    assert [path.name for path in (tmp_path / "stopped").iterdir()] == ["short_gops.birefvideo"]
    again = []
    made = birefvideo.matte(
        source, tmp_path / "stopped", to=ALL_FORMATS, model=str(network), progress=lambda: again.append(1)
    )
    assert 0 < len(again) <= 24 - 12, "finished segments are not computed again"
    for one, other in zip(whole.outputs, made.outputs, strict=True):
        assert contents(one) == contents(other), one.name
    assert not list((tmp_path / "stopped").glob("*.birefvideo"))


def test_a_part_that_is_no_movie_is_made_again(
    copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch, short_segments: None
) -> None:
    source = copy("plain")
    damaged = source.parent / "plain.birefvideo" / "part_00000_prores.mov"

    def damage(*_: object, **__: object) -> object:
        damaged.write_bytes(b"not a movie")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run, "join", damage)
        birefvideo.matte(source, to=["prores"], model=str(network))
    again: list[int] = []
    made = birefvideo.matte(source, to=["prores"], model=str(network), progress=lambda: again.append(1))
    assert (made.frames, len(again)) == (12, 4), "the other segments are not computed again"


def test_another_plan_does_not_reuse_the_parts_of_a_stopped_job(
    copy: GetClip, network: Path, short_segments: None
) -> None:
    source = copy("short_gops")
    count = iter(range(100))

    def stop() -> None:
        if next(count) == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        birefvideo.matte(source, model=str(network), progress=stop)
    with pytest.raises(OutputError, match=r"12 finished frames of a stopped job with smooth: run that command again"):
        birefvideo.matte(source, model=str(network), smooth=0)
    frames = []
    birefvideo.matte(source, model=str(network), smooth=0, overwrite=True, progress=lambda: frames.append(1))
    assert len(frames) == 24


def test_a_folder_in_the_way_is_not_touched(copy: GetClip, network: Path) -> None:
    source = copy("plain")
    foreign = source.parent / "plain.birefvideo"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("only copy")
    result = invoke(source, "--model", network)
    assert result.exit_code == 1
    assert (foreign / "thesis.txt").read_text() == "only copy"


@pytest.mark.parametrize("left", [[], ["lock"], ["lock", "manifest.json.birefvideo-tmp"]])
def test_a_folder_left_by_a_kill_before_its_manifest_does_not_block(
    copy: GetClip, network: Path, left: list[str]
) -> None:
    source = copy("one_frame")
    folder = source.parent / "one_frame.birefvideo"
    folder.mkdir()
    for name in left:
        (folder / name).touch()
    made = birefvideo.matte(source, model=str(network))
    assert made.frames == 1
    assert not folder.exists()


@pytest.mark.parametrize("name", ["00000.mp4", "part_00000_green.mp4", "joined.mp4", "lock.mp4"])
def test_no_name_of_a_clip_collides_with_the_jobs_own_files(
    source: Path, network: Path, short_segments: None, name: str
) -> None:
    renamed = source.rename(source.with_name(name))
    result = birefvideo.matte(renamed, model=str(network), to=["green", "matte"])
    assert result.frames == 24
    assert all(output.exists() for output in result.outputs)


@pytest.mark.parametrize(
    ("module", "attribute"),
    [("birefvideo.jobs.manifest.cv2", "__version__"), ("birefvideo.jobs.manifest.np", "__version__")],
)
def test_another_version_does_not_go_on_with_old_parts(
    source: Path, network: Path, short_segments: None, monkeypatch: pytest.MonkeyPatch, module: str, attribute: str
) -> None:
    stopped(source, network)
    manifest.versions.cache_clear()
    monkeypatch.setattr(f"{module}.{attribute}", "other")
    assert frames_of_next_run(source, network) == 24
    manifest.versions.cache_clear()


def test_another_input_size_of_the_same_weights_does_not_go_on_with_old_parts(
    source: Path, network: Path, short_segments: None, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(network, tmp_path / "own"))
    stopped(source, own)
    config = own / "config.json"
    config.write_text(config.read_text().replace('"long_side": 64', '"long_side": 96'))
    assert frames_of_next_run(source, own) == 24


def test_a_changed_input_does_not_go_on_with_old_parts(source: Path, network: Path, short_segments: None) -> None:
    stopped(source, network)
    source.touch()
    assert frames_of_next_run(source, network) == 24


@pytest.mark.parametrize(
    "damage",
    [b"[1]", *(pytest.param(d, marks=pytest.mark.slow) for d in (b"", b"{}", b'{"decode": {}, "extra": 1}'))],
)
def test_an_unreadable_report_is_no_finished_segment(
    source: Path, network: Path, short_segments: None, damage: bytes
) -> None:
    stopped(source, network)
    folder = source.with_name("take.birefvideo")
    (folder / "part_00001.json").write_bytes(damage)
    assert frames_of_next_run(source, network) == 24 - 12 + 4


def test_a_job_killed_between_the_renames_goes_on_without_overwrite(
    source: Path, network: Path, short_segments: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Path.replace, Stop(2)

    def dies(self: Path, target: Path) -> Path:
        if self.parent.name.startswith("output_") and self.parent != target.parent:
            calls()
        return real(self, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "replace", dies)
        birefvideo.matte(source, model=str(network))
    assert source.with_name("take_alpha.mov").exists() and not source.with_name("take_green.mp4").exists()
    assert frames_of_next_run(source, network) == 0
    assert source.with_name("take_green.mp4").exists()


def test_a_file_that_appears_while_the_job_runs_is_not_overwritten(
    source: Path, network: Path, short_segments: None
) -> None:
    mine = source.with_name("take_matte.mp4")
    with pytest.raises(OutputError, match="appeared meanwhile"):
        birefvideo.matte(source, model=str(network), to=["matte"], progress=lambda: mine.write_text("mine"))
    assert mine.read_text() == "mine"
    mine.unlink()
    assert frames_of_next_run(source, network, to=["matte"]) == 0


def test_a_second_job_on_the_same_outputs_is_refused(source: Path, network: Path) -> None:
    frames: Iterator[None] = iter([None])
    errors: list[str] = []

    def second() -> None:
        if next(frames, 1) is None:
            with pytest.raises(OutputError) as error:
                birefvideo.matte(source, model=str(network))
            errors.append(str(error.value))

    birefvideo.matte(source, model=str(network), progress=second)
    assert len(errors) == 1 and "another birefvideo" in errors[0]


def test_a_disk_without_locks_is_told_from_a_second_job(
    source: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("birefvideo.jobs.folder_lock._lock", refuse)
    with pytest.raises(OutputError, match=r"cannot be locked \(No locks available\): write to another disk"):
        birefvideo.matte(source, model=str(network))
    assert not list(source.parent.glob("*.birefvideo"))


def test_a_failed_verification_is_not_repeated_with_the_same_parts(
    source: Path, network: Path, short_segments: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object, **more: object) -> None:
        raise OutputError("take_alpha.mov failed verification")

    with monkeypatch.context() as patched, pytest.raises(OutputError):
        patched.setattr("birefvideo.jobs.run.verify", fails)
        birefvideo.matte(source, model=str(network))
    assert frames_of_next_run(source, network) == 24


def test_times_between_two_frames_leave_nothing(source: Path, network: Path) -> None:
    with pytest.raises(InputError, match="no frame between"):
        birefvideo.matte(source, model=str(network), start=0.001, end=0.002)
    assert [path.name for path in source.parent.iterdir()] == [source.name]


def test_a_disk_that_is_full_from_the_start_leaves_nothing(source: Path, network: Path) -> None:
    with full_disk(0), pytest.raises(OutputError, match="make room"):
        birefvideo.matte(source, model=str(network))
    assert [path.name for path in source.parent.iterdir()] == [source.name]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
def test_a_name_that_is_not_utf8_goes_all_the_way(clip: GetClip, network: Path, tmp_path: Path) -> None:
    source = Path(shutil.copy(clip("one_frame"), tmp_path / os.fsdecode(b"caf\xe9 100%.mp4")))
    made = birefvideo.matte(source, to=["prores", "png"], model=str(network), review=True)
    assert made.review is not None and made.review.exists()
    for output in made.outputs:
        entry = read(output)
        assert [check.passed for check in still_the_same(output, source, entry)] == [True, True]
        proof = prove(output, format_for_suffix(output), source, claims_of(entry))
        assert {check.name: check.passed for check in proof}["frames"]


def test_a_name_too_long_for_its_outputs_is_told(source: Path, network: Path) -> None:
    long = source.rename(source.with_name("n" * 249 + ".mp4"))
    with pytest.raises(OutputError, match="too long"):
        birefvideo.matte(long, model=str(network))
    assert [path.name for path in source.parent.iterdir()] == [long.name]


def test_inputs_that_would_write_the_same_file_are_refused_before_any_work(source: Path, network: Path) -> None:
    other = Path(shutil.copy(source, source.with_suffix(".mov")))
    result = invoke(source, other, "--model", network)
    assert result.exit_code == 2 and "both write" in result.stderr
    mine = Path(shutil.copy(source, source.with_name("take_green.mp4")))
    before = mine.read_bytes()
    result = invoke(source, mine, "--model", network, "--overwrite")
    assert result.exit_code == 1 and "overwrite the input" in result.stderr
    assert mine.read_bytes() == before and source.with_name("take_green_alpha.mov").exists()  # which was not concerned


def test_a_bad_option_is_told_once_whatever_the_number_of_inputs(source: Path, network: Path) -> None:
    other = Path(shutil.copy(source, source.with_name("other.mp4")))
    result = invoke(source, other, "--model", network, "--to", "mpeg")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)


def test_a_fault_of_our_own_in_one_clip_does_not_stop_the_rest(
    source: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Path(shutil.copy(source, source.with_name("other.mp4")))
    real = birefvideo.jobs.checked_input.probe  # type: ignore[attr-defined]

    def faulty(path: Path) -> object:
        if path == source:
            raise ZeroDivisionError("a bug")
        return real(path)

    monkeypatch.setattr("birefvideo.jobs.checked_input.probe", faulty)
    result = invoke(source, other, "--model", network, "--to", "matte")
    assert result.exit_code == 1 and "--debug" in result.stderr and "Traceback" not in result.stderr
    assert other.with_name("other_matte.mp4").exists()


def test_segments_cover_the_span_and_no_more_than_the_clip(clip: GetClip) -> None:
    info = replace(probe(clip("plain")), duration=Fraction(65), time_base=Fraction(1, 1000), start=500)
    info = replace(info, stretches=((500, 65_400),))
    segments = plan_segments(info, Span())
    assert [s.span.start for s in segments] == [None, 10500, 20500, 30500, 40500, 50500, 60500]
    assert all(a.span.end == b.span.start for a, b in pairwise(segments))
    assert segments[-1].span.end is None
    far = plan_segments(info, Span(500, 36_000_000))
    assert len(far) == 7 and far[-1].span.end == 36_000_000
    assert len(plan_segments(replace(info, duration=Fraction(0)), Span())) == 1


def test_stretches_without_pictures_have_no_segments(clip: GetClip) -> None:
    info = replace(probe(clip("plain")), duration=Fraction(10**9), time_base=Fraction(1, 1000), start=0)
    late = 10**12 - 1000
    sparse = replace(info, stretches=((0, 12_000), (95_000, 101_000), (late, late + 900)))
    starts = [segment.span.start for segment in plan_segments(sparse, Span())]
    assert starts == [None, 10_000, 90_000, 100_000, 999_999_990_000]
    # Where packets have no times, the head's length makes no more segments than there are pictures.
    assert len(plan_segments(replace(info, stretches=()), Span())) == info.frame_count + 1


def test_damaged_frames_are_told(clip: GetClip, tmp_path: Path, network: Path) -> None:
    source = tmp_path / "damaged.mp4"
    data = bytearray(clip("short_gops").read_bytes())
    start = data.index(b"mdat") + 400
    for at in range(start, start + 900, 37):
        data[at] ^= 0x55
    source.write_bytes(data)
    result = birefvideo.matte(source, to=["matte"], model=str(network))
    assert any("damaged" in line or "corrupt" in line for line in result.warnings), result.warnings
