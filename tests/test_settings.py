"""Presets and config files: which value counts, where it comes from, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import birefvideo
from birefvideo.cli import app
from birefvideo.cli.presets import PRESETS
from birefvideo.cli.settings import CONFIG
from birefvideo.jobs import result as results
from birefvideo.jobs.delivery import Delivery
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import Target


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The user's config folder; the current folder is another one."""
    folder, here = tmp_path / "config" / "birefvideo", tmp_path / "here"
    folder.mkdir(parents=True)
    here.mkdir()
    monkeypatch.setattr("typer.get_app_dir", lambda name: str(folder))
    monkeypatch.chdir(here)
    return folder


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, user: Path) -> list[dict[str, Any]]:
    """What each job of `clip.mp4` in the current folder is given; nothing is computed."""
    found: list[dict[str, Any]] = []

    def run(
        source: Path, targets: Sequence[Target], options: Options, delivery: Delivery, **_: object
    ) -> results.Result:
        found.append({"options": options, "targets": targets, **vars(delivery)})
        for target in targets:
            target.path.parent.mkdir(exist_ok=True)
            target.path.touch()
        outputs = tuple(target.path for target in targets)
        return results.Result(outputs, 1, 1, 0.1, "net", "cpu", sizes=(0,) * len(outputs))

    monkeypatch.setattr("birefvideo.jobs.run.run", run)
    Path("clip.mp4").touch()
    return found


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["matte", "clip.mp4", "--quiet", *map(str, arguments)])


def shown(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["config", "--json", *arguments])
    assert result.exit_code == 0, result.output
    read: dict[str, Any] = json.loads(result.stdout)
    return read


def test_the_command_line_wins_over_the_folder_that_over_the_user_and_that_over_a_preset(
    given: list[dict[str, Any]], user: Path
) -> None:
    (user / CONFIG).write_text('preset = "archive"\nsmooth = 3\ngrow = 1.5\nfeather = 1\n')
    Path(CONFIG).write_text("[matte]\nsmooth = 4\nfeather = 2\nreview = false\n")
    assert invoke("--smooth", 5).exit_code == 0
    options = given[0]["options"]
    assert (options.smooth, options.feather, options.grow, options.audio) == (5, 2.0, 1.5, "all")
    assert [target.format.name for target in given[0]["targets"]] == ["ffv1", "prores"]
    assert given[0]["review"] is False and given[0]["receipts"] is True
    assert invoke("--preset", "draft", "--smooth", 2).exit_code == 0
    options = given[1]["options"]
    assert (str(options.model), options.smooth, given[1]["receipts"]) == ("talk", 2, False)


def test_every_kind_of_value_is_taken_as_toml_has_it(given: list[dict[str, Any]]) -> None:
    Path(CONFIG).write_text(
        'to = "prores,webm"\nsize = [1024, 576]\nlevels = [0.1, 0.9]\nbackground = [0, 0, 255]\nstart = 00:00:01\n'
        "end = 2.5\npremultiplied = true\ndeinterlace = false\nskip_existing = true\njobs = 2\nbatch = 3\nout = 'o'\n"
    )
    assert invoke().exit_code == 0
    options = given[0]["options"]
    assert (options.size, options.levels, options.background) == ((1024, 576), (0.1, 0.9, 1.0), (0, 0, 255))
    assert (options.start, float(options.end), options.premultiplied, options.deinterlace) == (1, 2.5, True, False)
    assert given[0]["renew"] is True and options.batch == 3
    assert [target.path for target in given[0]["targets"]] == [Path("o/clip_alpha.mov"), Path("o/clip_alpha.webm")]


def test_names_in_the_users_file_count_from_its_folder_on(given: list[dict[str, Any]], user: Path) -> None:
    (user / "office.png").touch()
    (user / CONFIG).write_text('background = "office.png"\nreport = "logs/r.json"\n')
    assert invoke().exit_code == 0
    assert given[0]["options"].background == user / "office.png" and (user / "logs" / "r.json").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("smoth = 3", "there is no option 'smoth' (did you mean 'smooth'?)"),
        ("smooth = 'much'", "smooth is 'much': give 0 (off) or a radius in frames, up to 100"),
        ("smooth = true", "smooth is True: give a text"),
        ("fill-holes = -1", "fill_holes is '-1': give a number from 0 to"),
        ("review = 'yes'", "review is 'yes': give true or false"),
        ("premultiplied = 'red'", "premultiplied is 'red': only black is possible"),
        ("to = ['proress']", "proress"),
        ("to = []", "to is []: give a text or a list of texts"),
        ("jobs = 0", "jobs is 0: give a number of inputs from 1 to 64"),
        ("jobs = '2'", "jobs is '2': give a number"),
        ("out = 3", "out is 3: give a text"),
        ("preset = 'youtub'", "preset is 'youtub': give one of youtube, reels, archive, web, draft (did you mean"),
        ("smooth = 1\n[matte]\nsmooth = 2", "smooth is there twice"),
        ("matte = 1", "matte is 1: it is a table, [matte]"),
        ("[cutout]\nsmooth = 1", "there is no option 'cutout'"),
        ("smooth = \n", "is no TOML: Invalid value (at line 1, column 10)"),
        ("inputs = ['a.mp4']", "there is no option 'inputs'"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_in_one_line_with_the_file_and_the_key(
    given: list[dict[str, Any]], text: str, words: str
) -> None:
    Path(CONFIG).write_text(text)
    for command in (invoke(), CliRunner().invoke(app, ["config"])):
        assert command.exit_code == 2 and len(command.stderr.splitlines()) == 1, command.output
        assert command.stderr.startswith(f"birefvideo: {CONFIG}") and words in command.stderr
    assert given == []


def test_so_many_jobs_at_once_are_refused_on_the_command_line_too(given: list[dict[str, Any]]) -> None:
    result = invoke("--jobs", 65)
    assert result.exit_code == 2 and "give a number of inputs from 1 to 64" in result.stderr and given == []


def test_an_unknown_preset_is_refused_with_the_nearest(given: list[dict[str, Any]]) -> None:
    result = invoke("--preset", "reel")
    assert result.exit_code == 2 and "--preset is 'reel': give one of youtube" in result.stderr
    assert "did you mean 'reels'?" in result.stderr and given == []


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_good_set_of_options(given: list[dict[str, Any]], name: str) -> None:
    assert invoke("--preset", name).exit_code == 0
    assert set(shown("--preset", name)["presets"]) == set(PRESETS)
    origins = {key: row["from"] for key, row in shown("--preset", name)["options"].items()}
    assert {key for key, origin in origins.items() if origin == f"preset {name}"} == set(PRESETS[name].sets)


def test_config_shows_every_option_with_its_value_and_where_it_comes_from(user: Path) -> None:
    (user / CONFIG).write_text("smooth = 3\npreset = 'web'\n")
    Path(CONFIG).write_text("grow = 2\n")
    options = shown()["options"]
    assert options["smooth"] == {"value": "3", "from": str(user / CONFIG)}
    assert options["grow"] == {"value": "2", "from": CONFIG}
    assert options["audio"] == {"value": "first", "from": "preset web"}
    assert options["preset"] == {"value": "web", "from": str(user / CONFIG)}
    assert options["deinterlace"] == {"value": True, "from": "default"}
    assert {"skip-existing", "files-from", "receipt", "out"} < options.keys()
    assert [file["is_there"] for file in shown()["files"]] == [True, True]
    text = CliRunner().invoke(app, ["config"]).stdout
    assert f"grow           2                                birefvideo.toml" in text and "youtube" in text  # noqa: F541


def test_a_job_says_which_options_come_from_where(given: list[dict[str, Any]]) -> None:
    Path(CONFIG).write_text("smooth = 3\ngrow = 1\nquiet = false\n")
    result = CliRunner().invoke(app, ["matte", "clip.mp4", "--grow", "2", "--preset", "web"])
    assert "from birefvideo.toml: smooth, quiet" in result.stdout and "from preset web: to, audio" in result.stdout


def test_the_python_api_reads_no_config_file(user: Path) -> None:
    Path(CONFIG).write_text("smooth = 'nonsense'\n")
    assert birefvideo.Options().smooth == 2
