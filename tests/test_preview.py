"""A look at a job before it runs: a sheet, and what the run would cost, by really encoding a few frames."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import pytest
from typer.testing import CliRunner, Result

import birefvideo
from birefvideo.cli import app
from birefvideo.comparison import trial as trials
from birefvideo.comparison.preview import preview
from birefvideo.errors import OutputError
from birefvideo.jobs.loaded_model import LastModel
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import plan_targets

pytestmark = pytest.mark.usefixtures("empty_cache")

GetClip = Callable[[str], Path]


@pytest.fixture(scope="module")
def load() -> LastModel:
    """Loads the network once for all tests."""
    return LastModel()


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["matte", *map(str, arguments), "--preview"], env={"COLUMNS": "80"})


def test_a_preview_writes_a_sheet_and_no_output(copy: GetClip, network: Path) -> None:
    source = copy("plain")
    result = invoke(source, "--model", network, "--to", "prores,green")
    assert result.exit_code == 0, result.output
    assert {path.name for path in source.parent.iterdir()} == {"plain.mp4", "plain_preview.png"}
    assert max(cv2.imread(str(source.with_name("plain_preview.png"))).shape) <= 4000
    assert re.search(r"a run of 12 frames takes about .* \(.* s a frame\), and writes about", result.stdout)
    for name in ("plain_alpha.mov", "plain_green.mp4"):
        assert re.search(rf"^  {name} +[\d.]+ (kB|MB)$", result.stdout, re.MULTILINE)
    assert "by encoding 12 frames in a row" in result.stdout and "plain_preview.png" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80 + len(str(source.parent))
    again = invoke(source, "--model", network)
    assert again.exit_code == 1 and "exists already" in again.stderr and len(again.stderr.splitlines()) == 1
    assert invoke(source, "--model", network, "--overwrite", "-q").stdout == ""


def test_that_a_preview_makes_no_review_page_is_told_in_a_line(copy: GetClip, network: Path) -> None:
    source = copy("one_frame")
    result = invoke(source, "--model", network, "--review")
    assert result.exit_code == 0, result.output
    said = [line for line in result.output.splitlines() if "review page" in line]
    assert said == ["note: --preview makes no review page: the run does, with --review and without --preview"]
    assert {path.name for path in source.parent.iterdir()} == {"one_frame.mp4", "one_frame_preview.png"}


@pytest.mark.parametrize("is_slow", [False, True])
def test_sizes_are_near_those_of_the_outputs(
    copy: GetClip, network: Path, load: LastModel, monkeypatch: pytest.MonkeyPatch, is_slow: bool
) -> None:
    if is_slow:
        monkeypatch.setattr(trials, "_PATIENCE", 0.0)
    source, names = copy("short_gops"), ["prores", "webm", "green", "png"]
    options = Options(model=str(network), audio="none")
    found = preview(source, plan_targets(source, None, names, options), options, load=load)
    assert found.frames == 24 and found.trial.frames == 16
    assert found.seconds == pytest.approx(24 * found.trial.seconds) and found.trial.seconds >= found.row.seconds
    made = birefvideo.matte(source, to=names, options=options)
    for cost, path in zip(found.outputs, made.outputs, strict=True):
        assert cost.path == path
        files = list(path.iterdir()) if path.is_dir() else [path]
        size = sum(file.stat().st_size for file in files if file.suffix != ".json")
        assert 0.6 * size < cost.bytes < 1.7 * size, path.name


def test_frames_that_stand_alone_are_counted_as_often_as_a_run_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = tmp_path / "a.mp4"
    part.write_bytes(bytes(3000))
    monkeypatch.setattr(trials, "_packets", lambda path: ([1000], [100] * 15))
    assert trials._scaled(part, 16, 160, 1) == round(3000 * (2 * 1000 + 158 * 100) / 2500)
    assert trials._scaled(part, 16, 16, 1) == 3000
    monkeypatch.setattr(trials, "_packets", lambda path: ([100] * 16, []))
    assert trials._scaled(part, 16, 160, 1) == 30000


def test_a_slow_network_shows_fewer_frames(
    copy: GetClip, network: Path, load: LastModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    previewing = import_module("birefvideo.comparison.preview")
    real, counts = previewing.matted_row, []

    def slow(wish: Any, number: int, frames: Any, *arguments: Any, most_seconds: float | None, **more: Any) -> Any:
        counts.append(len(frames))
        if most_seconds is not None:
            raise previewing.TooSlowError(most_seconds / 2)
        return real(wish, number, frames, *arguments, **more)

    monkeypatch.setattr(previewing, "matted_row", slow)
    source, options = copy("plain"), Options(model=str(network))
    found = preview(source, plan_targets(source, None, ["green"], options), options, load=load)
    assert counts == [6, 2] and len(found.row.coverage) == 2


@pytest.mark.parametrize("name", ["one_frame", "vfr", "rotated_90"])
def test_clips_of_every_kind_are_previewed(copy: GetClip, network: Path, load: LastModel, name: str) -> None:
    source, options = copy(name), Options(model=str(network))
    found = preview(source, plan_targets(source, None, ["prores", "gif"], options), options, load=load)
    assert found.sheet.exists() and all(cost.bytes > 0 for cost in found.outputs)


def test_a_photo_and_a_folder_are_previewed_and_bad_files_told(
    copy: GetClip, clip: GetClip, network: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    cv2.imwrite(str(folder / "photo.png"), cv2.imread(str(_picture(clip, tmp_path))))
    result = invoke(folder / "photo.png", "--model", network)
    assert result.exit_code == 0 and "photo_alpha.png" in result.stdout and "the picture" in result.stdout
    (folder / "a.mp4").write_bytes(b"no video")
    shutil.copy(clip("one_frame"), folder / "b.mp4")
    result = invoke(folder, "--model", network)
    assert result.exit_code == 1 and "1 of 2 inputs failed" in result.stderr
    assert (folder / "b_preview.png").exists()


def _picture(clip: GetClip, folder: Path) -> Path:
    import av

    with av.open(str(clip("plain"))) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="bgr24")
    cv2.imwrite(str(folder / "frame.png"), frame)
    return folder / "frame.png"


def test_what_the_job_refuses_the_preview_refuses_too(copy: GetClip, network: Path) -> None:
    source = copy("one_frame")
    for arguments in (["--to", "mpeg"], ["--start", "99"], ["--to", "green", "--premultiplied", "black"]):
        result = invoke(source, "--model", network, *arguments)
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), arguments
    with pytest.raises(OutputError):
        preview(source, plan_targets(source, source / "x", ["green"]), Options(model=str(network)))
    assert [path.name for path in source.parent.iterdir()] == [source.name]
