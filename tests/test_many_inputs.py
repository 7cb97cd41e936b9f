"""Trees and lists of inputs, several at once: what is taken, where its outputs go, and what is told of each."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from birefvideo.cli import app
from birefvideo.cli.folders import folders_within
from birefvideo.errors import InputError
from birefvideo.jobs import result as results
from birefvideo.jobs.plan import Target

GetClip = Callable[[str], Path]


def invoke(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["matte", *map(str, arguments)], input=stdin)


def below(folder: Path, pattern: str = "*") -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob(pattern) if p.is_file())


def report_of(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return {Path(row["input"]).as_posix(): row for row in read["inputs"]}


class Jobs:
    """Stands for `jobs.run.run`: notes what it is given, writes the outputs, and ends as `act` does."""

    def __init__(self, act: Callable[[Path, Any], object] = lambda source, progress: None) -> None:
        self.act = act
        self.sources: list[Path] = []
        self.outputs: list[Path] = []

    def __call__(
        self, source: Path, targets: Sequence[Target], *given: object, progress: Any, **_: object
    ) -> results.Result:
        self.sources.append(source)
        self.act(source, progress)
        paths = tuple(target.path for target in targets)
        self.outputs += paths
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        losses = ["half"] if source.stem == "cut" else []
        return results.Result(paths, 1, 1, 0.5, "net", "cpu", losses=losses, sizes=(0,) * len(paths))


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Jobs:
    """Jobs that compute nothing; the current folder is the test's."""
    monkeypatch.chdir(tmp_path)
    jobs = Jobs()
    monkeypatch.setattr("birefvideo.jobs.run.run", jobs)
    return jobs


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"")


def test_a_tree_is_mirrored_and_every_output_is_proven_by_its_receipt(
    copy: GetClip, network: Path, tmp_path: Path
) -> None:
    clip, tree, out = copy("one_frame"), tmp_path / "in", tmp_path / "out"
    for name in ("a.mp4", "day 1/a.mp4", "day 1/cam/b.mp4"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, tree / name)
    result = invoke(tree, "-o", out, "--recursive", "--model", network, "--to", "matte")
    assert result.exit_code == 0, result.output
    assert below(out, "*.mp4") == ["a_matte.mp4", "day 1/a_matte.mp4", "day 1/cam/b_matte.mp4"]
    assert below(out, "*.json") == ["a_matte.json", "day 1/a_matte.json", "day 1/cam/b_matte.json", "report.json"]
    assert below(tree) == ["a.mp4", "day 1/a.mp4", "day 1/cam/b.mp4"]
    assert "3 inputs: 3 done" in result.stdout
    rows = report_of(out)
    row = rows[(tree / "day 1/cam/b.mp4").as_posix()]
    assert (len(rows), row["status"], row["frames"]) == (3, "done", 1) and row["fps"] > 0
    assert row["outputs"] == [str(out / "day 1/cam/b_matte.mp4")]
    assert row["receipts"] == [str(out / "day 1/cam/b_matte.json")]


def test_hidden_files_and_what_is_ours_are_no_inputs(jobs: Jobs) -> None:
    touch("in/a.mp4", "in/.b.mp4", "in/.git/c.mp4", "in/a_alpha.mov", "in/deep/d.mov", "in/deep/d.birefvideo/part.mov")
    touch("in/cut.mov", "in/out/e.mp4", "in/frames_png/0001.png")
    Path("in/cut.json").write_text(json.dumps({"birefvideo_receipt": 1, "outputs": {"cut.mov": {}}}))
    sidecar = {"birefvideo_sequence": 1, "time_base": [1, 25], "pts": [0], "last_duration": 1, "pattern": "%04d.png"}
    Path("in/frames_png/birefvideo.json").write_text(json.dumps({**sidecar, "first": 1}))
    assert invoke("in", "-o", "in/out", "-r").exit_code == 0
    taken = [path.as_posix() for path in jobs.sources]
    assert [name for name in taken if "frames_png" not in name] == ["in/a.mp4", "in/deep/d.mov"]


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    inner, other = tmp_path / "in" / "inner", tmp_path / "other"
    inner.mkdir(parents=True)
    other.mkdir()
    (inner / "up").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "a link").symlink_to(inner)
    (tmp_path / "in" / "elsewhere").symlink_to(other)
    found = [folder.relative_to(tmp_path).as_posix() for folder in folders_within(tmp_path / "in")]
    assert found == ["in", "in/elsewhere", "in/inner"]


def test_two_inputs_for_one_output_concern_only_those_two(jobs: Jobs) -> None:
    touch("in/a.mp4", "in/a.mov", "in/b.mp4", "in/c/a.mp4")
    result = invoke("in", "-o", "out", "--recursive", "--to", "matte")
    assert result.exit_code == 1
    clash = f"in{os.sep}a.mov and in{os.sep}a.mp4 would both write out{os.sep}a_matte.mp4: run them with different -o"
    assert result.stderr.splitlines() == [f"birefvideo: {clash}", "birefvideo: 2 of 4 inputs failed"]
    assert [path.as_posix() for path in jobs.outputs] == ["out/b_matte.mp4", "out/c/a_matte.mp4"]
    rows = report_of(Path("out"))
    assert {name: row["status"] for name, row in rows.items()} == {
        "in/a.mp4": "failed",
        "in/a.mov": "failed",
        "in/b.mp4": "done",
        "in/c/a.mp4": "done",
    }
    assert rows["in/a.mp4"]["message"] == clash


def test_a_file_that_is_named_twice_is_taken_once(jobs: Jobs) -> None:
    touch("in/a.mp4", "in/b/c.mp4")
    assert invoke("in/a.mp4", "in", Path("in/b").absolute(), "-r", "-o", "out/").exit_code == 0
    assert [path.as_posix() for path in jobs.sources] == ["in/a.mp4", "in/b/c.mp4"]


def test_a_tree_does_not_go_into_a_file(jobs: Jobs) -> None:
    touch("in/a.mp4")
    result = invoke("in", "-r", "-o", "cut.mov")
    assert (result.exit_code, jobs.sources) == (2, [])
    assert "cut.mov names one file, but the outputs are a tree of folders" in result.stderr


@pytest.mark.parametrize("separator", [b"\n", b"\r\n", b"\0"])
def test_a_list_names_inputs_and_tells_its_bad_lines_by_number(jobs: Jobs, separator: bytes) -> None:
    names = ["#1 take.mp4", "é ü.mp4", "sub/b.mp4"]
    touch(*names)
    lines = [b"\xef\xbb\xbf" + names[0].encode(), b"", names[1].encode(), b"gone.mp4", b"\xff\xfe.mp4", b"sub"]
    Path("list.txt").write_bytes(separator.join(lines))
    result = invoke("--files-from", "list.txt", "-o", "out")
    assert [path.as_posix() for path in jobs.sources] == names and result.exit_code == 1
    unit = "name" if separator == b"\0" else "line"
    first, second, last = result.stderr.splitlines()
    assert first.startswith(f"birefvideo: list.txt, {unit} 4: gone.mp4 does not exist; ")
    assert second.startswith(f"birefvideo: list.txt, {unit} 5: ") and "is no UTF-8 and no file's name" in second
    assert last == "birefvideo: 2 of 5 inputs failed"
    assert report_of(Path("out"))["gone.mp4"]["status"] == "failed"


def test_a_list_tells_of_a_url_that_nothing_can_fetch_before_anything_is_made(jobs: Jobs) -> None:
    touch("a.mp4")
    Path("list.txt").write_text("a.mp4\ntape://shelf/b.mp4\n")
    result = invoke("--files-from", "list.txt", "-o", "out/", "--plan")
    assert result.exit_code == 1
    assert "list.txt, line 2: tape://shelf/b.mp4 begins with tape://, which is no kind of store" in result.stderr


def test_a_list_may_come_from_stdin(jobs: Jobs) -> None:
    touch("a.mp4", "b.mp4")
    assert invoke("--files-from", "-", "b.mp4", stdin=b"a.mp4").exit_code == 0
    assert [path.name for path in jobs.sources] == ["b.mp4", "a.mp4"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "the list list.txt does not exist"),
        (b"\n \n", "list.txt names no input: give one a line"),
        ("a.mp4".encode("utf-16"), "list.txt is in UTF-16: save it as UTF-8"),
    ],
)
def test_what_is_no_list_is_told(jobs: Jobs, data: bytes | None, words: str) -> None:
    if data is not None:
        Path("list.txt").write_bytes(data)
    result = invoke("--files-from", "list.txt")
    assert (result.exit_code, jobs.sources) == (1, []) and words in result.stderr


def test_without_any_input_it_is_told_how_to_name_one(jobs: Jobs) -> None:
    result = invoke("-o", "out")
    assert result.exit_code == 2 and "no input is named: give a clip or a folder, or a list" in result.stderr


def test_existing_outputs_are_skipped_as_their_receipts_prove_and_else_made_again(
    copy: GetClip, network: Path, tmp_path: Path
) -> None:
    clip, out = copy("one_frame"), tmp_path / "out"
    clips = [shutil.copy(clip, tmp_path / f"{name}.mp4") for name in ("same", "changed", "damaged")]
    command = (*clips, "-o", out, "--model", network, "--to", "matte")
    assert invoke(*command).exit_code == 0
    inodes = {path.name: path.stat().st_ino for path in out.iterdir()}
    Path(clips[1]).write_bytes(Path(clips[1]).read_bytes() + bytes(8))
    edited = (out / "damaged_matte.mp4").read_bytes()[:-100]
    (out / "damaged_matte.mp4").write_bytes(edited)
    result = invoke(*command, "--skip-existing")
    assert result.exit_code == 0, result.output
    kept = "damaged_matte.mp4 was not as its receipt says, damaged or edited: it is kept as damaged_matte.mp4.old"
    assert f"note: {kept}" in result.stdout and (out / "damaged_matte.mp4.old").read_bytes() == edited
    assert [row["status"] for row in report_of(out).values()] == ["skipped", "done", "done"]
    again = {path.name for path in out.glob("*.mp4") if path.stat().st_ino != inodes[path.name]}
    assert again == {"changed_matte.mp4", "damaged_matte.mp4"}


def test_other_options_and_a_missing_output_make_all_outputs_of_a_job_again(
    copy: GetClip, network: Path, tmp_path: Path
) -> None:
    command = (copy("one_frame"), "--model", network, "--to", "matte,blue", "--skip-existing", "--review")
    for more in ((), ("--smooth", 1)):
        assert "  wrote " in invoke(*command, *more).stdout
    (tmp_path / "one_frame_blue.mp4").unlink()
    again = invoke(*command, "--smooth", 1)
    assert again.exit_code == 0 and again.stdout.count("  wrote ") == 2
    assert "done already" in invoke(*command, "--smooth", 1).stdout and not below(tmp_path, "*.old*")


def test_what_no_receipt_knows_is_never_replaced(copy: GetClip, network: Path, tmp_path: Path) -> None:
    clip = copy("one_frame")
    (tmp_path / "one_frame_matte.mp4").write_text("precious")
    result = invoke(clip, "--skip-existing", "--model", network, "--to", "matte")
    assert result.exit_code == 1 and "one_frame_matte.mp4 exists already, without a receipt" in result.stderr
    assert (tmp_path / "one_frame_matte.mp4").read_text() == "precious"


def test_the_exit_code_and_the_report_tell_of_losses(jobs: Jobs) -> None:
    touch("cut.mp4", "whole.mp4")
    assert invoke("cut.mp4", "whole.mp4").exit_code == 3
    rows = report_of(Path())
    assert [row["status"] for row in rows.values()] == ["lossy", "done"] and rows["cut.mp4"]["losses"] == ["half"]


def test_the_report_goes_where_it_is_wanted_and_replaces_nothing_of_others(jobs: Jobs) -> None:
    touch("a.mp4", "b.mp4")
    assert invoke("a.mp4", "--report", "logs/one.json").exit_code == 0
    assert json.loads(Path("logs/one.json").read_text())["counts"]["done"] == 1
    assert invoke("a.mp4", "b.mp4", "--report", "none").exit_code == 0 and not Path("report.json").exists()
    Path("report.json").write_text('{"mine": 1}')
    result = invoke("a.mp4", "b.mp4")
    assert result.exit_code == 1 and "report.json is no report of birefvideo: name another file with --report" in (
        result.stderr
    )
    assert Path("report.json").read_text() == '{"mine": 1}' and len(jobs.sources) == 3


def test_jobs_run_at_once_and_their_lines_stay_together(jobs: Jobs) -> None:
    touch("a.mp4", "b.mp4", "c.mp4", "d.mp4")
    together = threading.Barrier(2)

    def act(source: Path, progress: Any) -> None:
        together.wait(10)
        if source.stem == "c":
            raise InputError(f"{source} is bad")

    jobs.act = act
    result = invoke("a.mp4", "b.mp4", "c.mp4", "d.mp4", "--jobs", 2, "--quiet")
    assert result.exit_code == 1 and sorted(path.stem for path in jobs.sources) == ["a", "b", "c", "d"]
    assert result.stderr.splitlines() == ["birefvideo: c.mp4 is bad", "birefvideo: 1 of 4 inputs failed"]
    assert {name: row["status"] for name, row in report_of(Path()).items()}["c.mp4"] == "failed"


def test_jobs_with_one_stem_take_turns(jobs: Jobs) -> None:
    touch("a.mp4", "b/a.mp4")
    Image.new("RGB", (8, 8)).save("a.jpg")
    running: list[str] = []
    both = threading.Event()

    def act(source: Path, progress: Any) -> None:
        running.append(str(source))
        both.wait(0.2)
        assert sum(name.startswith("a.") for name in running) <= 1
        running.remove(str(source))

    jobs.act = act
    assert invoke("a.mp4", "a.jpg", "b/a.mp4", "--jobs", 3).exit_code == 0


def test_ctrl_c_stops_all_jobs_and_the_report_says_what_is_missing(jobs: Jobs) -> None:
    touch("a.mp4", "b.mp4", "c.mp4", "d.mp4")
    both, ended = threading.Barrier(2), list[str]()

    def act(source: Path, progress: Any) -> None:
        if source.stem == "a":
            return
        if both.wait(10) == 0:
            os.kill(os.getpid(), signal.SIGINT)
        try:
            for _ in range(2000):
                progress.frame()
                threading.Event().wait(0.005)
        finally:
            threading.Event().wait(0.3)
            ended.append(source.name)

    jobs.act = act
    result = invoke("a.mp4", "b.mp4", "c.mp4", "d.mp4", "--jobs", 2)
    assert sorted(ended) == ["b.mp4", "c.mp4"], "what a job leaves is told once it has ended"
    assert result.exit_code == 130 and "stopped; nothing was finished yet" in result.stderr
    statuses = {name: (row["status"], row["message"]) for name, row in report_of(Path()).items()}
    assert statuses["a.mp4"][0] == "done" and statuses["d.mp4"] == ("stopped", "not begun")
    assert statuses["b.mp4"] == statuses["c.mp4"] == ("stopped", "nothing was finished yet")


def test_jobs_at_once_give_the_bytes_of_jobs_in_turn(copy: GetClip, network: Path, tmp_path: Path) -> None:
    clips = [copy("one_frame"), copy("plain"), copy("vfr_mkv")]
    for at_once in (1, 3):
        result = invoke(
            *clips, "-o", tmp_path / str(at_once), "--model", network, "--to", "matte", "--end", 0.1, "--jobs", at_once
        )
        assert result.exit_code == 0, result.output
    made = below(tmp_path / "1", "*.mp4")
    assert len(made) == 3
    assert all((tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes() for name in made)
