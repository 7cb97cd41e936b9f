"""scripts/torture.py: what it spoils is spoilt the same way again, a find is told, and a stopped run goes on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torture
from torturing import jobs, kills, spoilt, stops
from torturing.children import FAILED, Child, Ending, endings
from torturing.ledger import Found, Ledger
from torturing.mutations import spoil_bytes, spoil_json, spoil_media, spoil_text
from torturing.structure import pieces, spoil_structure

ROOT = Path(__file__).resolve().parent.parent
GetClip = Callable[[str], Path]

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


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("plain", {b"stts", b"mdhd"}), ("webm", {b"\x2a\xd7\xb1", b"\xa3"}), ("avi", {b"strh", b"00dc"})],
)
def test_media_are_taken_apart_and_spoilt_by_their_structure(clip: GetClip, name: str, wanted: set[bytes]) -> None:
    data = clip(name).read_bytes()
    found = pieces(data)
    names = {data[piece.start :][: len(one)] for piece in found for one in wanted}
    names |= {data[piece.start + 4 :][:4] for piece in found}
    assert wanted <= names
    for piece in [piece for piece in found if piece.parent >= 0]:
        around = found[piece.parent]
        assert around.body <= piece.start < piece.end <= around.end
    first, again = random.Random(5), random.Random(5)
    made = [spoil_structure(data, first, data) for _ in range(40)]
    assert made == [spoil_structure(data, again, data) for _ in range(40)]
    assert len(set(made)) > 25
    assert len({spoil_media(data, first, data) for _ in range(40)}) > 30


def test_the_sizes_around_a_doubled_box_can_be_made_right(clip: GetClip) -> None:
    data = clip("plain").read_bytes()
    for seed in range(40):
        made = spoil_structure(data, random.Random(seed), data)
        grown = len(made) - len(data)
        moov = [piece for piece in pieces(made) if made[piece.start + 4 : piece.start + 8] == b"moov"]
        if grown > 0 and len(moov) == 1 and moov[0].end - moov[0].start == len(data) - data.index(b"moov") + 4 + grown:
            return
    raise AssertionError("no moov has grown with what is in it")


@needs_fork
def test_whatever_is_no_error_of_ours_is_a_find() -> None:
    def ended(source: str, limit: float = 30) -> str:
        def work() -> None:
            exec(source)

        return spoilt.fault_of(Child(lambda: spoilt.told(work), limit=limit).wait())

    assert ended("pass") == ""
    assert ended("from birefvideo.errors import InputError; raise InputError('one line')") == ""
    assert ended("from birefvideo.errors import InputError; raise InputError('two\\nlines')") == "more than one line"
    assert ended("raise KeyError('what')") == "KeyError: 'what'"
    assert ended("import os, signal; os.kill(os.getpid(), signal.SIGKILL)") == "ended by signal 9"
    assert ended("import time; time.sleep(60)", limit=0.1).startswith("still at it")
    assert spoilt.fault_of(Ending(0, "", 1.0, 2_100_000_000)) == "took 2.1 GB"


@needs_fork
def test_a_process_is_killed_at_its_moment_with_what_it_has_started(tmp_path: Path) -> None:
    def work() -> None:
        (tmp_path / "pid").write_text(str(subprocess.Popen(["sleep", "60"]).pid))
        time.sleep(60)

    child = Child(work, 0.5, signal.SIGKILL, has_group=True)
    assert child.wait().code == -signal.SIGKILL
    state = Path(f"/proc/{(tmp_path / 'pid').read_text()}/stat")
    end = time.monotonic() + 10
    while state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z":
        assert time.monotonic() < end
        time.sleep(0.01)


@needs_fork
def test_something_is_done_before_a_step_that_writes(tmp_path: Path) -> None:
    def write() -> None:
        jobs._strike_at(tmp_path / "out", (2, lambda: os.kill(os.getpid(), signal.SIGKILL)), [])
        (tmp_path / "aside").write_text("not counted")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "a").write_text("first")
        (tmp_path / "out" / "a").rename(tmp_path / "out" / "b")

    assert Child(write).wait().code == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]


@needs_fork
def test_works_are_done_a_few_at_a_time_and_their_ends_told() -> None:
    found = dict(endings([(n, lambda n=n: sys.exit(n)) for n in range(5)], 30))  # type: ignore[misc]
    assert {number: ending.code for number, ending in found.items()} == {n: n for n in range(5)}
    failed = Child(lambda: 1 / 0).wait()
    assert failed.code == FAILED and failed.last_line == "ZeroDivisionError: division by zero"


def test_what_a_kill_may_not_leave_is_told() -> None:
    wanted: dict[str, object] = {"a.mov": "1", "a_png": "folder", "a_png/1.png": "2", "a_png/2.png": "3"}
    assert jobs.differences({"a.birefvideo": "folder"}, wanted, whole=False) == []
    assert jobs.differences(wanted, wanted, whole=True) == []
    assert jobs.differences({"a.mov": "half", "x": "1"}, wanted, whole=False) == ["x is left", "a.mov has other bytes"]
    assert jobs.differences({"a_png": "folder", "a_png/1.png": "2"}, wanted, whole=False) == ["a_png lacks pictures"]
    assert jobs.differences({**wanted, "a.birefvideo": "folder"}, wanted, whole=True) == ["a.birefvideo is left"]


def test_jobs_are_killed_at_moments_at_steps_and_twice() -> None:
    ways = [kills.deaths(9, turn, random.Random(turn)) for turn in range(4)]
    assert [len(way) for way in ways] == [1, 1, 1, 2]
    assert all(way[0].signal == signal.SIGKILL and way[0].after > 0 for way in (*ways[:2], ways[3]))
    assert all(0 <= death.step < 9 for way in ways for death in way)
    assert [way[-1].after for way in ways[2:]] == [0, 0]


def test_a_run_goes_on_where_it_was_stopped_and_tells_of_finds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = Ledger(tmp_path, 0)
    ledger.add(Found("kills", 0, "a kill", "same", "", "2 segments"))
    ledger.add(Found("kills", 2, "another", "find", "other bytes"))
    with (tmp_path / "state.jsonl").open("a") as file:
        file.write('{"code": "cut o')
    again = Ledger(tmp_path, 0)
    assert list(again.missing("kills", range(4))) == [1, 3]
    assert list(Ledger(tmp_path, 1).missing("kills", range(4))) == [0, 1, 2, 3]
    assert torture.print_table(again, ["kills"])
    told = capsys.readouterr().out
    assert "kills        2     1  1 same, 1 find" in told
    assert "FIND kills 2, another: other bytes" in told
    assert not torture.print_table(Ledger(tmp_path, 1), ["kills"])


def test_decoding_that_stops_early_beside_pytorch_ends(clip: GetClip) -> None:
    clips = [clip(name) for name in ("short_gops", "interlaced_prores", "with_alpha")]
    errors: list[BaseException] = []

    def work() -> None:
        try:
            stops.stops(clips, None, 20, random.Random(0))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(120)
    assert not thread.is_alive() and not errors, errors


@needs_fork
@pytest.mark.slow
def test_a_short_run_finds_nothing(tmp_path: Path) -> None:
    parts = ["--parts", "media,texts,kills,stops", "--cases", "3"]
    command = [sys.executable, str(ROOT / "scripts/torture.py"), *parts, "--keep", str(tmp_path / "finds")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "kills        3     0  3 same" in done.stdout
