"""Files of a job that somebody has edited, and outputs that would cost a user something: one line, or made again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import birefvideo
from birefvideo.cli import app
from birefvideo.errors import OptionError, OutputError
from birefvideo.jobs import check_targets as checks
from birefvideo.jobs.check_targets import check_targets, clashes
from birefvideo.jobs.manifest import MANIFEST, fingerprint
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import Target, plan_targets
from birefvideo.jobs.receipt import read, still_the_same
from birefvideo.jobs.segment_file import read_report, write_report
from birefvideo.matting.flicker import Curve
from birefvideo.media.format_table import get_format
from birefvideo.media.sequence_json import own_files
from birefvideo.own_files import TEMPORARY, write_whole
from birefvideo.pipeline import SegmentReport

GetClip = Callable[[str], Path]
pipes = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")


def sealed(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a segment's report and seal it anew."""
    values = json.loads(path.read_text())
    values.pop("sha256")
    change(values)
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps({**values, "sha256": digest}))


def test_a_report_reads_as_it_was_written(tmp_path: Path) -> None:
    report = SegmentReport([0, 500], 500, Curve([0.5, 0.25]))
    write_report(tmp_path / "part_00000.json", report, [])
    found = read_report(tmp_path / "part_00000.json")
    assert found is not None and found[0] == report


@pytest.mark.parametrize(
    "wrong",
    [
        {"pts": 3},
        {"pts": ["a"]},
        {"pts": [1e300]},
        {"pts": [10**400]},
        {"pts": [5, 5]},
        {"pts": {"a": 1}},
        {"last_duration": "x"},
        {"last_duration": True},
        {"decode": {"packets": None}},
        {"decode": []},
        {"curve": {"coverage": ["x"]}},
        {"curve": {"coverage": 1}},
        {"unknown": 1},
    ],
    ids=str,
)
def test_a_report_of_other_types_is_none_of_ours(tmp_path: Path, wrong: dict[str, Any]) -> None:
    path = tmp_path / "part_00000.json"
    write_report(path, SegmentReport([0, 500], 500), [])
    sealed(path, lambda values: values["report"].update(wrong))
    assert read_report(path) is None


@pipes
def test_a_pipe_has_no_fingerprint(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a file"):
        fingerprint(tmp_path / "pipe")


@pytest.mark.parametrize("batch", [4096, -1, "x", 2.5])
def test_no_batch_is_taken_from_a_manifest_that_no_run_would_choose(
    copy: GetClip, network: Path, batch: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = copy("one_frame")
    folder = source.with_name("one_frame.birefvideo")

    def stopped(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("birefvideo.jobs.run._finish_all", stopped)
        with pytest.raises(KeyboardInterrupt):
            birefvideo.matte(source, to="matte", model=str(network))
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["settings"]["batch"] = batch
    (folder / MANIFEST).write_text(json.dumps(manifest))
    assert birefvideo.matte(source, to="matte", model=str(network)).computed == 1


@pytest.mark.parametrize("wrong", [[1], {"a": 1}, None, 7], ids=str)
def test_a_receipt_with_a_hash_of_another_type_proves_nothing(copy: GetClip, network: Path, wrong: object) -> None:
    source = copy("one_frame")
    (output,) = birefvideo.matte(source, to="matte", model=str(network)).outputs
    receipt = source.with_name("one_frame_matte.json")
    values = json.loads(receipt.read_text())
    values["outputs"][output.name]["input"]["sha256"] = wrong
    receipt.write_text(json.dumps(values))
    with pytest.raises(OutputError, match="exists already"):
        birefvideo.matte(source, to="matte", model=str(network))
    found = {check.name: check.passed for check in still_the_same(output, source, read(output))}
    assert found == {"bytes": True, "source": None}, "that the source was not compared is said"


def test_a_receipt_whose_claims_cannot_be_read_is_told(copy: GetClip, network: Path) -> None:
    source = copy("one_frame")
    (output,) = birefvideo.matte(source, to="matte", model=str(network)).outputs
    entry = read(output)
    assert entry is not None
    found = still_the_same(output, None, {**entry, "verified": [1]})
    assert [(check.name, check.passed) for check in found] == [("receipt", None), ("bytes", True)]


def test_the_background_is_never_overwritten(tmp_path: Path, clip: GetClip) -> None:
    background = tmp_path / "clip_comp.mp4"
    shutil.copy(clip("one_frame"), background)
    target = Target(get_format("green"), background)
    with pytest.raises(OutputError, match="is the background itself"):
        check_targets(clip("plain"), [target], background)


@pipes
def test_a_pipe_is_no_output(tmp_path: Path, clip: GetClip) -> None:
    os.mkfifo(tmp_path / "clip.mp4")
    with pytest.raises(OutputError, match="no file but a pipe"):
        check_targets(clip("plain"), [Target(get_format("matte"), tmp_path / "clip.mp4")])


def test_trying_an_output_folder_makes_no_name_in_it(
    tmp_path: Path, clip: GetClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not hasattr(os, "O_TMPFILE"):
        pytest.skip("this system has no files without names")
    monkeypatch.setattr(os, "unlink", lambda *arguments, **more: pytest.fail("a kill before this leaves a file"))
    check_targets(clip("plain"), [Target(get_format("matte"), tmp_path / "clip.mp4")])


@pytest.mark.parametrize("tells_apart", [True, False])
def test_outputs_that_differ_in_capitals_only_need_a_disk_that_tells_them_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tells_apart: bool
) -> None:
    monkeypatch.setattr(checks, "_tells_case_apart", lambda path: tells_apart)
    jobs = {Path(name): plan_targets(Path(name), tmp_path, ["matte"]) for name in ("a/clip.mp4", "b/Clip.mp4")}
    found = clashes(jobs)
    assert list(found) == ([] if tells_apart else [tuple(jobs)])
    assert all("would both write" in str(error) for error in found.values())


def test_an_output_with_a_slash_is_a_folder(
    copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = copy("one_frame")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(
        app, ["matte", source.name, "--to", "matte", "-o", f"take.one{os.sep}", "--model", str(network)]
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "take.one" / "one_frame_matte.mp4").is_file()
    birefvideo.matte(source.name, "take.mp4/", "matte", model=str(network))
    assert (tmp_path / "take.mp4" / "one_frame_matte.mp4").is_file()


@pytest.mark.parametrize(("out", "words"), [("-", "means a pipe"), (".mov", "an ending without a name")])
def test_an_output_without_a_name_is_refused(
    copy: GetClip, monkeypatch: pytest.MonkeyPatch, out: str, words: str, tmp_path: Path
) -> None:
    source = copy("one_frame")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["matte", source.name, "-o", out])
    assert result.exit_code == 2 and words in result.output
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


def test_of_what_is_no_video_nothing_is_said_to_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "list.mp4").write_text("#EXTM3U\n")
    result = CliRunner().invoke(app, ["matte", str(tmp_path / "list.mp4")])
    assert result.exit_code == 1 and result.stdout == "" and "is a text file" in result.stderr


def test_names_as_long_as_the_disk_allows_are_written(tmp_path: Path) -> None:
    name = "é" * 120 + "_matte.json"
    write_whole(tmp_path / name, "{}")
    assert [path.name for path in tmp_path.iterdir()] == [name] and len(os.fsencode(name + TEMPORARY)) > 255


def test_names_beside_the_outputs_are_too_long_as_well() -> None:
    assert plan_targets(Path(f"{'x' * 241}.mp4"), None, ["matte"])
    with pytest.raises(OutputError, match="too long"):  # its review page's
        plan_targets(Path(f"{'x' * 245}.mp4"), None, ["matte"])


def test_losses_are_told_where_all_else_is_quiet(copy: GetClip, network: Path) -> None:
    source = copy("truncated")
    result = CliRunner().invoke(app, ["matte", str(source), "--to", "matte", "--model", str(network), "--quiet"])
    assert (result.exit_code, result.stdout) == (3, "")
    assert "missing" in result.stderr


def test_a_sidecar_that_names_more_than_there_is_looks_for_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"pictures": "c_%06d.png", "pts": list(range(50_000)), "last_duration": 1, "time_base": "1/24"}
    (tmp_path / "sequence.json").write_text(json.dumps({**values, "sample_aspect_ratio": "1"}))
    (tmp_path / "c_000002.png").write_bytes(b"")
    monkeypatch.setattr(Path, "lstat", lambda path: pytest.fail("one look at the folder is enough"))
    assert own_files(tmp_path) == ["c_000002.png", "sequence.json"]


def test_a_folder_in_a_pictures_place_fails_verification_in_words(copy: GetClip, network: Path) -> None:
    source = copy("one_frame")
    (folder,) = birefvideo.matte(source, to="png", model=str(network)).outputs
    picture = folder / "one_frame_000001.png"
    picture.unlink()
    picture.mkdir()
    result = CliRunner().invoke(app, ["verify", str(folder)])
    assert result.exit_code == 1 and "unexpected" not in result.output and "✗ file" in result.output


def test_a_background_that_is_no_file_is_told_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no file but a folder"):
        Options(background=tmp_path)
