"""Spoilt files of every kind, each read in a process of its own: no other end than a result or one line."""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import birefvideo
from birefvideo.errors import BirefvideoError, CancelledError
from torturing.children import FAILED, Ending, endings
from torturing.jobs import save_network
from torturing.ledger import Found, Ledger
from torturing.media_runs import Medium, media
from torturing.mutations import spoil_media
from torturing.runs import Run, runs

TIMEOUT = 30
"""Seconds that a case may take."""
MEMORY = 2_000_000_000
"""Bytes that a case may take."""
_REFUSED, _TWO_LINES = 10, 11
_FORMATS = ("matte", "prores,png", "webm", "green", "ffv1,gif", "png,fill")
_MOST_FRAMES = 40
"""Frames after which a job is cancelled: spoilt times may make more of them than there were."""


@dataclass(frozen=True)
class Case:
    """A spoilt file."""

    number: int
    """Which."""
    name: str
    """Of what kind."""
    data: bytes
    """What is in it."""
    file: str
    """What it is called."""


def spoil_texts(ledger: Ledger, count: int, seed: int, folder: Path, keep: Path) -> None:
    """Spoil receipts, manifests, weights, words of options: whatever birefvideo reads besides media."""
    all_runs = list(runs(folder))

    def works() -> Iterator[tuple[Case, Callable[[], object]]]:
        for number in ledger.missing("texts", range(count)):
            run = all_runs[number % len(all_runs)]
            case = Case(number, run.name, run.spoil(run.seed, random.Random(f"{seed} {number}")), run.place.name)
            yield case, partial(told, partial(_read_text, run, case.data))

    for case, ending in endings(works(), TIMEOUT, at_once=1):  # a run has one place for its file
        _note(ledger, "texts", case, ending, keep)


def _read_text(run: Run, data: bytes) -> None:
    run.place.write_bytes(data)
    run.read()


def spoil_clips(ledger: Ledger, count: int, seed: int, folder: Path, keep: Path) -> None:
    """Spoil media; probe and decode them."""
    kinds = list(media(folder))

    def works() -> Iterator[tuple[Case, Callable[[], object]]]:
        for number in ledger.missing("media", range(count)):
            medium, data = spoilt_medium(kinds, number, seed)
            place = folder / f"case{number}"
            yield (
                Case(number, medium.name, data, medium.file),
                partial(told, partial(_read_medium, medium, data, place)),
            )

    for case, ending in endings(works(), TIMEOUT):
        shutil.rmtree(folder / f"case{case.number}", ignore_errors=True)
        _note(ledger, "media", case, ending, keep)


def spoil_jobs(ledger: Ledger, count: int, seed: int, folder: Path, keep: Path) -> None:
    """Spoil media; make outputs of the first frames of each, or none."""
    kinds = list(media(folder))
    network = save_network(folder / "network")

    def works() -> Iterator[tuple[Case, Callable[[], object]]]:
        for number in ledger.missing("jobs", range(count)):
            medium, data = spoilt_medium(kinds, 7 * number + 3, seed + 1)
            place = folder / f"case{number}"
            work = partial(_make, medium, data, place, network, _FORMATS[number % len(_FORMATS)])
            yield Case(number, medium.name, data, medium.file), partial(told, work)

    for case, ending in endings(works(), TIMEOUT):
        out = folder / f"case{case.number}" / "out"
        left = [path.name for path in out.glob("*") if ".birefvideo" not in path.name]
        if ending.code and left:
            ending = replace(ending, code=FAILED, told=f"{ending.told}\n{', '.join(left)}: lies there after an error")
        shutil.rmtree(out.parent, ignore_errors=True)
        _note(ledger, "jobs", case, ending, keep)


def _make(medium: Medium, data: bytes, place: Path, network: Path, to: str) -> None:
    place.mkdir()
    source, out = medium.put(data, place), place / "out"
    out.mkdir()
    seen = 0

    def stop() -> bool:
        nonlocal seen
        seen += 1
        return seen < _MOST_FRAMES

    with suppress(CancelledError):
        birefvideo.matte(source, f"{out}{os.sep}", to.split(","), model=str(network), end="0.45", progress=stop)


def spoilt_medium(kinds: list[Medium], number: int, seed: int) -> tuple[Medium, bytes]:
    """Return the kind and the bytes of the spoilt file of a number."""
    medium, rng = kinds[number % len(kinds)], random.Random(f"{seed} {number}")
    return medium, spoil_media(medium.sound, rng, rng.choice(kinds).sound)


def _read_medium(medium: Medium, data: bytes, place: Path) -> None:
    place.mkdir()
    medium.read(medium.put(data, place))


def told(work: Callable[[], object]) -> None:
    """Do something in a child; a BirefvideoError is printed, and ends it with a code that `fault_of` knows."""
    try:
        work()
    except BirefvideoError as error:
        line = error.for_terminal()
        print(line)
        sys.stdout.flush()
        os._exit(_TWO_LINES if "\n" in line else _REFUSED)


def fault_of(ending: Ending) -> str:
    """Return what is wrong with how a case ended, or ''."""
    if ending.is_late:
        return f"still at it after {ending.seconds:.0f} s"
    if ending.code < 0:
        return f"ended by signal {-ending.code}"
    if ending.code not in (0, _REFUSED):
        return "more than one line" if ending.code == _TWO_LINES else ending.last_line or f"exit {ending.code}"
    return f"took {ending.taken / 1e9:.1f} GB" if ending.taken > MEMORY else ""


def _note(ledger: Ledger, part: str, case: Case, ending: Ending, keep: Path) -> None:
    fault = fault_of(ending)
    facts = f"{ending.seconds:.1f} s, {ending.taken / 1e6:.0f} MB"
    if fault:
        kept = keep / f"{part}{case.number}_{case.file}"
        kept.write_bytes(case.data)
        print(f"{part} {case.number} {case.name}: {fault}; the file is kept as {kept}\n{ending.told}", flush=True)
    ended = "find" if fault else "refused" if ending.code == _REFUSED else "borne"
    ledger.add(Found(part, case.number, case.name, ended, fault, facts))
