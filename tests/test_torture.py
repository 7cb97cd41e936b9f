"""scripts/torture.py: what it spoils is spoilt the same way again, and a find is told."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torture
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
