"""The command that a review page names: it makes that one job again, whatever command the job was a part of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from birefvideo.cli import app
from birefvideo.cli.settings import CONFIG
from birefvideo.jobs.delivery import Delivery
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import Target
from birefvideo.jobs.result import Result


class Told:
    """What jobs were told; nothing is computed."""

    def __init__(self) -> None:
        self.jobs: dict[str, tuple[Options, list[Path]]] = {}
        self.commands: dict[str, list[str]] = {}

    def run(self, source: Path, targets: Sequence[Target], options: Options, delivery: Delivery, **_: object) -> Result:
        paths = [target.path for target in targets]
        self.jobs[str(source)] = options, paths
        self.commands[str(source)] = [word for words in delivery.command or () for word in words]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return Result(tuple(paths), 1, 1, 0.1, "net", "cpu", sizes=(0,) * len(paths))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Told:
    """The current folder has clips, one of them in a folder, one with an odd name."""
    monkeypatch.setattr("typer.get_app_dir", lambda name: str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    for name in ("clip.mp4", "-wall.png", "clips/one.mp4", "clips/sub/two.mp4", "clips/-x.mp4"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    found = Told()
    monkeypatch.setattr("birefvideo.jobs.run.run", found.run)
    return found


def invoke(*words: str) -> None:
    result = CliRunner().invoke(app, ["matte", *words])
    assert result.exit_code == 0, result.output


def test_the_words_of_a_job_are_those_typed_without_what_is_of_the_whole_command(told: Told) -> None:
    Path(CONFIG).write_text('smooth = 4\nto = ["webm"]\n')
    words = ("--review", "--premultiplied", "--no-receipt", "--no-deinterlace", "--end=5", "-q", "--debug")
    invoke("clip.mp4", *words, "--keep-cache", "--overwrite", "--background", "-wall.png", "--report", "none")
    assert told.commands["clip.mp4"] == [
        *("birefvideo", "matte", "clip.mp4", "--background=-wall.png", "--premultiplied", "black"),
        *("--no-deinterlace", "--end", "5", "--review", "--no-receipt"),
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["clip.mp4"],
        ["clip.mp4", "-o", "a file.webm"],
        ["clip.mp4", "-o", "new/"],
        ["clip.mp4", "clips", "--to", "webm,png", "--to", "green", "-o", "all"],
        ["clips", "-r", "--jobs", "2", "-o", "tree", "--preset", "draft", "--smooth", "3"],
        ["clips", "--skip-existing", "--background", "blue", "--keep", "0,0,9,9@1-2"],
    ],
)
def test_the_command_makes_that_job_and_no_other(told: Told, words: list[str]) -> None:
    invoke(*words)
    made, commands = dict(told.jobs), dict(told.commands)
    assert made
    for name, command in commands.items():
        told.jobs.clear()
        invoke(*command[2:], "--overwrite")
        assert told.jobs == {name: made[name]}


@pytest.mark.parametrize("how", [["--json"], ["--progress", "json"]])
def test_the_words_of_a_program_are_not_told(told: Told, how: list[str]) -> None:
    invoke("clip.mp4", *how)
    assert told.commands == {"clip.mp4": []}


def test_a_clip_with_a_name_like_an_option_is_no_option(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("clips")
    invoke("--", "-x.mp4")
    assert told.commands["-x.mp4"][2] == "./-x.mp4"
