"""The disk turns against a job at a step that writes: full, taken away, closed to it; then it is mended, and run again.

What must hold: one line and exit code 1, or the whole job all the same; nothing incomplete under a final name; the same
command then makes what a job makes that met no trouble.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import resource
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torturing.children import Ending, endings
from torturing.jobs import KINDS, Job, contents, differences, save_network
from torturing.ledger import Found, Ledger

PART = "disks"
_LIMIT = 240
_MOST_TOLD = 500  # letters of a find
_ROOM = 64 << 20
"""Bytes of a disk that is filled."""
_CAPABILITIES = 0x20080522
"""The version of capset that is used."""
_FILLER = "filler"
_NAMES = ("four formats", "review, timeline", "--subject", "slow network", "picture folder", "--keep-cache", "photo")
"""The kinds of jobs that meet each trouble."""


@dataclass(frozen=True)
class Trouble:
    """What happens to the folder of the outputs."""

    name: str
    """What the table calls it."""
    strike: Callable[[Path, random.Random], object]
    """Does it, within the job's process."""
    mend: Callable[[Path], object] = lambda out: None
    """Undoes it, within the process that looks on."""
    before: Callable[[Path], object] = lambda out: None
    """What the looker-on does before the job begins."""
    after: Callable[[Path], object] = lambda out: None
    """What it does when all is over."""
    without_rights: bool = False
    """Whether the job runs without root's rights, to which nothing is closed."""
    loses_record: bool = False
    """Whether what is lost with it says which outputs are this job's."""
    needs_root: bool = False
    """Whether only root can bring it about."""


def _mount(out: Path) -> None:
    out.mkdir(exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", bytes(out), b"tmpfs", 0, f"size={_ROOM}".encode()):
        raise OSError(ctypes.get_errno(), "mount")


def _unmount(out: Path) -> None:
    ctypes.CDLL(None).umount2(bytes(out), 2)  # MNT_DETACH


def _fill(out: Path, rng: random.Random) -> None:
    left = rng.choice((0, 0, 4096, 20_000, 200_000))
    free = os.statvfs(out)
    with (out / _FILLER).open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_bsize - left))


def _make_room(out: Path) -> None:
    (out / _FILLER).unlink(missing_ok=True)


def _limit_files(out: Path, rng: random.Random) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (rng.choice((8000, 20_000, 60_000)), resource.RLIM_INFINITY))


def _remove_job(out: Path, rng: random.Random) -> None:
    for folder in out.glob("*.birefvideo*"):
        shutil.rmtree(folder, ignore_errors=True)


def _move_job(out: Path, rng: random.Random) -> None:
    for folder in out.glob("*.birefvideo"):
        folder.rename(folder.with_name(folder.name + ".moved"))


def _give_back(out: Path) -> None:
    for moved in out.glob("*.moved"):
        place = moved.with_suffix("")
        shutil.rmtree(moved if place.exists() else place, ignore_errors=True)
        if moved.exists():
            moved.rename(place)


def _close(mode: int, pattern: str, out: Path, rng: random.Random) -> None:
    for folder in [out] if pattern == "." else out.glob(pattern):
        folder.chmod(mode)


def _open(out: Path) -> None:
    for folder in [out, *out.glob("*.birefvideo*")]:
        folder.chmod(0o755)


TROUBLES = (
    Trouble("disk full", _fill, _make_room, _mount, _unmount, needs_root=True),
    Trouble("files limited", _limit_files),
    Trouble("job's folder removed", _remove_job, loses_record=True),
    Trouble("job's folder moved", _move_job, _give_back),
    Trouble("outputs' folder removed", lambda out, rng: shutil.rmtree(out, ignore_errors=True)),
    Trouble("made read-only", partial(_close, 0o555, "."), _open, without_rights=True, needs_root=True),
    Trouble("job's read-only", partial(_close, 0o555, "*.birefvideo"), _open, without_rights=True, needs_root=True),
    Trouble("all rights lost", partial(_close, 0, "."), _open, without_rights=True, needs_root=True),
    Trouble("job's rights lost", partial(_close, 0, "*.birefvideo*"), _open, without_rights=True, needs_root=True),
)


def trouble(ledger: Ledger, count: int, seed: int, folder: Path, keep: Path) -> None:
    """Bring trouble about in `count` ways, each kind of it in turn."""
    missing = list(ledger.missing(PART, range(count)))
    if not missing:
        return
    network = save_network(folder / "network")
    kinds = [kind for kind in KINDS if kind.name in _NAMES]
    jobs = [Job(kind, folder / f"job{number}", network) for number, kind in enumerate(kinds)]
    troubles = [one for one in TROUBLES if os.geteuid() == 0 or not one.needs_root]
    pairs = {
        number: (jobs[number // len(troubles) % len(jobs)], troubles[number % len(troubles)]) for number in missing
    }
    for job in {id(job): job for job, _ in pairs.values()}.values():
        job.prepare()

    def works() -> Iterator[tuple[int, Callable[[], object]]]:
        for number, (job, one) in pairs.items():
            yield number, partial(_tell, job, number, one, random.Random(f"{seed} {number}"))

    for number, ending in endings(works(), _LIMIT):
        how, ended, fault = _told(ending)
        job, one = pairs[number]
        how = f"{job.kind.name}: {one.name} {how}"
        if fault:
            print(f"{PART} {number}, {how}: {fault}", flush=True)
        ledger.add(Found(PART, number, how, ended if not fault else "find", fault))


def _tell(job: Job, number: int, one: Trouble, rng: random.Random) -> None:
    out = job.folder / f"trouble{number}"
    step = rng.randrange(len(job.steps))
    one.before(out)
    try:
        found = _suffer(job, out, one, step, rng)
    finally:
        one.after(out)
    print(json.dumps([f"before {job.steps[step]} ({step + 1}/{len(job.steps)})", *found]))


def _suffer(job: Job, out: Path, one: Trouble, step: int, rng: random.Random) -> tuple[str, str]:
    """Return how the run with the trouble ended, and what was wrong."""
    alone = _lose_rights if one.without_rights else None
    met = job.start(out, before=alone, strike=(step, lambda: one.strike(out, rng))).wait()
    faults = fault_of(met)
    one.mend(out)
    faults += differences(contents(out), job.whole, whole=False)
    again = job.start(out, before=alone).wait()
    if one.loses_record and "exists already: pass --overwrite" in again.told:  # some had their names before
        again = job.start(out, before=alone, words=("--overwrite",)).wait()
    if again.code:
        faults.append(f"run again: exit {again.code}: {again.last_line}")
    faults += differences(contents(out), job.whole, whole=True)
    return "one line" if met.code else "done all the same", "; ".join(dict.fromkeys(faults))[:_MOST_TOLD]


def fault_of(ending: Ending) -> list[str]:
    """Return what is wrong with how a run ended that met trouble."""
    if ending.is_late:
        return ["still at it"]
    if "Traceback" in ending.told:
        return [f"a traceback: {ending.last_line}"]
    if ending.code not in (0, 1):
        return [f"exit {ending.code}: {ending.last_line}"]
    errors = [line for line in ending.told.splitlines() if line.startswith("birefvideo: ")]
    if "unexpected" in ending.told or (ending.code and len(errors) != 1):
        return [f"{len(errors)} lines of errors: {ending.told[-300:]}"]
    return []


def _lose_rights() -> None:
    """Let this process obey the rights of files though it is root's (capset, CAP_DAC_OVERRIDE and _READ_SEARCH)."""
    header, rights = (ctypes.c_uint32 * 2)(_CAPABILITIES, 0), (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None)
    if libc.capget(header, rights) == 0:
        rights[0] &= ~0b110
        rights[1] &= ~0b110
        libc.capset(header, rights)


def _told(ending: Ending) -> tuple[str, str, str]:
    try:
        how, ended, fault = json.loads(ending.last_line)
    except ValueError:
        return "?", "find", f"exit {ending.code}: {ending.last_line}"
    return how, ended, fault
