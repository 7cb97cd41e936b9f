"""birefvideo cutout: photos, folders of photos, stdin and stdout."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from clips import picture
from PIL import Image
from test_picture_tags import exif, jpeg_with, segment
from typer.testing import CliRunner, Result

from birefvideo.cli import app


def invoke(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["cutout", *map(str, arguments)], input=stdin)


def photo(path: Path, index: int = 0) -> Path:
    Image.fromarray(picture(index)).save(path)
    return path


def mode_of(path: Path) -> str:
    with Image.open(path) as image:
        return image.mode


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_photos_become_transparent_pngs_beside_them(tmp_path: Path, network: Path) -> None:
    result = invoke(photo(tmp_path / "a.jpg"), photo(tmp_path / "b.png"), "--model", network)
    assert result.exit_code == 0, result.output
    assert names_in(tmp_path) == ["a.jpg", "a_alpha.json", "a_alpha.png", "b.png", "b_alpha.json", "b_alpha.png"]
    assert mode_of(tmp_path / "a_alpha.png") == "RGBA"
    assert "done already" in invoke(tmp_path / "a.jpg", "--model", network).output


def test_a_folder_of_numbered_photos_is_no_film_here(tmp_path: Path, network: Path) -> None:
    folder = tmp_path / "walk"
    folder.mkdir()
    for number in range(3):
        photo(folder / f"{number:03}.png", number)
    assert invoke(folder, "--model", network, "--no-receipt").exit_code == 0
    assert invoke(folder, "--model", network, "--no-receipt", "--overwrite").exit_code == 0
    assert len(names_in(folder)) == 6


def test_the_name_of_the_output_chooses_its_kind(tmp_path: Path, network: Path) -> None:
    source = photo(tmp_path / "a.jpg")
    assert invoke(source, "-o", tmp_path / "x.webp", "--model", network).exit_code == 0
    assert mode_of(tmp_path / "x.webp") == "RGBA"
    result = invoke(source, "-o", tmp_path / "x.jpg", "--model", network)
    assert result.exit_code == 2 and "end it with" in result.output
    result = invoke(source, source, photo(tmp_path / "b.png"), "-o", tmp_path / "y.png", "--model", network)
    assert result.exit_code == 2 and "names one file, but there are 2 inputs" in result.output


def test_a_background_alone_is_written_where_one_is_asked_for(tmp_path: Path, network: Path) -> None:
    assert invoke(photo(tmp_path / "a.png"), "--background", "white", "--no-receipt", "--model", network).exit_code == 0
    assert names_in(tmp_path) == ["a.png", "a_comp.png"] and mode_of(tmp_path / "a_comp.png") == "RGB"


def test_a_broken_photo_stops_no_other(tmp_path: Path, network: Path) -> None:
    for name in ("a", "d"):
        photo(tmp_path / f"{name}.png")
    (tmp_path / "b.jpg").write_text("hello")
    (tmp_path / "c.jpg").write_bytes(photo(tmp_path / "whole.jpg").read_bytes()[:150])
    (tmp_path / "whole.jpg").unlink()
    (tmp_path / "e.png").touch()
    result = invoke(tmp_path, "--model", network, "--no-receipt", "--quiet")
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert len(lines) == 4 and lines[-1].endswith("3 of 5 inputs failed")
    assert all(any(name in line for line in lines) for name in ("b.jpg", "c.jpg", "e.png"))
    assert {"a_alpha.png", "d_alpha.png"} <= set(names_in(tmp_path))


def test_a_photo_goes_from_stdin_to_stdout(tmp_path: Path, network: Path) -> None:
    data = jpeg_with(segment(0xE1, b"Exif\0\0" + exif(6, ">")))
    (tmp_path / "a.jpg").write_bytes(data)
    wanted = tmp_path / "a_alpha.png"
    assert invoke(tmp_path / "a.jpg", "--no-receipt", "--model", network).exit_code == 0
    result = invoke("-", "--model", network, stdin=data)
    assert result.exit_code == 0 and result.stdout_bytes == wanted.read_bytes()
    result = invoke(tmp_path / "a.jpg", "-o", "-", "--model", network)
    assert result.stdout_bytes == wanted.read_bytes()
    result = invoke("-", "-o", tmp_path / "b.png", "--model", network, stdin=data)
    assert result.exit_code == 0 and not result.stdout_bytes
    assert (tmp_path / "b.png").read_bytes() == wanted.read_bytes()
    assert names_in(tmp_path) == ["a.jpg", "a_alpha.png", "b.png"]


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "said"),
    [
        (["-"], b"", 1, "stdin is empty"),
        (["-"], b"hello", 1, "stdin is a text file"),
        (["-", "a.jpg"], b"", 2, "- stands for one picture"),
        (["a.jpg", "b.jpg", "-o", "-"], b"", 2, "- stands for one picture"),
        (["lost.jpg", "-o", "-"], b"", 1, "lost.jpg does not exist"),
    ],
)
def test_what_cannot_go_through_is_told(arguments: list[str], stdin: bytes, code: int, said: str) -> None:
    result = invoke(*arguments, stdin=stdin)
    assert result.exit_code == code and said in result.stderr and not result.stdout_bytes, result.output


def test_no_picture_goes_into_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from birefvideo.cli import printing

    monkeypatch.setattr(printing._Outlet, "isatty", lambda self: True)
    result = invoke("-", stdin=b"x")
    assert result.exit_code == 2 and "stdout is a terminal" in result.stderr


def test_a_file_called_dash_is_named_with_its_folder(
    tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture(0)).save(buffer, "PNG")
    (tmp_path / "-").write_bytes(buffer.getvalue())
    monkeypatch.chdir(tmp_path)
    assert invoke("./-", "--no-receipt", "--model", network).exit_code == 0
    assert names_in(tmp_path) == ["-", "-_alpha.png"]


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, network: Path) -> None:
    source = photo(tmp_path / "a.png")
    command = [sys.executable, "-m", "birefvideo", "cutout", str(source), "-o", "-", "--model", str(network)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait(120) == 0
    process.stderr.close()
