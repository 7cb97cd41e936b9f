"""scripts/torture.py: what it spoils is spoilt the same way again, and a find is told."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torture
from torturing import kills
from torturing.mutations import spoil_bytes, spoil_json, spoil_text
from torturing.runs import Run

ROOT = Path(__file__).resolve().parent.parent

needs_fork = pytest.mark.skipif(sys.platform == "win32", reason="no fork here")
SEED = json.dumps({"a": [1, 2, {"b": "1/25"}]}).encode()


@pytest.mark.parametrize("spoil", [spoil_bytes, spoil_json, spoil_text])
def test_a_seed_gives_the_same_files_again_and_others_in_turn(spoil: object) -> None:
    assert callable(spoil)
    first, again = random.Random(3), random.Random(3)
    made = [spoil(SEED, first) for _ in range(50)]
    assert made == [spoil(SEED, again) for _ in range(50)]
    assert len(set(made)) > 15
    assert any(one != SEED for one in made)


@needs_fork
def test_whatever_is_no_error_of_ours_is_a_find(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def run(source: str) -> int:
        spoilt = Run("x", b"", tmp_path / "x", spoil_bytes, lambda: exec(source))
        return torture.case(spoilt, b"spoilt")

    assert run("pass") == 0
    assert run("from birefvideo.errors import InputError; raise InputError('one line')") == 10
    for source in ("raise KeyError", "from birefvideo.errors import InputError; raise InputError('two\\nlines')"):
        assert run(source) == 11
    assert run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)") == 11
    assert (tmp_path / "x").read_bytes() == b"spoilt"
    assert "ended by signal 9" in capfd.readouterr().out


@needs_fork
@pytest.mark.slow
def test_a_short_run_finds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts/torture.py"), "--seconds", "15", "--keep", str(tmp_path / "finds")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "sequence.json" in done.stdout


@needs_fork
def test_a_process_is_killed_at_its_moment_or_before_a_step_that_writes(tmp_path: Path) -> None:
    assert kills._in_child(lambda: time.sleep(60), tmp_path / "log", 0.05, signal.SIGKILL) == -signal.SIGKILL

    def write() -> None:
        kills._die_at(tmp_path / "out", kills.Death(signal.SIGKILL, 2), [])
        (tmp_path / "aside").write_text("not counted")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "a").write_text("first")
        (tmp_path / "out" / "a").rename(tmp_path / "out" / "b")

    assert kills._in_child(write, tmp_path / "log") == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]


def test_what_a_kill_may_not_leave_is_told() -> None:
    wanted: dict[str, object] = {"a.mov": "1", "a_png": "folder", "a_png/1.png": "2", "a_png/2.png": "3"}
    assert kills._differences({"a.birefvideo": "folder"}, wanted, whole=False) == []
    assert kills._differences(wanted, wanted, whole=True) == []
    assert kills._differences({"a.mov": "half", "x": "1"}, wanted, whole=False) == [
        "x is left",
        "a.mov has other bytes",
    ]
    assert kills._differences({"a_png": "folder", "a_png/1.png": "2"}, wanted, whole=False) == ["a_png lacks pictures"]
    assert kills._differences({**wanted, "a.birefvideo": "folder"}, wanted, whole=True) == ["a.birefvideo is left"]


def test_kill_runs_go_on_where_they_were_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []

    class Stub:
        steps, seconds = ("open a",), 1.0

        def __init__(self, folder: Path) -> None: ...

        def deaths(self, rng: random.Random) -> object:
            return iter([(kills.Death(signal.SIGKILL, 0),)] * 9)

        def die(self, number: int, deaths: object) -> kills.Killed:
            if number in done or len(done) == 3:
                raise KeyboardInterrupt
            done.append(number)
            return kills.Killed("how", 2, "bad" if number == 4 else "")

    monkeypatch.setattr(kills, "Job", Stub)
    with pytest.raises(KeyboardInterrupt):
        kills.kill(4, 0, tmp_path, tmp_path)
    done[:] = done[:0]
    assert not kills.kill(4, 0, tmp_path, tmp_path) and done == [3]
    assert kills.kill(5, 0, tmp_path, tmp_path) and done == [3, 4]


@needs_fork
@pytest.mark.slow
def test_a_killed_job_ends_as_one_that_nobody_stopped(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts/torture.py"), "--kills", "2", "--keep", str(tmp_path / "finds")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "2 kills: 2 ended bit-identical" in done.stdout
