"""What was meant by words and names that lead nowhere; and options that change nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

import birefvideo
from birefvideo.cli import app
from birefvideo.errors import InputError, OptionError, with_flags
from birefvideo.hints import nearest, why_missing
from birefvideo.jobs.no_effect import without_effect
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import plan_targets
from birefvideo.media.format_table import FORMATS, get_format, get_formats

GetClip = Callable[[str], Path]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.mark.parametrize(
    ("word", "meant"),
    [("prorez", "prores"), ("PRORES", "prores"), ("webn", "webm"), ("pro", "prores"), ("xyzzy", ""), ("", "")],
)
def test_the_nearest_word_is_found(word: str, meant: str) -> None:
    assert nearest(word, ["prores", "prores-xq", "webm", "green"]) == meant


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("clp.mp4", "did you mean '{}/clip.mp4'?"),
        ("CLIP.MP4", "did you mean '{}/clip.mp4'?"),
        ("clip.mov", "did you mean '{}/clip.mp4'?"),
        ("clisp/clip.mp4", "did you mean '{}/clips/clip.mp4'?"),
        ("clip.mp4/x", "does not exist"),
        ("unlike anything", "check the name and the folder"),
        ("dangling.mp4", "is a link to nowhere.mp4, which does not exist"),
        ("x" * 300, "too long"),
        ("a\0b", "null character"),
    ],
)
def test_a_missing_file_is_explained(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "clip.mp4").touch()
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "clip.mp4").touch()
    (tmp_path / "dangling.mp4").symlink_to("nowhere.mp4")
    assert words.format(tmp_path) in why_missing(tmp_path / name)
    assert why_missing(tmp_path / "clip.mp4") == ""


@pytest.mark.parametrize(
    "name", ["https://youtu.be/x", "http://a.b/c.mp4", "rtsp://cam/1", "www.youtube.com/watch?v=1"]
)
def test_an_address_is_to_be_downloaded_first(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (
        *([] if name == "http://a.b/c.mp4" else [("matte", name)]),
        ("matte", "clip.mp4", "--background", name),
        ("eval", name, "--truth", name),
        ("matte", "clip.mp4", "--model", name),
    ):
        (tmp_path / "clip.mp4").touch()
        result = invoke(*arguments)
        assert result.exit_code in (1, 2) and "download it first" in result.stderr, result.output
        assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("mov", "(prores is the .mov; so are prores-xq, qtrle, hevc-alpha)"),
        (".MOV", "(prores is the .mov;"),
        ("mp4", "(green is the .mp4; so are blue, matte, fill)"),
        ("mkv", "(ffv1 is the .mkv)"),
        ("webp", "(webp-anim is the .webp)"),
        ("tif", "(tiff is the .tif)"),
        ("vp9", "(webm is in that codec)"),
        ("prores4444", "(did you mean 'prores'?)"),
        ("grean", "(did you mean 'green'?)"),
    ],
)
def test_a_word_for_a_format_is_understood(word: str, hint: str) -> None:
    with pytest.raises(OptionError) as caught:
        get_format(word)
    assert hint in str(caught.value) and "choose from prores, " in str(caught.value)


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["prores,webm"], ["prores", "webm"]),
        (["prores, webm", "green"], ["prores", "webm", "green"]),
        (["fill+matte,prores,matte,"], ["fill", "matte", "prores"]),
    ],
)
def test_several_formats_may_be_one_word(names: list[str], wanted: list[str]) -> None:
    assert [format.name for format in get_formats(names)] == wanted


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("x.xyz", "not a kind of file that can be written: end it with"),
        ("x.mvo", "did you mean '.mov'?"),
        ("x.wbem", "did you mean '.webm'?"),
        ("x.m4v", "not a kind of file"),
        ("x.AVI", "not a kind of file"),
        ("x.exr", "--to exr makes a folder"),
    ],
)
def test_an_unknown_ending_is_no_folder(tmp_path: Path, out: str, words: str) -> None:
    with pytest.raises(OptionError) as caught:
        plan_targets(Path("clip.mp4"), tmp_path / out, [])
    assert words in caught.value.for_terminal()
    (tmp_path / out).mkdir()
    assert plan_targets(Path("clip.mp4"), tmp_path / out, [])[0].path == tmp_path / out / "clip_alpha.mov"


@pytest.mark.parametrize("out", ["cut", "v1.2", "2024.05.01", "Mr. Smith", ".hidden"])
def test_names_with_points_may_be_folders(tmp_path: Path, out: str) -> None:
    assert plan_targets(Path("clip.mp4"), tmp_path / out, ["webm"])[0].path == tmp_path / out / "clip_alpha.webm"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("mate", "clip.mp4"), "no command 'mate' (did you mean 'matte'?)"),
        (("clip.mp4",), "matte clip.mp4'?)"),
        (("matte", "clip.mp4", "--smoth", "3"), "no option --smoth (did you mean '--smooth'?)"),
        (("matte", "clip.mp4", "--batch"), "option '--batch' requires an argument"),
        (("matte",), "no input is named: give a clip"),
        (("models", "portret"), "(did you mean 'portrait'?)"),
        (("matte", "clip.mp4", "--model", "tlak"), "(did you mean 'talk'?)"),
        (("matte", "clip.mp4", "--model", "net.safetensor"), "(did you mean 'net.safetensors'?)"),
        (("matte", "clip.mp4", "--background", "blu"), "(did you mean 'blue'?)"),
        (("matte", "clip.mp4", "--background", "studoi.jpg"), "(did you mean 'studio.jpg'?)"),
        (("matte", "clip.mp4", "--despill", "gren"), "(did you mean 'green'?)"),
        (("matte", "clip.mp4", "--device", "cud"), "(did you mean 'cuda'?)"),
        (("matte", "clip.mp4", "--dtype", "float"), "(did you mean 'float32'?)"),
        (("matte", "clip.mp4", "--audio", "fist"), "(did you mean 'first'?)"),
        (("verify", "clip.mp4", "--to", "gren"), "(did you mean 'green'?)"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_misspelt_word_gets_one_line_with_the_right_one(
    arguments: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("clip.mp4", "studio.jpg", "net.safetensors"):
        Path(name).touch()
    result = invoke(*arguments)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1) and words in result.stderr, result.output


@pytest.mark.parametrize("place", ["input", "out", "background", "model", "truth", "verify"])
def test_an_impossible_name_gets_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clip.mp4").touch()
    long = "x" * 300
    result = invoke(
        *{
            "input": ("matte", long),
            "out": ("matte", "clip.mp4", "-o", f"{long}.mov"),
            "background": ("matte", "clip.mp4", "--background", f"{long}.png"),
            "model": ("matte", "clip.mp4", "--model", f"{long}.safetensors"),
            "truth": ("eval", "clip.mp4", "--truth", f"{long}.mov"),
            "verify": ("verify", f"{long}.mov"),
        }[place]
    )
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), result.output
    assert "unexpected" not in result.stderr


@pytest.mark.parametrize("given", [3, None, b"clip.mp4", ["clip.mp4"]])
def test_what_is_no_name_is_refused_in_python(given: Any, network: Path) -> None:
    for call in (birefvideo.matte, lambda source, model: next(birefvideo.mattes(source, model=model))):
        with pytest.raises(InputError, match=f"{type(given).__name__} is no name of a file"):
            call(given, model=str(network))


def test_progress_that_is_no_function_is_refused_before_the_work(clip: Any) -> None:
    with pytest.raises(OptionError, match="progress is 3: give a function"):
        birefvideo.matte(clip("plain"), progress=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["x" * 300 + ".mp4", "a\0b.mp4"], ids=["long", "null"])
def test_an_impossible_name_is_refused_in_python_too(name: str, network: Path) -> None:
    with pytest.raises(InputError):
        birefvideo.matte(name, model=str(network))
    with pytest.raises(InputError):
        next(birefvideo.mattes(name, model=str(network)))
    with pytest.raises(InputError):
        birefvideo.matte("clip.mp4", name, model=str(network))


@pytest.mark.parametrize(
    ("choices", "formats", "notes"),
    [
        ({"background": "blue"}, ["webm"], ["--background has no effect on webm: it lies under --to green only"]),
        ({"background": "blue"}, ["blue"], ["--background has no effect on blue: it lies under --to green only"]),
        ({"background": "blue"}, ["webm", "green"], []),
        ({"despill": "green"}, ["matte"], ["--despill has no effect on matte: a matte has no colour"]),
        ({"despill": "green"}, ["fill", "matte"], []),
        ({"audio": "none"}, ["gif", "png"], ["--audio has no effect on gif and png: it has no sound"]),
        ({"audio": "none"}, ["gif", "prores"], []),
        ({"audio": "all", "background": "green"}, ["green"], []),
        ({}, ["gif", "matte"], []),
    ],
)
def test_options_without_effect_are_told(choices: dict[str, str], formats: list[str], notes: list[str]) -> None:
    found = without_effect(Options(**choices), [FORMATS[name] for name in formats])  # type: ignore[arg-type]
    assert [with_flags(line) for line in found] == notes


def test_an_option_without_effect_is_told_before_the_work_and_in_python(copy: GetClip, network: Path) -> None:
    source = copy("one_frame")
    result = invoke("matte", source, "--to", "matte", "--background", "green", "--model", network)
    assert result.exit_code == 0, result.output
    first, note, work = result.stdout.splitlines()[:3]
    assert first.startswith("loading ") and work.startswith("one_frame")
    assert note == "note: --background has no effect on matte: it lies under --to green only"
    assert result.stdout.count("no effect") == 1
    made = birefvideo.matte(source, to="matte", background="blue", model=str(network), overwrite=True)
    doubt = f"{network.name} is not sure that there is a person in this clip: look at the result, and try another model"
    assert made.warnings == ["background has no effect on matte: it lies under to='green' only", doubt]


def test_options_of_time_are_told_of_a_picture_before_the_work(network: Path, tmp_path: Path) -> None:
    photo = tmp_path / "me.png"
    assert cv2.imwrite(str(photo), np.full((48, 64, 3), 90, np.uint8))
    result = invoke("matte", photo, "--smooth", "3", "--model", network)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[1] == "note: --smooth has no effect on a .png picture: it has no time"
    assert result.stdout.count("no effect") == 1
    assert "as --to png has it" in invoke("verify", tmp_path / "me_alpha.png").stdout
