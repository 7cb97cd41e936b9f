"""What reaches the terminal: clean whatever a file is called, and never with a say in whether the work is done."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pytest
from clips import write_clip
from typer.testing import CliRunner

from birefvideo.cli import app
from birefvideo.cli.printing import answer, answer_json, answer_lines, outlets, printable, tell
from birefvideo.pipeline import matte_segment

GetClip = Callable[[str], Path]
Broken = Callable[[str], "TextIO | None"]
PROGRAM = (sys.executable, "-m", "birefvideo")
NASTY = ("\x1b[31m", "\x9b31m", "\x07", "\u202e", "\u2066", "\u2028", "\x7f", "\u200b", "\udcff", "\U000e0041")

NEEDS_FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
NEEDS_POLL = pytest.mark.skipif(not hasattr(select, "poll"), reason="no poll")
NEEDS_HANGUP = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP")
HOSTILE = "a\x1b]0;b\x07\x9bc\u202ed\n"
"""A name that sets the window's title, moves the cursor and turns the direction of writing."""
OBEYED = set("\x1b\x07\x9b\u202e")


@pytest.mark.parametrize("part", NASTY, ids=ascii)
def test_what_a_terminal_obeys_or_hides_becomes_a_question_mark(part: str) -> None:
    assert printable(f"a{part}b") == f"a?{part[1:]}b"


@pytest.mark.parametrize("text", ["ünï 人.mp4", "👩‍👩‍👧.mov", "می‌خواهم", "café", "1280×720 …"])
def test_letters_of_any_script_stay(text: str) -> None:
    assert printable(text) == text


def test_json_is_clean_and_the_same_when_it_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"file": "".join(NASTY) + 'é"\n'}
    answer_json(value)
    text = capsys.readouterr().out
    assert json.loads(text) == value and "é" in text
    assert not any(part[0] in text for part in NASTY)


def test_json_is_ascii_where_the_terminal_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="ascii") as file:
        monkeypatch.setattr(sys, "stdout", file)
        answer_json(["é"])
    assert json.loads((tmp_path / "out").read_bytes()) == ["é"]


def test_signs_of_ours_are_spelt_where_the_terminal_is_ascii(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="ascii") as file:
        monkeypatch.setattr(sys, "stdout", file)
        assert app(["matte", "--help"], standalone_mode=False) == 0
    monkeypatch.undo()
    assert "#rrggbb ..., or auto" in (tmp_path / "out").read_text(encoding="ascii")


@pytest.mark.parametrize(
    "arguments",
    [
        ("matte", "{nasty}.mp4"),
        ("{nasty}",),
        ("matte", "--{nasty}"),
        ("matte", "clip.mp4", "--to", "{nasty}"),
        ("matte", "clip.mp4", "--audio", "{nasty}"),
        ("matte", "clip.mp4", "--model", "{nasty}"),
        ("matte", "clip.mp4", "--batch", "{nasty}"),
        ("verify", "{nasty}_alpha.mov"),
        ("verify", "{nasty}_alpha.mov", "--json"),
        ("eval", "{nasty}.mov", "--truth", "{nasty}.mov"),
        ("models", "{nasty}"),
    ],
    ids=" ".join,
)
def test_no_command_repeats_what_the_terminal_obeys(
    arguments: tuple[str, ...], tmp_path: Path, clip: GetClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(clip("one_frame"), "clip.mp4")
    done = CliRunner().invoke(app, [word.format(nasty=HOSTILE) for word in arguments])
    assert done.exit_code in (1, 2) and done.output
    assert not OBEYED & set(done.output)
    if "verify" not in arguments:
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("option", ["--model", "--to"])
def test_an_error_does_not_fill_the_screen_with_what_was_given(option: str, copy: GetClip) -> None:
    done = CliRunner().invoke(app, ["matte", str(copy("one_frame")), option, "9" * 10_000])
    assert done.exit_code == 2 and "9999…9999" in done.stderr and len(done.stderr) < 1000


def test_a_traceback_is_clean_too(tmp_path: Path) -> None:
    done = subprocess.run([*PROGRAM, "matte", f"{HOSTILE}.mp4", "--debug"], capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" in done.stderr and "InputError" in done.stderr
    assert not OBEYED & set(done.stderr)


@pytest.fixture
def broken() -> Iterator[Callable[[str], TextIO | None]]:
    """Streams that cannot be written to, by kind; what our program leaves in them goes nowhere when they are closed."""
    made: list[TextIO] = []

    def get(kind: str) -> TextIO | None:
        if kind == "none":
            return None
        reading, writing = os.pipe()
        os.close(reading)
        if kind == "full":
            os.close(writing)
            writing = os.open("/dev/full", os.O_WRONLY)
        made.append(os.fdopen(writing, "w", encoding="utf-8"))
        if kind == "closed":
            made[-1].close()
        return made[-1]

    yield get
    for stream in made:
        stream.close()


KINDS = ["pipe", "closed", "none", pytest.param("full", marks=NEEDS_FULL)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "names",
    [
        ("stdout", "stderr"),
        pytest.param(("stdout",), marks=pytest.mark.slow),
        pytest.param(("stderr",), marks=pytest.mark.slow),
    ],
    ids="+".join,
)
def test_a_job_ends_well_wherever_its_words_go(
    copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch, broken: Broken, names: tuple[str, ...], kind: str
) -> None:
    source = copy("one_frame")
    for name in names:
        monkeypatch.setattr(sys, name, broken(kind))
    assert app(["matte", str(source), "--model", str(network), "--to", "matte"], standalone_mode=False) == 0
    monkeypatch.undo()
    output = source.with_name("one_frame_matte.mp4")
    assert CliRunner().invoke(app, ["verify", str(output)]).exit_code == 0
    assert sorted(p.name for p in source.parent.iterdir() if p.is_dir()) == []


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Makes stdout and stderr a full pipe that nobody reads yet, and returns its reading end."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    with os.fdopen(writing, "w", encoding="utf-8") as stream:

        def begin() -> int:
            for name in ("stdout", "stderr"):
                monkeypatch.setattr(sys, name, stream)
            return reading

        yield begin
        monkeypatch.undo()
    os.close(reading)


@NEEDS_POLL
def test_a_job_ends_though_nobody_reads_what_it_says(copy: GetClip, network: Path, unread: Callable[[], int]) -> None:
    source = copy("one_frame")
    unread()
    assert app(["matte", str(source), "--model", str(network), "--to", "matte"], standalone_mode=False) == 0
    assert source.with_name("one_frame_matte.mp4").exists()


@NEEDS_POLL
def test_what_is_read_late_arrives_whole_and_in_order(unread: Callable[[], int]) -> None:
    reading = unread()
    lines = [f"{number} {'x' * 300}" for number in range(20)]
    with outlets():
        for line in lines[:-1]:
            tell(line)
        os.read(reading, 1_000_000)
        tell(lines[-1])
    assert os.read(reading, 1_000_000).decode().splitlines() == lines


@NEEDS_POLL
def test_lines_of_threads_that_print_at_once_arrive_whole(unread: Callable[[], int]) -> None:
    reading, errors = unread(), list[BaseException]()
    os.read(reading, 1_000_000)
    lines = [[f"{thread} {number} {'x' * 600}" for number in range(150)] for thread in range(3)]

    def work(mine: list[str]) -> None:
        try:
            for line in mine:
                tell(line)
        except BaseException as error:
            errors.append(error)

    with outlets():
        threads = [threading.Thread(target=work, args=(mine,)) for mine in lines]
        for thread in threads:
            thread.start()
        read = b""
        while read.count(b"\n") < 450 and select.select([reading], [], [], 5)[0]:
            read += os.read(reading, 1_000_000)
        for thread in threads:
            thread.join()
    assert errors == []
    assert sorted(read.decode().splitlines()) == sorted(line for mine in lines for line in mine)


@NEEDS_POLL
def test_an_answer_waits_for_its_reader(unread: Callable[[], int]) -> None:
    reading = unread()
    late: list[bytes] = []

    def read_late() -> None:
        time.sleep(1.5)  # longer than a line about work would wait
        while not b"".join(late[-2:]).endswith(b"last\n"):
            late.append(os.read(reading, 1_000_000))

    reader = threading.Thread(target=read_late)
    reader.start()
    with outlets():
        answer_lines(["x" * 300] * 2000)
        answer("last")
    reader.join()
    assert b"".join(late).lstrip(b"x").count(b"x\n") == 1999


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ["models", "--help", "matte --help", "--version", "models talk --json"])
def test_a_command_that_prints_tells_when_it_could_not(
    command: str, kind: str, broken: Broken, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", broken(kind))
    code = app(command.split(), standalone_mode=False)
    why = {"pipe": "", "full": "No space left on device"}.get(kind, "Bad file descriptor")
    said = f"birefvideo: cannot print ({why}): what was printed is not whole\n" if why else ""
    assert (code, capsys.readouterr().err) == (int(bool(why)), said)


@pytest.fixture
def short(clip: GetClip, tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The command that mattes a short clip in the working folder, for a shell."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(clip("one_frame"), "clip.mp4")
    return f"{' '.join(PROGRAM)} matte clip.mp4 --model {network} --to matte"


@pytest.mark.slow
@pytest.mark.parametrize(
    "where", ["| head -1", "2>&1 | true", pytest.param(">/dev/full 2>&1", marks=NEEDS_FULL), ">&- 2>&- <&-"]
)
def test_the_program_leaves_no_complaint_at_its_end(short: str, where: str) -> None:
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {short} {where}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr and "Broken" not in done.stderr
    assert Path("clip_matte.mp4").stat().st_size > 0 and not Path("clip.birefvideo").exists()


def started_in_a_terminal(command: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start a job of a clip that lasts, in a terminal of its own; return it when it computes, and the terminal."""
    terminal, inside = os.openpty()
    process = subprocess.Popen(
        ["bash", "-c", command], stdin=inside, stdout=inside, stderr=inside, start_new_session=True
    )
    os.close(inside)
    seen, deadline = b"", time.monotonic() + 60
    while b"on cpu" not in seen and time.monotonic() < deadline:
        seen += os.read(terminal, 1000)
    return process, terminal


@NEEDS_HANGUP
@pytest.mark.slow
def test_a_job_that_ignores_the_hangup_survives_its_terminal(short: str) -> None:
    write_clip(Path("clip.mp4"), frames=60)
    process, terminal = started_in_a_terminal(f"trap '' HUP; exec {short}")
    os.close(terminal)
    assert process.wait(60) == 0
    assert Path("clip_matte.mp4").exists()


@NEEDS_HANGUP
@pytest.mark.slow
def test_a_hangup_stops_a_job_as_ctrl_c_does(short: str) -> None:
    write_clip(Path("clip.mp4"), frames=900)  # more than it computes before the signal reaches it
    process, terminal = started_in_a_terminal(f"exec {short}")
    process.send_signal(signal.SIGHUP)
    os.close(terminal)
    assert process.wait(60) == 130
    assert not list(Path().glob("clip_matte*"))


def test_the_first_words_come_before_torch_is_loaded(short: str, tmp_path: Path) -> None:
    code = (
        "import sys; from birefvideo.cli import matte as m; from birefvideo.cli import app\n"
        "def told(line):\n    print(line, 'torch' in sys.modules); sys.exit(7)\n"
        "sys.modules['birefvideo.cli.matte'].tell = told; app(['matte', 'clip.mp4', '--model', 'talk'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (7, "loading the built-in model talk … False\n"), done.stderr


def test_the_pace_counts_what_was_computed_now(copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("birefvideo.jobs.plan.SEGMENT_SECONDS", 0.25)
    monkeypatch.setattr("birefvideo.jobs.plan.SHORTEST_TAIL", 0.05)
    source, real = copy("plain"), matte_segment
    done: list[int] = []

    def stopping(*arguments: object) -> object:
        if done:
            raise KeyboardInterrupt
        done.append(1)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("birefvideo.jobs.segment_work.matte_segment", stopping)
    command = ["matte", str(source), "--model", str(network), "--to", "matte"]
    assert CliRunner().invoke(app, command).exit_code == 130
    monkeypatch.setattr("birefvideo.jobs.segment_work.matte_segment", real)
    result = CliRunner().invoke(app, command)
    assert "  6 frames are done already, from an earlier run" in result.stdout
    assert "  12 frames in " in result.stdout and "(6 of them new, " in result.stdout, result.stdout


@pytest.mark.parametrize("columns", ["80", "97", "120", "200"])
@pytest.mark.parametrize("command", ["models", "formats"])
def test_tables_fit_the_terminal(command: str, columns: str) -> None:
    shown = CliRunner().invoke(app, [command], env={"COLUMNS": columns})
    lines = shown.stdout.splitlines()
    assert shown.exit_code == 0 and max(map(len, lines)) <= int(columns)
    assert not any(line.endswith(" ") for line in lines)


@pytest.mark.parametrize("command", ["matte", "models", "verify", "formats", "eval"])
def test_help_is_in_the_user_s_words(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "80"}).stdout
    assert "list[" not in shown and "<" not in shown and "default: True" not in shown and " / --" not in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_help_groups_the_options() -> None:
    shown = CliRunner().invoke(app, ["matte", "--help"]).stdout
    heads = [line for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert heads == [
        "Arguments:",
        *(
            f"{name} options:"
            for name in ("Common", "Batch", "Picture", "Direct", "Edge", "Sound", "Machine", "Expert")
        ),
    ]
    assert shown.index("Sound options") < shown.index("--audio") < shown.index("Machine options")
