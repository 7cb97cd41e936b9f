"""Jobs of every kind are killed, at moments and at steps that write, and run again.

What must hold: nothing lies under a final name that is not complete; the same command ends with the bytes of a job that
nobody stopped, uses what was finished, and leaves nothing behind.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torturing.children import Ending, endings
from torturing.jobs import (
    KINDS,
    Job,
    contents,
    differences,
    finished_segments,
    kept_inside,
    save_network,
    told_of_reuse,
)
from torturing.ledger import Found, Ledger

PART = "kills"
_LIMIT = 240
_MOST_TOLD = 500  # letters of a find
_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_BETWEEN_STEPS = 0.15
_STOPPED = 130


@dataclass(frozen=True)
class Death:
    """When a run is killed, and by what."""

    signal: int
    """Its number."""
    step: int
    """Before the writing step of this number, counted from 0."""
    after: float = 0.0
    """Seconds behind it: so that it comes at any moment of a job, however fast the machine is just then."""
    is_workers: bool = False
    """Whether it comes to one of the workers alone."""

    def come(self) -> None:
        """Let it come, to this process and to all that it has started."""
        if self.is_workers:
            for worker in _workers()[:1]:
                os.kill(worker, self.signal)
            return
        if not self.after:
            os.kill(os.getpid(), self.signal)
            return
        timer = threading.Timer(self.after, os.killpg, (os.getpgrp(), self.signal))
        timer.daemon = True
        timer.start()


@dataclass(frozen=True)
class Killed:
    """What became of a job that was killed and run again."""

    how: str
    """When it was killed, and by what."""
    segments: int
    """Segments that the last run found finished."""
    mattes: int
    """Mattes that it found of a segment which was not."""
    fault: str
    """What was wrong, or ''."""


def deaths(steps: int, turn: int, rng: random.Random) -> tuple[Death, ...]:
    """Return how a job with so many writing steps is killed for the time `turn`: at a moment, at a step, or twice."""
    at_moment = Death(signal.SIGKILL, rng.randrange(steps), rng.uniform(0.001, _BETWEEN_STEPS))
    at_step = Death(rng.choice(_SIGNALS), rng.randrange(steps))
    return ((at_moment,), (at_moment,), (at_step,), (at_moment, at_step))[turn % 4]


def _workers() -> list[int]:
    """Return the workers of this process."""
    children = [file.read_text().split() for file in Path("/proc/self/task").glob("*/children")]
    return [int(pid) for pids in children for pid in pids if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def die(job: Job, number: int, ways: Sequence[Death]) -> Killed:
    """Kill a new job in one way after another, run it to its end, and compare."""
    out = job.folder / f"kill{number}"
    faults, segments, mattes = [], 0, 0
    for death in ways:
        faults += _kill(job, out, death)
        segments, mattes = finished_segments(out), kept_inside(out)
    ending = job.start(out).wait()
    if ending.code != 0:
        faults.append(f"run again: exit {ending.code}: {ending.last_line}")
    elif segments and job.kind.tells_of_reuse and not told_of_reuse(ending):
        faults.append(f"{segments} segments were finished, and the next run used none")
    faults += differences(contents(out), job.whole, whole=True)
    return Killed(
        " then ".join(_named(job, death) for death in ways),
        segments,
        mattes,
        "; ".join(dict.fromkeys(faults))[:_MOST_TOLD],
    )


def _kill(job: Job, out: Path, death: Death) -> list[str]:
    ending = job.start(out, strike=(death.step, death.come)).wait()
    ways = {0} if death.is_workers else {-death.signal, 0} if death.signal == signal.SIGKILL else {_STOPPED, 0}
    if death.signal != signal.SIGKILL and not ending.told:  # before the program has said what a signal does
        ways.add(-death.signal)
    faults = [] if ending.code in ways else [f"killed: exit {ending.code}: {ending.last_line}"]
    if "Traceback" in ending.told:
        faults.append("killed: a traceback")
    return faults + differences(contents(out), job.whole, whole=False)


def _named(job: Job, death: Death) -> str:
    name = signal.Signals(death.signal).name
    name += " to a worker" if death.is_workers else ""
    when = f"{1000 * death.after:.0f} ms after" if death.after else "before"
    return f"{name} {when} {job.steps[death.step]} ({death.step + 1}/{len(job.steps)})"


def kill(ledger: Ledger, count: int, seed: int, folder: Path, keep: Path) -> None:
    """Kill jobs in `count` ways, each kind in turn."""
    missing = list(ledger.missing(PART, range(count)))
    if not missing:
        return
    network = save_network(folder / "network")
    jobs = [Job(kind, folder / f"job{number}", network) for number, kind in enumerate(KINDS)]
    for index, job in enumerate(jobs):
        _prepare(job, [number for number in missing if number % len(jobs) == index], ledger)

    def works() -> Iterator[tuple[int, Callable[[], object]]]:
        for number in ledger.missing(PART, missing):
            job = jobs[number % len(jobs)]
            rng, turn = random.Random(f"{seed} {number}"), number // len(jobs)
            ways = deaths(len(job.steps), turn, rng)
            if job.kind.has_workers and turn % 2:
                ways = (Death(signal.SIGKILL, rng.randrange(len(job.steps)), is_workers=True),)
            yield number, partial(_tell, job, number, ways)

    for number, ending in endings(works(), _LIMIT):
        killed = _killed(ending)
        kind = jobs[number % len(jobs)].kind.name
        facts = f"{killed.segments} segments, {killed.mattes} mattes"
        if killed.fault:
            print(f"{PART} {number}, {kind}, {killed.how}: {killed.fault}", flush=True)
        ledger.add(
            Found(PART, number, f"{kind}: {killed.how}", "find" if killed.fault else "same", killed.fault, facts)
        )


def _prepare(job: Job, numbers: Sequence[int], ledger: Ledger) -> None:
    """Prepare a job for its cases; where it cannot be, these are over, and those of others go on."""
    ended, fault = job.kind.lacks, ""
    try:
        if numbers and not ended:
            job.prepare()
    except AssertionError as error:
        ended, fault = "find", str(error)[-_MOST_TOLD:]
    for number in numbers if ended else ():
        ledger.take(Found(PART, number, job.kind.name, ended, fault))


def _tell(job: Job, number: int, ways: Sequence[Death]) -> None:
    killed = die(job, number, ways)
    print(json.dumps([killed.how, killed.segments, killed.mattes, killed.fault]))


def _killed(ending: Ending) -> Killed:
    try:
        return Killed(*json.loads(ending.last_line))
    except (ValueError, TypeError):
        return Killed("?", 0, 0, f"exit {ending.code}: {ending.last_line}")
