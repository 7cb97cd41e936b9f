"""A drop folder: what is taken, and when."""

from __future__ import annotations

import _thread
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from birefvideo.cli import app, watch
from birefvideo.cli.inputs import find_clips
from birefvideo.errors import BirefvideoError

GetClip = Callable[[str], Path]


class Clock(threading.Event):
    """An event whose waiting is a second of a clock that `watch` sees, before which something happens."""

    def __init__(self, *happens: Callable[[], object]) -> None:
        super().__init__()
        self.now = 0.0
        self._happens = list(happens)

    def wait(self, timeout: float | None = None) -> bool:
        if self._happens:
            self._happens.pop(0)()
        elif self.now > 60:
            self.set()
        self.now += 1
        return self.is_set()

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[tuple[float, str]]]:
    """Returns when which inputs of the test's folder are taken, and 'REFUSED NAME' of those that do not open."""

    def run(*happens: Callable[[], object], fails: Callable[[], bool] = lambda: False) -> list[tuple[float, str]]:
        clock, found = Clock(*happens), list[tuple[float, str]]()

        def probe(clip: Path) -> None:
            if fails():
                raise BirefvideoError(f"{clip.name} cannot be read")

        monkeypatch.setattr("birefvideo.cli.watch.time.monotonic", clock.monotonic)
        monkeypatch.setattr("birefvideo.media.reading.probe.probe", probe)
        refuse = lambda clip, error: found.append((clock.now, f"REFUSED {clip.name}"))  # noqa: E731
        for ready in watch.Watch(lambda: find_clips([tmp_path], None), refuse, clock):
            found += [(clock.now, clip.name) for clip in ready]
        return found

    return run


def _later(path: Path, data: bytes) -> Callable[[], object]:
    return lambda: path.write_bytes(data)


def test_a_file_is_taken_once_it_has_not_grown_for_a_while(
    seen: Callable[..., list[tuple[float, str]]], tmp_path: Path
) -> None:
    clip = tmp_path / "a.mp4"
    pause = [lambda: None] * 3
    assert seen(*(_later(clip, bytes(n)) for n in range(4)), *pause, _later(clip, bytes(9))) == [(13.0, "a.mp4")]


def test_a_file_that_changes_is_taken_again(seen: Callable[..., list[tuple[float, str]]], tmp_path: Path) -> None:
    clip = tmp_path / "a.mp4"
    found = seen(_later(clip, b"1"), *[lambda: None] * 9, _later(clip, b"22"))
    assert [name for _, name in found] == ["a.mp4", "a.mp4"]


def test_a_file_that_does_not_open_is_told_once_and_taken_when_it_has_changed(
    seen: Callable[..., list[tuple[float, str]]], tmp_path: Path
) -> None:
    clip = tmp_path / "a.mp4"
    found = seen(
        _later(clip, b"1"),
        *[lambda: None] * 20,
        _later(clip, b"22"),
        fails=lambda: clip.read_bytes() == b"1",
    )
    assert [name for _, name in found] == ["REFUSED a.mp4", "a.mp4"]


def test_pictures_wait_for_the_series_that_they_begin(
    seen: Callable[..., list[tuple[float, str]]], tmp_path: Path
) -> None:
    pictures = [_later(tmp_path / f"shot_{n:03}.png", b"1") for n in range(8)]
    assert [name for _, name in seen(*pictures)] == [tmp_path.name]


def test_a_folder_that_goes_away_may_come_back(
    seen: Callable[..., list[tuple[float, str]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    away = tmp_path.with_name(f"{tmp_path.name}_away")
    found = seen(
        lambda: tmp_path.rename(away), lambda: None, lambda: away.rename(tmp_path), _later(tmp_path / "a.mp4", b"1")
    )
    assert [name for _, name in found] == ["a.mp4"]
    assert capsys.readouterr().err.count("does not exist") == 1


def test_a_watched_folder_makes_what_comes_until_it_is_stopped(
    copy: GetClip, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SETTLED", 0.1)
    monkeypatch.setattr(watch, "LOOKS_EVERY", 0.05)
    source, drop = copy("one_frame"), tmp_path / "drop"
    drop.mkdir()

    def wait_for(path: Path) -> None:
        end = time.monotonic() + 30
        while not path.exists() and time.monotonic() < end:
            time.sleep(0.02)

    def happen() -> None:
        try:
            (drop / "bad.mp4").write_bytes(b"no film")
            shutil.copy(source, drop / "good.mp4")
            wait_for(drop / "good_matte.json")
            (drop / "deep").mkdir()
            os.link(source, drop / "deep" / "late.mp4")
            wait_for(drop / "deep" / "late_matte.json")
            time.sleep(0.5)  # what it has made is not to be taken
        finally:
            _thread.interrupt_main()

    helper = threading.Thread(target=happen)
    helper.start()
    result = CliRunner().invoke(
        app, ["matte", str(drop), "--watch", "--recursive", "--model", str(network), "--to", "matte"]
    )
    helper.join()
    assert result.exit_code == 130, result.output
    rows = json.loads((drop / "report.json").read_text())["inputs"]
    assert sorted((Path(row["input"]).name, row["status"]) for row in rows) == [
        ("bad.mp4", "failed"),
        ("good.mp4", "done"),
        ("late.mp4", "done"),
    ]
    assert sorted(path.name for path in drop.rglob("*_matte*.mp4")) == ["good_matte.mp4", "late_matte.mp4"]
    assert "(it is taken when it has changed)" in result.stderr


@pytest.mark.parametrize("arguments", [["clip.mp4"], ["in", "--files-from", "list"], ["nowhere"]])
def test_only_folders_are_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clip.mp4").touch()
    Path("in").mkdir()
    result = CliRunner().invoke(app, ["matte", *arguments, "--watch"])
    assert result.exit_code == 2 and "--watch waits for clips that come into folders" in result.stderr
