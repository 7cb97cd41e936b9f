"""Whose a job's folder is, what of it may go, and that a kill at any step leaves one that the next command clears."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import birefvideo
from birefvideo import own_files
from birefvideo.cli import app
from birefvideo.errors import OutputError
from birefvideo.frames import Span
from birefvideo.jobs import run
from birefvideo.jobs.check_targets import check_targets
from birefvideo.jobs.folder import JobFolder, clear_remains
from birefvideo.jobs.folder_files import Owner, owner_of
from birefvideo.jobs.manifest import MANIFEST, fingerprints
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import Plan, Segment, Target
from birefvideo.media.format_table import get_format
from birefvideo.media.reading.probe import probe
from birefvideo.media.sequence_json import SIDECAR
from birefvideo.media.writing.join import join
from birefvideo.pipeline import SegmentReport

GetClip = Callable[[str], Path]
links = pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
ATTEMPT = "0123456789ab"
SEGMENTS = (Segment(0, Span(None, 5)), Segment(1, Span(5, None)))


class _Killed(BaseException):
    """Stands for a kill."""


def plan_of(source: Path, out: Path, *formats: str, smooth: int = 2) -> Plan:
    options = Options(smooth=smooth)
    targets = tuple(Target(get_format(name), out / f"clip{get_format(name).suffix}") for name in formats or ("matte",))
    folder = out / "clip.birefvideo"
    return Plan(probe(source), targets, Span(), SEGMENTS, options, folder, fingerprints(source, options), {"batch": 1})


@pytest.fixture
def plan(clip: GetClip, tmp_path: Path) -> Plan:
    return plan_of(clip("one_frame"), tmp_path)


def put(path: Path, is_folder: bool) -> None:
    """Write a part or an output."""
    if not is_folder:
        path.write_bytes(b"frames")
        return
    path.mkdir()
    (path / "000000.png").write_bytes(b"frame")
    (path / SIDECAR).write_text("{}")


def work(folder: JobFolder, plan: Plan) -> None:
    """Finish all segments."""
    for segment in plan.segments:
        for target in plan.targets:
            put(folder.part(segment, target, ATTEMPT), target.format.is_sequence)
        folder.finish(segment, SegmentReport(pts=[segment.number]), ATTEMPT)


def deliver(folder: JobFolder, plan: Plan) -> None:
    for target in plan.targets:
        put(folder.begin(target.path), target.format.is_sequence)
    folder.rename(False, [target.path for target in plan.targets])


@contextmanager
def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let the process die before it removes or renames something for the `step`th time; yield what was done."""
    done: list[str] = []
    real = {name: getattr(Path, name) for name in ("unlink", "rmdir", "replace")}

    def dying(name: str) -> Callable[..., object]:
        def act(self: Path, *arguments: object, **more: object) -> object:
            if len(done) >= step:
                raise _Killed
            done.append(f"{name} {self.name}")
            return real[name](self, *arguments, **more)

        return act

    with monkeypatch.context() as patched:
        for name in real:
            patched.setattr(Path, name, dying(name))
        yield done


def stop(plan: Plan) -> None:
    """Leave a folder with finished segments."""
    with pytest.raises(KeyboardInterrupt), JobFolder(plan) as folder:
        work(folder, plan)
        raise KeyboardInterrupt


@pytest.mark.parametrize("formats", [("matte",), ("png", "matte")])
def test_a_kill_at_any_step_of_the_end_leaves_a_folder_that_any_command_clears(
    clip: GetClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, formats: tuple[str, ...]
) -> None:
    for step in range(100):
        out = tmp_path / str(step)
        out.mkdir()
        plan, other = (plan_of(clip("one_frame"), out, *formats, smooth=smooth) for smooth in (2, 1))
        folder = JobFolder(plan).__enter__()
        work(folder, plan)
        deliver(folder, plan)
        with killed_at(step, monkeypatch), suppress(_Killed):
            folder.__exit__(None, None, None)
        left = plan.folder.exists()
        clear_remains(plan.folder, other)
        assert not plan.folder.exists(), f"after step {step}"
        assert all(target.path.exists() for target in plan.targets)
        if not left:
            break
    assert step >= 10


def test_a_kill_while_a_failed_job_is_removed_stops_no_other(
    clip: GetClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(100):
        out = tmp_path / str(step)
        out.mkdir()
        plan, other = (plan_of(clip("one_frame"), out, smooth=smooth) for smooth in (2, 1))
        with killed_at(step, monkeypatch), pytest.raises((_Killed, OutputError)), JobFolder(plan) as folder:
            put(folder.part(SEGMENTS[0], plan.targets[0], ATTEMPT), False)
            put(folder.begin(plan.targets[0].path), False)
            raise OutputError("it failed")
        left = plan.folder.exists()
        with JobFolder(other) as folder:
            assert folder.finished(SEGMENTS[0]) is None
        assert not plan.folder.exists(), f"after step {step}"
        if not left and step > 4:
            break
    assert step > 4


def test_a_stopped_job_keeps_its_finished_parts_and_no_others(plan: Plan) -> None:
    with pytest.raises(KeyboardInterrupt), JobFolder(plan) as folder:
        work(folder, plan)
        put(folder.part(SEGMENTS[0], plan.targets[0], ATTEMPT), False)
        raise KeyboardInterrupt
    parts = [f"part_0000{number}{end}" for number in (0, 1) for end in (".json", "_matte.mp4")]
    assert sorted(path.name for path in plan.folder.iterdir()) == sorted(["lock", MANIFEST, *parts])


def test_a_failure_to_join_leaves_the_parts_and_no_half_output(
    copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = copy("one_frame")
    made: list[Path] = []

    def full(parts: list[Path], output: Path, *rest: Any) -> Any:
        if made:
            output.write_bytes(b"half")
            raise OutputError(f"cannot write {output}: no space left")
        made.append(output)
        return join(parts, output, *rest)

    monkeypatch.setattr(run, "join", full)
    with pytest.raises(OutputError, match="no space left"):
        birefvideo.matte(source, to=["matte", "green"], model=str(network))
    left = sorted(path.name for path in source.with_name("one_frame.birefvideo").iterdir())
    assert len(made) == 1 and left == [
        "lock",
        MANIFEST,
        "part_00000.json",
        "part_00000_green.mp4",
        "part_00000_matte.mp4",
    ]


def test_folders_that_were_made_for_a_failed_job_go(clip: GetClip, tmp_path: Path) -> None:
    plan = plan_of(clip("one_frame"), tmp_path / "out" / "new")
    with pytest.raises(OutputError), JobFolder(plan):
        raise OutputError("it failed")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_users_that_was_there_stays(clip: GetClip, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError), JobFolder(plan_of(clip("one_frame"), tmp_path / "out")):
        raise OutputError("it failed")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


FOREIGN = {
    "a manifest of another program": {"manifest.json": '{"name": "app"}', "thesis.txt": "only copy"},
    "only names of ours": {"manifest.json": "{}", "lock": "", "part_00000_prores.mov": "a film"},
    "a lock with something in it": {"lock": "4711"},
    "no object": {"manifest.json": "[1]"},
    "deeply nested": {"manifest.json": '{"birefvideo_job":' + "[" * 100_000},
    "a mark of another kind": {"manifest.json": '{"birefvideo_job": "yes"}'},
    "a file of any name": {"delivered": "done"},
}


@pytest.mark.parametrize("files", FOREIGN.values(), ids=FOREIGN)
def test_a_folder_without_our_mark_is_not_touched(plan: Plan, files: dict[str, str]) -> None:
    plan.folder.mkdir()
    for name, text in files.items():
        (plan.folder / name).write_text(text)
    clear_remains(plan.folder, plan, is_done=True)
    with pytest.raises(OutputError, match="in the way and was not made by birefvideo: move it"), JobFolder(plan):
        pass
    assert {path.name: path.read_text() for path in plan.folder.iterdir()} == files


def test_a_file_in_the_folder_s_place_is_not_touched(plan: Plan) -> None:
    plan.folder.write_text("mine")
    with pytest.raises(OutputError, match="in the way"), JobFolder(plan):
        pass
    assert plan.folder.read_text() == "mine"


@links
@pytest.mark.parametrize("target", ["ours", "empty", "missing"])
def test_a_link_in_the_folder_s_place_is_not_followed(plan: Plan, tmp_path: Path, target: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    if target == "ours":
        stop(plan)
        plan.folder.rename(elsewhere)
        (elsewhere / "thesis.txt").write_text("only copy")
    elif target == "empty":
        elsewhere.mkdir()
    plan.folder.symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    clear_remains(plan.folder, plan, is_done=True)
    with pytest.raises(OutputError, match="in the way"), JobFolder(plan):
        pass
    assert plan.folder.is_symlink() and sorted(elsewhere.rglob("*")) == before
    assert elsewhere.exists() == (target != "missing")


@links
@pytest.mark.parametrize(
    "name",
    [
        "lock",
        MANIFEST,
        "output_0123abcd",
        "renaming",
        "part_00000.json",
        f"part_00000_matte.{ATTEMPT}.tmp.mp4",
        "part_00001_png",
    ],
)
def test_a_link_among_our_names_is_not_followed(plan: Plan, tmp_path: Path, name: str) -> None:
    stop(plan)
    mine = tmp_path / "mine"
    if name in ("output_0123abcd", "part_00001_png"):
        mine.mkdir()
        (mine / "000001.png").write_text("only copy")
    else:
        mine.write_text("only copy")
    own_files.remove_files(plan.folder / name, bool)
    (plan.folder / name).unlink(missing_ok=True)
    (plan.folder / name).symlink_to(mine)
    with pytest.raises(OutputError, match="in the way"), JobFolder(plan):
        pass
    kept = mine / "000001.png" if mine.is_dir() else mine
    assert kept.read_text() == "only copy" and (plan.folder / name).is_symlink()


@links
def test_what_is_written_replaces_a_link_and_spares_what_it_points_to(tmp_path: Path) -> None:
    mine, link = tmp_path / "mine", tmp_path / "link"
    mine.write_text("only copy")
    link.symlink_to(mine)
    own_files.write_whole(link, "new")
    assert (mine.read_text(), link.read_text(), link.is_symlink()) == ("only copy", "new", False)
    link.unlink()
    link.symlink_to(mine)
    os.close(own_files.make_anew(link))
    assert (mine.read_text(), link.read_text()) == ("only copy", "")
    link.unlink()
    link.symlink_to(mine)
    with pytest.raises(OSError):
        own_files.open_existing_or_new(link)


@links
def test_the_check_whether_a_folder_can_be_written_follows_no_link(clip: GetClip, tmp_path: Path, plan: Plan) -> None:
    trap = tmp_path / f".birefvideo-{os.getpid()}"
    trap.symlink_to(tmp_path / "made through the link")
    check_targets(clip("one_frame"), plan.targets)
    assert [path.name for path in tmp_path.iterdir()] == [trap.name]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners are POSIX'")
def test_a_folder_of_another_user_is_not_ours(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    stop(plan)
    assert owner_of(plan.folder) is Owner.JOB
    monkeypatch.setattr(own_files, "_owner_of_new_files", lambda folder: os.geteuid() + 1)
    monkeypatch.setattr(os, "geteuid", lambda: plan.folder.stat().st_uid + 1)
    assert owner_of(plan.folder) is Owner.STRANGER


def test_a_folder_that_another_process_is_just_removing_is_not_called_a_stranger_s(plan: Plan) -> None:
    with JobFolder(plan) as folder:
        put(folder.begin(plan.targets[0].path), False)
        (folder.path / MANIFEST).unlink()  # between the parts and the lock, as at a job's end
        assert owner_of(plan.folder) is Owner.STRANGER
        with pytest.raises(OutputError, match="another birefvideo is working in"), JobFolder(plan):
            pass


def test_a_folder_that_goes_while_it_is_looked_at_is_in_nobody_s_way(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = iter([Owner.STRANGER, Owner.NOBODY])
    monkeypatch.setattr("birefvideo.jobs.folder_files.owner_of", lambda folder: next(seen))
    with JobFolder(plan) as folder:
        assert folder.path.is_dir()


def test_strangers_files_stay_where_a_job_s_are_removed(plan: Plan) -> None:
    stop(plan)
    theirs = [plan.folder / name for name in ("notes.txt", "output_x/notes.txt", "part_x.mov", "part_00000.json.bak")]
    for path in theirs:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    with JobFolder(plan) as folder:
        deliver(folder, plan)
    assert sorted(path for path in plan.folder.rglob("*") if path.is_file()) == sorted(theirs)
    assert plan.targets[0].path.read_bytes() == b"frames"


def test_nothing_that_a_manifest_says_makes_a_user_s_file_ours(plan: Plan) -> None:
    with pytest.raises(KeyboardInterrupt), JobFolder(plan) as folder:
        work(folder, plan)
        put(folder.begin(plan.targets[0].path), False)
        raise KeyboardInterrupt
    (made,) = plan.folder.glob("output_*/*")
    mine = [made.with_name("holiday.mov"), plan.folder / "joined/holiday.mov", plan.folder / "output_0123abcd/a.mov"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("only copy")
    values = json.loads((plan.folder / MANIFEST).read_text())
    values["places"]["joined"] = values["joined"] = [path.name for path in mine]
    values["targets"] = {path.name: "matte" for path in mine}
    (plan.folder / MANIFEST).write_text(json.dumps(values))
    with JobFolder(plan, overwrite=True):
        assert not made.exists()
    clear_remains(plan.folder, plan)
    assert sorted(path for path in plan.folder.rglob("*") if path.is_file()) == sorted(mine)


def test_a_folder_that_was_replaced_meanwhile_is_left_alone(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="was moved or replaced while the job ran"), JobFolder(plan) as folder:
        work(folder, plan)
        plan.folder.rename(tmp_path / "moved")
        plan.folder.mkdir()
        (plan.folder / "lock").write_text("")
        (plan.folder / MANIFEST).write_text("theirs")
        deliver(folder, plan)
    assert sorted(path.name for path in plan.folder.iterdir()) == ["lock", MANIFEST]
    assert (tmp_path / "moved" / "part_00001.json").exists()
    assert not plan.targets[0].path.exists()


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "zeroed": lambda data: bytes(len(data)),
    "one bit": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "longer": lambda data: data + b"\0",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("name", ["part_00000_matte.mp4", "part_00000_png/000000.png", "part_00000.json"])
def test_a_damaged_part_is_not_finished(
    clip: GetClip, tmp_path: Path, name: str, damage: Callable[[bytes], bytes]
) -> None:
    plan = plan_of(clip("one_frame"), tmp_path, "png", "matte")
    stop(plan)
    part = plan.folder / name
    part.write_bytes(damage(part.read_bytes()))
    with pytest.raises(KeyboardInterrupt), JobFolder(plan) as folder:
        found = [folder.finished(segment) for segment in plan.segments]
        raise KeyboardInterrupt
    assert found == [None, SegmentReport(pts=[1])]


def test_a_report_of_wrong_types_or_with_a_changed_time_is_not_finished(plan: Plan) -> None:
    stop(plan)
    report = plan.folder / "part_00000.json"
    whole = report.read_text()
    for text in ("[]", "7", '{"report": 3}', '{"sha256": []}', whole.replace('"pts": [0]', '"pts": [9]'), "{" * 99999):
        report.write_text(text)
        with pytest.raises(KeyboardInterrupt), JobFolder(plan) as folder:
            assert folder.finished(SEGMENTS[0]) is None
            raise KeyboardInterrupt
    report.write_text(whole)
    with JobFolder(plan) as folder:
        assert folder.finished(SEGMENTS[0]) == SegmentReport(pts=[0])


def test_another_command_does_not_drop_what_a_stopped_one_could_use(clip: GetClip, tmp_path: Path) -> None:
    plan, other = (plan_of(clip("one_frame"), tmp_path, smooth=smooth) for smooth in (2, 1))
    stop(plan)
    with pytest.raises(OutputError, match=r"2 finished frames of a stopped job with smooth: run that command again"):
        JobFolder(other).__enter__()
    with JobFolder(plan) as folder:
        assert folder.finished(SEGMENTS[1]) is not None
    stop(plan)
    with JobFolder(other, overwrite=True) as folder:
        assert folder.finished(SEGMENTS[1]) is None
        assert folder.notes == ["2 frames of an earlier run are not used: it is another job's"]


def test_a_clip_of_the_same_stem_does_not_drop_the_parts_of_the_first(clip: GetClip, tmp_path: Path) -> None:
    stop(plan_of(clip("one_frame"), tmp_path))
    with pytest.raises(OutputError, match=r"a stopped job with another input"):
        JobFolder(plan_of(clip("plain"), tmp_path)).__enter__()


def test_parts_that_nothing_can_use_any_more_go_with_a_word(copy: GetClip, tmp_path: Path) -> None:
    source = copy("one_frame")
    stop(plan_of(source, tmp_path))
    source.touch()
    with JobFolder(plan_of(source, tmp_path)) as folder:
        assert folder.finished(SEGMENTS[0]) is None
        (note,) = folder.notes
        assert "was begun with another input" in note


def test_a_file_that_a_user_puts_in_the_place_of_an_output_is_not_taken_for_one(
    clip: GetClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(clip("one_frame"), tmp_path, "prores", "matte")
    with pytest.raises(_Killed), JobFolder(plan) as folder:
        work(folder, plan)
        monkeypatch.setattr("birefvideo.jobs.folder.deliver", lambda made, place: (_ for _ in ()).throw(_Killed))
        deliver(folder, plan)
    monkeypatch.undo()
    assert JobFolder(plan).was_renaming()
    mine = plan.targets[1].path
    mine.write_text("mine")
    with pytest.raises(OutputError, match="has appeared meanwhile"), JobFolder(plan) as folder:
        deliver(folder, plan)
    assert mine.read_text() == "mine"
    mine.unlink()
    with JobFolder(plan) as folder:
        deliver(folder, plan)
    assert mine.read_bytes() == b"frames"


def test_an_output_that_is_removed_when_the_job_has_just_ended_is_told_in_one_line(
    copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = copy("plain")
    output, plain = source.with_name("plain_matte.mp4"), JobFolder.rename

    def rename(folder: JobFolder, *arguments: object) -> None:
        plain(folder, *arguments)  # type: ignore[arg-type]
        output.unlink()

    words = ["matte", str(source), "--to", "matte", "--model", str(network), "--end", "0.2"]
    with monkeypatch.context() as patch:
        patch.setattr(JobFolder, "rename", rename)
        ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 1
    why = "was moved or removed meanwhile (No such file or directory): run the same command again"
    assert ended.output.splitlines()[-1] == f"birefvideo: {output} {why}"
    assert CliRunner().invoke(app, words).exit_code == 0 and output.exists()
