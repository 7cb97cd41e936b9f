"""How much memory jobs take: of a long clip against a short one, of 4K, and of many jobs in one process."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, cast

import av
import torch
from clips import CLIPS, write_clip

import birefvideo
from birefvideo.family.checkpoints import save_folder
from birefvideo.memory import reuse_memory
from birefvideo.network.birefnet import BiRefNet, Geometry
from torturing.children import Child, Ending
from torturing.ledger import Found, Ledger

PART = "memory"
SHORT, LONG = 20, 600
"""Seconds of the two clips that are compared."""
_MOST_GROWTH = 0.05
_LIMIT = 1500
_JOBS, _SETTLED = 200, 20
"""Short jobs in one process, and those after which nothing may grow any more."""
_CONTRAST = 400
"""By how much the network's last layer is made stronger, so that mattes are crisp as those of real networks."""


@dataclass(frozen=True)
class Pair:
    """A long clip and a short one."""

    name: str
    """What the table calls it."""
    size: tuple[int, int]
    """Of the pictures."""
    rate: int
    """Frames a second."""
    to: str
    """The outputs."""


PAIRS = (
    Pair("720p, 2 fps", (1280, 720), 2, "prores,green"),
    Pair("96×64, 24 fps", (96, 64), 24, "matte"),
)
"""Large pictures, a few of which are in memory at a time; and many frames, each of which may leave a bit."""


def remember(ledger: Ledger, count: int, seed: int, folder: Path, keep: Path) -> None:
    """Measure the memory of `count` of the jobs."""
    works: list[Callable[[Path, Path], Found]] = [
        *(partial(_pair, number, pair) for number, pair in enumerate(PAIRS)),
        partial(_large, len(PAIRS)),
        partial(_many, len(PAIRS) + 1),
    ]
    missing = list(ledger.missing(PART, range(min(count, len(works)))))
    network = folder / "crisp"
    if missing:
        _checked(Child(partial(_save_crisp, network)).wait())
    for number in missing:
        found = works[number](folder, network)
        if found.fault:
            print(f"{PART} {number}, {found.how}: {found.fault}", flush=True)
        ledger.add(found)


def _pair(number: int, pair: Pair, folder: Path, network: Path) -> Found:
    piece = write_clip(
        folder / f"piece{number}.mp4", size=pair.size, frames=10 * pair.rate, rate=Fraction(pair.rate),
        options={"preset": "veryfast", "bf": "0", "g": str(2 * pair.rate)},
    )  # fmt: skip
    facts = {}
    for seconds in (SHORT, LONG):
        clip = repeated(piece, folder / f"clip{number}_{seconds}.mp4", seconds // 10)
        work = partial(_matte, clip, folder / "out", pair.to, network)
        facts[seconds] = json.loads(_checked(Child(work, limit=_LIMIT).wait()))
        shutil.rmtree(folder / "out")
    short, long = facts[SHORT], facts[LONG]
    growth = long["end"] / short["end"] - 1
    said = f"{SHORT} s: {_mb(short)}; {LONG} s: {_mb(long)} ({growth:+.1%})"
    fault = f"grows by {growth:.1%}" if growth > _MOST_GROWTH else ""
    return Found(PART, number, f"{pair.name}: {pair.to}", "find" if fault else "flat", fault, said)


def _large(number: int, folder: Path, network: Path) -> Found:
    clip = write_clip(folder / "4k.mp4", size=(3840, 2160), frames=10, options={"preset": "ultrafast"})
    work = partial(_matte, clip, folder / "out", "prores,green", network)
    facts = json.loads(_checked(Child(work, limit=_LIMIT).wait()))
    shutil.rmtree(folder / "out")
    return Found(PART, number, "2160p: prores,green", "stated", "", _mb(facts))


def _many(number: int, folder: Path, network: Path) -> Found:
    clip = CLIPS["plain"](folder)
    states = json.loads(_checked(Child(partial(_run_many, clip, folder, network), limit=_LIMIT).wait()))
    settled, last = states[_SETTLED], states[-1]
    growth = last["rss"] / settled["rss"] - 1
    faults = [f"RSS grows by {growth:.1%}"] if growth > _MOST_GROWTH else []
    faults += [
        f"{name}: {settled[name]}, later {last[name]}" for name in ("threads", "files") if last[name] > settled[name]
    ]
    said = "; ".join(
        f"after {after}: {one['rss'] / 1e6:.0f} MB, {one['threads']} threads, {one['files']} descriptors"
        for after, one in ((_SETTLED, settled), (_JOBS, last))
    )
    fault = ", ".join(faults)
    return Found(PART, number, f"{_JOBS} jobs in one process", "find" if fault else "flat", fault, said)


def _matte(clip: Path, out: Path, to: str, network: Path) -> None:
    """Make outputs; print the peaks after 20 s of film, at the end of the frames, and at the end."""
    reuse_memory()
    peaks: dict[str, int] = {}
    frames = 0

    def note(progress: Any) -> None:
        nonlocal frames
        frames += 1
        if frames * 1000 <= progress.total * 1000 * SHORT // LONG:
            peaks["early"] = _peak()
        if frames == progress.total:
            peaks["frames"] = _peak()

    birefvideo.matte(clip, f"{out}{os.sep}", to.split(","), model=str(network), progress=note)
    print(json.dumps({**peaks, "end": _peak()}))


def _run_many(clip: Path, folder: Path, network: Path) -> None:
    reuse_memory()
    states = []
    for number in range(_JOBS + 1):
        states.append(_state())
        birefvideo.matte(clip, folder / f"many{number % 3}.mp4", "matte", model=str(network), end="0.2", overwrite=True)
    print(json.dumps(states))


def _state() -> dict[str, int]:
    return {
        "rss": _status("VmRSS"),
        "threads": _status("Threads", 1),
        "files": len(list(Path("/proc/self/fd").iterdir())),
    }


def _peak() -> int:
    return _status("VmHWM")


def _status(name: str, unit: int = 1024) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * unit for line in lines if line.startswith(f"{name}:"))


def _mb(facts: dict[str, int]) -> str:
    return f"{facts['end'] / 1e6:.0f} MB (frames {facts['frames'] / 1e6:.0f})"


def _checked(ending: Ending) -> str:
    """Return the last line of a child that ended well."""
    if ending.code:
        raise AssertionError(f"exit {ending.code}: {ending.told}")
    return ending.last_line


def _save_crisp(folder: Path) -> None:
    torch.manual_seed(4)
    network = BiRefNet(Geometry("conv_t", "", attention=("", "", "", "", ""), head="subpixel", head_width=8)).eval()
    with torch.no_grad():
        for parameter in network.decoder.head.conv_out.parameters():
            parameter.mul_(_CONTRAST)
    save_folder(network, folder, long_side=64)


def repeated(piece: Path, path: Path, times: int) -> Path:
    """Write a clip over and over into a file, nothing encoded anew; return it."""
    with av.open(str(piece)) as first, av.open(str(path), "w") as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in first.streams}
        ends: dict[int, int] = {}
        for packet, shift in _packets(piece, times):
            index = packet.stream.index
            moved = round(shift / cast(Fraction, packet.time_base))
            packet.pts, packet.dts = packet.pts + moved, packet.dts + moved
            if packet.dts > ends.get(index, -(1 << 62)):
                ends[index] = packet.dts
                packet.stream = streams[index]
                out.mux(packet)
    return path


def _packets(piece: Path, times: int) -> Iterator[tuple[Any, Fraction]]:
    for number in range(times):
        with av.open(str(piece)) as container:
            length = Fraction(container.streams.video[0].duration or 0) * (container.streams.video[0].time_base or 1)
            for packet in container.demux():
                if packet.dts is not None:
                    yield packet, number * length
