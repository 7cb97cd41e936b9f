"""The kill runs of scripts/torture.py: a job is killed at a moment or at a step that writes, and run again.

What must hold: nothing lies under a final name that is not complete; the same command ends with the bytes of a job that
nobody stopped, uses every segment that was finished, and leaves nothing behind. Each run is a process of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from clips import CLIPS

import birefvideo
from birefvideo.cli import main
from birefvideo.family.checkpoints import save_folder
from birefvideo.jobs import plan
from birefvideo.network.birefnet import BiRefNet, Geometry

TIMEOUT = 120
"""Seconds that a run may take."""
FORMATS = "prores,webm,png,green"
"""What the job makes, besides its receipts."""
_SEGMENTS = Fraction(1, 6), Fraction(1, 12)  # seconds of one, and of the shortest last one
_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_WRITING = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
_STOPPED = 130
_CHANGES = "written"
"""What a receipt says that differs from run to run: when."""


@dataclass(frozen=True)
class Death:
    """When a run is killed, and by what."""

    signal: int
    """Its number."""
    step: int = -1
    """Before the writing step of this number, counted from 0; -1: at a moment."""
    share: float = 0.0
    """That moment, as a share of the time that the whole job takes."""


@dataclass(frozen=True)
class Killed:
    """What became of a job that was killed and run again."""

    how: str
    """When it was killed, and by what."""
    reused: int
    """Segments that the last run did not compute again."""
    fault: str
    """What was wrong, or ''."""


class Job:
    """A small job of six segments that can be run and killed any number of times, each time in a new folder."""

    def __init__(self, folder: Path) -> None:
        plan.SEGMENT_SECONDS, plan.SHORTEST_TAIL = _SEGMENTS  # type: ignore[assignment]
        self._folder = folder
        self._network, self._steps_file = folder / "network", folder / "steps.txt"
        self.clip = CLIPS["short_gops"](folder)
        _in_child(lambda: _save_network(self._network), folder / "network.log")
        started = time.monotonic()
        self._run(folder / "whole")
        self.seconds = time.monotonic() - started
        self.steps = self._steps_file.read_text().splitlines()
        """The steps by which it writes, in order: 'os.rename part_00000.json'."""
        self.whole = _contents(folder / "whole")

    def deaths(self, rng: random.Random) -> Iterator[tuple[Death, ...]]:
        """Yield without end how to kill: at every step, one of each kind first, and between them at moments."""
        while True:
            at_steps = [Death(number, step) for step in range(len(self.steps)) for number in _SIGNALS]
            rng.shuffle(at_steps)
            kinds = [re.sub(r"\d+", "", self.steps[death.step]) for death in at_steps]
            order = sorted(range(len(at_steps)), key=lambda index: kinds[index] in kinds[:index])
            steps = iter([at_steps[index] for index in order])
            for death in steps:
                yield (death,)
                yield (Death(rng.choice(_SIGNALS), share=rng.random()),)
                yield (Death(rng.choice(_SIGNALS), share=rng.random()), next(steps, death))

    def die(self, number: int, deaths: Sequence[Death]) -> Killed:
        """Kill a new job in one way after another, run it to its end, and compare."""
        out = self._folder / f"kill{number}"
        faults, reused = [], 0
        for death in deaths:
            faults += self._kill(out, death)
            reused = len(_finished_segments(out))
        code, told = self._run(out)
        if code != 0:
            faults.append(f"run again: exit {code}: {told.splitlines()[-1:]}")
        frames = re.search(r"(\d+) frames are done already", told)
        if bool(frames) != bool(reused) and "done already, by its receipts" not in told and code == 0:
            faults.append(f"{reused} segments were finished, and the next run told of {frames and frames[1]} frames")
        faults += _differences(_contents(out), self.whole, whole=True)
        return Killed(" then ".join(map(self._named, deaths)), reused, "; ".join(dict.fromkeys(faults)))

    def _kill(self, out: Path, death: Death) -> list[str]:
        code, told = self._run(out, death)
        ways = {-death.signal, 0} if death.signal == signal.SIGKILL else {_STOPPED, 0}
        if death.signal != signal.SIGKILL and not told:  # before the program has said what a signal does
            ways.add(-death.signal)
        faults = [] if code in ways else [f"killed: exit {code}: {told.splitlines()[-1:]}"]
        if "Traceback" in told:
            faults.append("killed: a traceback")
        return faults + _differences(_contents(out), self.whole, whole=False)

    def _run(self, out: Path, death: Death | None = None) -> tuple[int, str]:
        """Run the job in a child; return its exit code, negative for a signal, and what it printed."""
        at_moment = death and death.step < 0
        delay = death.share * self.seconds if death and at_moment else TIMEOUT
        log = self._folder / "log.txt"
        code = _in_child(lambda: self._command(out, death), log, delay, death.signal if death and at_moment else 0)
        return code, log.read_text(errors="replace")

    def _command(self, out: Path, death: Death | None) -> None:
        done: list[str] = []
        _die_at(out, death, done)
        sys.argv = ["birefvideo", "matte", str(self.clip), "-o", f"{out}{os.sep}", "--to", FORMATS]
        sys.argv += ["--model", str(self._network)]
        try:
            main()
        finally:
            if death is None:
                self._steps_file.write_text("\n".join(done))

    def _named(self, death: Death) -> str:
        name = signal.Signals(death.signal).name
        if death.step < 0:
            return f"{name} at {death.share:.0%}"
        return f"{name} before {self.steps[death.step]} ({death.step + 1}/{len(self.steps)})"


def kill(count: int, seed: int, keep: Path, folder: Path) -> bool:
    """Kill a job in `count` ways and print a table; return whether one was borne badly.

    Results are kept in `keep`: the same call goes on where one was stopped, unless the package has changed since.
    """
    job = Job(folder)
    print(f"job: {len(job.steps)} steps that write, {job.seconds:.1f} s; seed {seed}", flush=True)
    results = keep / "kills.jsonl"
    keep.mkdir(parents=True, exist_ok=True)
    code = _code_digest()
    found = _earlier(results, {"code": code, "seed": seed})
    all_deaths = job.deaths(random.Random(seed))
    for number in range(count):
        deaths = next(all_deaths)
        if number in found:
            continue
        found[number] = job.die(number, deaths)
        with results.open("a") as file:
            file.write(json.dumps({"code": code, "seed": seed, "number": number, **asdict(found[number])}) + "\n")
    print(f"{'kill':>4} {'reused':>6}  {'':5} how")
    for number in range(count):
        one = found[number]
        print(f"{number:4} {one.reused:6}  {'FAULT' if one.fault else 'same':5} {one.how}")
        if one.fault:
            print(f"{'':18}{one.fault}")
    faults = sum(bool(found[number].fault) for number in range(count))
    print(f"{count} kills: {count - faults} ended bit-identical with nothing left over, {faults} finds")
    return bool(faults)


def _earlier(results: Path, wanted: dict[str, object]) -> dict[int, Killed]:
    found = {}
    for line in results.read_text().splitlines() if results.exists() else ():
        try:
            one = json.loads(line)
            if all(one[name] == value for name, value in wanted.items()):
                found[int(one["number"])] = Killed(one["how"], one["reused"], one["fault"])
        except (ValueError, LookupError, TypeError):  # the last line of a run that was killed itself
            continue
    return found


def _code_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(birefvideo.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _in_child(work: Callable[[], object], log: Path, delay: float = TIMEOUT, number: int = 0) -> int:
    """Do something in a process of its own; after `delay` seconds it gets a signal, or an AssertionError is raised.

    Returns its exit code, negative for a signal.
    """
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os._exit(_as_process(work, log))
    end = time.monotonic() + delay
    last = time.monotonic() + TIMEOUT
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if number and time.monotonic() > end:
            os.kill(child, number)
            number = 0
        if time.monotonic() > last:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError(f"still at it after {TIMEOUT} s: {log.read_text()}")
        time.sleep(0.002)


def _as_process(work: Callable[[], object], log: Path) -> int:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    try:
        work()
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 0
    except KeyboardInterrupt:
        return -signal.SIGINT % 256
    except BaseException as error:
        print(f"Traceback: {error!r}", file=sys.stderr, flush=True)
        return 99
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _die_at(folder: Path, death: Death | None, done: list[str]) -> None:
    """Have this process killed before a step that writes in a folder; the steps until then are added to `done`."""

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if not _writes(event, arguments, folder):
            return
        if death and len(done) == death.step:
            os.kill(os.getpid(), death.signal)
        done.append(f"{event} {Path(os.fsdecode(arguments[0])).name}")

    sys.addaudithook(watch)


def _save_network(folder: Path) -> None:
    torch.manual_seed(4)
    geometry = Geometry("conv_t", "", attention=("", "", "", "", ""), head="subpixel", head_width=8)
    save_folder(BiRefNet(geometry).eval(), folder, long_side=64)


def _writes(event: str, arguments: tuple[Any, ...], folder: Path) -> bool:
    """Return whether an audit event is about to change what lies in a folder."""
    if event == "open":
        path, _, flags = arguments
        if not isinstance(path, str | bytes | os.PathLike) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return False
    elif event in _WRITING:
        path = arguments[0]
    else:
        return False
    return str(os.fsdecode(path)).startswith(str(folder))


def _finished_segments(out: Path) -> list[Path]:
    return sorted(out.glob("*.birefvideo/part_*.json"))


def _contents(folder: Path) -> dict[str, object]:
    """Return what lies in a folder, but for the job's own: of a file its hash, of a receipt what does not change."""
    found: dict[str, object] = {}
    for path in folder.rglob("*") if folder.exists() else ():
        name = str(path.relative_to(folder))
        if path.is_dir() or ".birefvideo" in Path(name).parts[0]:
            if len(Path(name).parts) == 1:
                found[name] = "folder"
        elif path.suffix == ".json" and path.name != "sequence.json":
            found[name] = _lasting(json.loads(path.read_text()))
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _lasting(values: Any) -> Any:
    if isinstance(values, dict):
        return {name: _lasting(value) for name, value in values.items() if name != _CHANGES}
    return [_lasting(value) for value in values] if isinstance(values, list) else values


def _differences(found: dict[str, object], wanted: dict[str, object], *, whole: bool) -> list[str]:
    """Return where finished outputs are not those of the whole job; `whole`: they must all be there, and no other."""
    job = {name for name in found if name.endswith(".birefvideo")}
    faults = [f"{name} is left" for name in found if name not in wanted and (whole or name not in job)]
    faults += [f"{name} has other bytes" for name in found if name in wanted and found[name] != wanted[name]]
    if whole:
        faults += [f"{name} is missing" for name in wanted if name not in found]
    folders = {Path(name).parts[0] for name in found if found[name] == "folder" and name not in job}
    for folder in () if whole else folders:  # a folder appears whole
        if any(Path(name).parts[0] == folder and name not in found for name in wanted):
            faults.append(f"{folder} lacks pictures")
    return faults
