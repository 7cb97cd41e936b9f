"""What shells complete, and what is said to a clip without a command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from birefvideo.cli import app
from birefvideo.cli.completion import complete_formats, complete_models

SHELLS = ("zsh", "fish")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A folder with the `birefvideo` program, as it is once installed."""
    place = tmp_path / "bin" / "birefvideo"
    place.parent.mkdir()
    call = "import sys; sys.argv[0] = 'birefvideo'; from birefvideo.cli import main; main()"
    place.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{call}" "$@"\n')
    place.chmod(0o755)
    return place.parent


def run(program: Path, command: list[str], **more: str) -> str:
    paths = os.pathsep.join([str(program), os.environ["PATH"]])
    home = program.parent / "home"
    home.mkdir(exist_ok=True)
    environment = {**os.environ, "PATH": paths, "HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path), **more}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_presets_by_the_script_that_it_installs(program: Path) -> None:
    install = run(program, ["bash", "-c", "birefvideo --install-completion; cat ~/.bashrc"])
    assert "bash completion installed in" in install
    script = program.parent / "home" / ".bash_completions" / "birefvideo.sh"
    assert f"source '{script}'" in install
    complete = f"""
        source {script}
        COMP_WORDS=(birefvideo matte --preset a) COMP_CWORD=3
        $(complete -p birefvideo | sed 's/.*-F \\([^ ]*\\) .*/\\1/') birefvideo
        echo "${{COMPREPLY[@]}}"
    """
    assert run(program, ["bash", "-c", complete]) == "archive\n"


def test_the_script_is_for_the_program_however_that_was_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    said = CliRunner().invoke(app, ["--show-completion", "bash"], prog_name="python -m birefvideo").stdout
    assert "complete -o default -F _birefvideo_completion birefvideo" in said


@pytest.mark.parametrize("shell", SHELLS)
def test_other_shells_are_offered_the_names_of_models(program: Path, shell: str) -> None:
    words = "birefvideo matte --model hr"
    asked = {"COMP_WORDS": words, "COMP_CWORD": "3", "_TYPER_COMPLETE_ARGS": words}
    asked |= {"_BIREFVIDEO_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    said = run(program, ["birefvideo"], **asked)
    assert "hr-matting" in said and "talk" not in said


def test_formats_are_completed_one_after_another() -> None:
    assert complete_formats("prores-") == ["prores-xq"]
    assert complete_formats("webm,prores") == ["webm,prores", "webm,prores-xq"]
    assert complete_formats("webm,w") == ["webm,webp-anim"]
    assert complete_models("ta") == ["talk"]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["my clip.mp4", "--to", "webm"], "birefvideo matte 'my clip.mp4' --to webm"),
        (["clips"], "birefvideo matte clips"),
        (["nowhere/clip"], "birefvideo matte nowhere/clip"),
    ],
)
def test_a_clip_without_a_command_suggests_matte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], meant: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clips").mkdir()
    result = CliRunner().invoke(app, words, prog_name="birefvideo")
    assert result.exit_code == 2 and f"(did you mean '{meant}'?)" in result.stderr


@pytest.mark.parametrize("words", ["birefvideo nothing cl", "birefvideo matte -- '' cl", "birefvideo verify '' cl"])
def test_a_wrong_line_prints_nothing_when_it_is_completed(words: str) -> None:
    asked = {"COMP_WORDS": words, "COMP_CWORD": "2", "_TYPER_COMPLETE_ARGS": words}
    for shell in ("bash", *SHELLS):
        asked |= {"_BIREFVIDEO_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
        assert CliRunner().invoke(app, env=asked, prog_name="birefvideo").stderr == ""
