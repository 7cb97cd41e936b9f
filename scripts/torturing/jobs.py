"""The small jobs that are tortured: of every kind of input, output and engine, each run in a child in a new folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from clips import CLIPS

from birefvideo.cli import main
from birefvideo.family.checkpoints import save_folder
from birefvideo.frames import AlphaFrame, DecodedFrame
from birefvideo.jobs import kept_mattes, plan
from birefvideo.jobs.kept_mattes import kept_frames
from birefvideo.matting.predict import Predictor
from birefvideo.network.birefnet import BiRefNet, Geometry
from torturing.children import Child, Ending
from torturing.media_runs import encoded

FORMATS = "prores,webm,png,green"
"""Outputs of several kinds: a file with sound, another codec, a folder of pictures, a composite."""
_WHOLE = "run_unhurt"
"""The folder of the run that nobody stops; no page or timeline says this word for another reason."""
_SEGMENTS = Fraction(1, 6), Fraction(1, 12)  # seconds of one, and of the shortest last one
_SLOWNESS = 0.04
"""Seconds that a slow network takes for a frame besides its own."""
_WRITING = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
_CHANGES = {"written", "frames_of_kept_alpha"}
"""What a receipt says that differs from run to run: when, and what was there already."""
_SAYS_WHERE = {".html", ".fcpxml", ".otio", ".edl"}
"""Endings of files that say where the outputs lie."""
_WRITTEN = re.compile(rb'"written":"[^"]*"')
"""What a page says of when."""
_MARKS = {
    "birefvideo_marks": 1,
    "marks": [{"do": "keep", "stroke": [[4, 4], [16, 12]], "width": 4, "time": 0.25}],
}


@dataclass(frozen=True)
class Kind:
    """A kind of job."""

    name: str
    """What the table calls it."""
    source: str = "clip"
    """Its input: 'clip', 'clips', 'photo' or 'series'."""
    words: tuple[str, ...] = ("--to", "prores")
    """Its outputs and options."""
    is_slow: bool = False
    """Whether the network is slow, so that its mattes are kept inside a segment."""
    tells_of_reuse: bool = True
    """Whether a run says what it goes on from; of several clips at once, none does."""
    needs: str = ""
    """The package that must be installed."""
    has_workers: bool = False
    """Whether processes that it starts do the segments."""
    has_marks: bool = False
    """Whether a file of marks goes with it."""

    @property
    def lacks(self) -> str:
        """Why there are no jobs of this kind here, or ''."""
        return f"skipped, {self.needs.title()} is not installed" if self.needs and not find_spec(self.needs) else ""


KINDS = (
    Kind("four formats", words=("--to", FORMATS)),
    Kind("review, timeline", words=("--to", "matte,ffv1", "--review", "--timeline", "fcpxml,otio,edl")),
    Kind("--subject", words=("--to", "prores,png", "--subject", "largest")),
    Kind("--marks", words=("--to", "green"), has_marks=True),
    Kind("--keep-cache", words=("--to", "webm", "--keep-cache")),
    Kind("slow network", words=("--to", "prores"), is_slow=True),
    Kind("slow, --subject", words=("--to", "matte", "--subject", "largest"), is_slow=True),
    Kind("photo", "photo", ("--to", "png")),
    Kind("picture folder", "series", ("--to", "png,prores")),
    Kind("two clips, --jobs 2", "clips", ("--to", "prores", "--jobs", "2", "--report", "none"), tells_of_reuse=False),
    Kind("two workers", words=("--to", "prores,png", "--device", "cpu:2"), has_workers=True),
    Kind("Ray", words=("--to", "prores", "--engine", "ray", "--device", "cpu", "--workers", "2"), needs="ray"),
)


@dataclass
class Job:
    """A small job, and what it makes where nobody stops it; all its files lie in one folder."""

    kind: Kind
    """What it is."""
    folder: Path
    """Where its files are."""
    network: Path
    """The network."""
    seconds: float = 0.0
    """How long it takes."""
    steps: list[str] = field(default_factory=list)
    """The steps by which it writes, in order: 'os.rename part_00000.json'."""
    whole: dict[str, object] = field(default_factory=dict)
    """What it makes; see `contents`."""

    def prepare(self) -> None:
        """Make the input, and run the job once.

        Raises:
            AssertionError: it does not end well.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.sources = _sources(self.kind.source, self.folder)
        self.marks = self.folder / "marks.json"
        self.marks.write_text(json.dumps(_MARKS))
        steps = self.folder / "steps.txt"
        ending = self.start(self.folder / _WHOLE, steps_file=steps).wait()
        if ending.code:
            raise AssertionError(f"{self.kind.name}: exit {ending.code}: {ending.told}")
        self.seconds = ending.seconds
        self.steps = steps.read_text().splitlines()
        self.whole = contents(self.folder / _WHOLE)

    def start(
        self,
        out: Path,
        *,
        before: Callable[[], object] | None = None,
        strike: tuple[int, Callable[[], object]] | None = None,
        delay: float = 0.0,
        number: int = 0,
        steps_file: Path | None = None,
        words: tuple[str, ...] = (),
    ) -> Child:
        """Begin to run the job into a folder, in a child.

        Args:
            out: the folder.
            before: what the child does first.
            strike: a step, counted from 0, and what is done before it.
            delay: seconds after which it gets the signal `number`.
            number: 0: none.
            steps_file: where the steps by which it writes are written at its end.
            words: options besides its own.
        """

        def work() -> None:
            if before is not None:
                before()
            done: list[str] = []
            _strike_at(out, strike, done)
            plan.SEGMENT_SECONDS, plan.SHORTEST_TAIL = _SEGMENTS  # type: ignore[assignment]
            if self.kind.is_slow:
                plan.SEGMENT_SECONDS = Fraction(1, 2)  # type: ignore[assignment]
                _slow_down()
            sys.argv = [
                "birefvideo",
                "matte",
                *map(str, self.sources),
                "-o",
                f"{out}{os.sep}",
                *self.kind.words,
                *words,
            ]
            sys.argv += ["--model", str(self.network), *(["--marks", str(self.marks)] if self.kind.has_marks else [])]
            try:
                main()
            finally:
                if steps_file is not None:
                    steps_file.write_text("\n".join(done))

        return Child(work, delay, number, has_group=True)


def save_network(folder: Path) -> Path:
    """Save a small network, in a child, since whoever has computed cannot have children that compute."""

    def work() -> None:
        torch.manual_seed(4)
        geometry = Geometry("conv_t", "", attention=("", "", "", "", ""), head="subpixel", head_width=8)
        save_folder(BiRefNet(geometry).eval(), folder, long_side=64)

    ending = Child(work).wait()
    if ending.code:
        raise AssertionError(ending.told)
    return folder


def _sources(kind: str, folder: Path) -> list[Path]:
    """Make the input of a job."""
    if kind == "photo":
        path = folder / "photo.png"
        path.write_bytes(encoded("png", "rgb24"))
        return [path]
    if kind == "series":
        series = folder / "take"
        series.mkdir()
        for number in range(16):
            (series / f"take_{number:04d}.png").write_bytes(encoded("png", "rgb24", number))
        return [series]
    clip = CLIPS["short_gops"](folder)
    return [clip] if kind == "clip" else [clip, Path(shutil.copy(clip, folder / "other.mp4"))]


def _slow_down() -> None:
    """Make the network slow enough for its mattes to be kept, and have it say how many frames it was asked for."""
    kept_mattes._SLOW = kept_mattes._FIRST = 0.0
    plain = Predictor.predict

    def predict(self: Predictor, frames: Iterable[DecodedFrame]) -> Iterator[AlphaFrame]:
        for frame in plain(self, frames):
            time.sleep(_SLOWNESS)
            yield frame

    Predictor.predict = predict  # type: ignore[method-assign]


def _strike_at(folder: Path, strike: tuple[int, Callable[[], object]] | None, done: list[str]) -> None:
    """Have something done before a step that writes in a folder; the steps until then are added to `done`."""
    is_off = False

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal is_off
        if is_off or not _writes(event, arguments, folder):
            return
        if strike and len(done) == strike[0]:
            is_off = True  # what is done may write, too
            strike[1]()
        done.append(f"{event} {Path(os.fsdecode(arguments[0])).name}")

    sys.addaudithook(watch)


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


def finished_segments(out: Path) -> int:
    """Return how many segments stopped jobs have left in a folder, those of first passes included."""
    return len(list(out.glob("*.birefvideo*/part_*.json")))


def kept_inside(out: Path) -> int:
    """Return how many mattes of segments that are not finished lie in a folder."""
    return sum(map(kept_frames, out.glob("*.birefvideo*/part_*_mattes.f32")))


def contents(folder: Path) -> dict[str, object]:
    """Return what lies in a folder, but for jobs' own: of a file its hash, of a receipt what does not change."""
    found: dict[str, object] = {}
    for path in folder.rglob("*") if folder.exists() else ():
        name = str(path.relative_to(folder))
        if path.is_dir() or ".birefvideo" in Path(name).parts[0]:
            if len(Path(name).parts) == 1:
                found[name] = "folder"
        elif path.suffix == ".json" and path.name != "sequence.json":
            found[name] = _lasting(json.loads(path.read_text()))
        else:
            data = path.read_bytes()
            if path.suffix in _SAYS_WHERE:
                data = _WRITTEN.sub(b"", data.replace(str(folder).encode(), b"").replace(folder.name.encode(), b""))
            found[name] = hashlib.sha256(data).hexdigest()
    return found


def _lasting(values: Any) -> Any:
    if isinstance(values, dict):
        return {name: _lasting(value) for name, value in values.items() if name not in _CHANGES}
    return [_lasting(value) for value in values] if isinstance(values, list) else values


def differences(found: dict[str, object], wanted: dict[str, object], *, whole: bool) -> list[str]:
    """Return where finished outputs are not those of the whole job; `whole`: they must all be there, and no other."""
    job = {name for name in found if ".birefvideo" in name and found[name] == "folder"}
    faults = [f"{name} is left" for name in found if name not in wanted and (whole or name not in job)]
    faults += [f"{name} has other bytes" for name in found if name in wanted and found[name] != wanted[name]]
    if whole:
        faults += [f"{name} is missing" for name in wanted if name not in found]
    folders = {Path(name).parts[0] for name in found if found[name] == "folder" and name not in job}
    for folder in () if whole else folders:  # a folder appears whole
        if any(Path(name).parts[0] == folder and name not in found for name in wanted):
            faults.append(f"{folder} lacks pictures")
    return faults


def told_of_reuse(ending: Ending) -> int:
    """Return how many finished frames a run has told that it goes on from; -1: its outputs were all there."""
    if "done already, by its receipts" in ending.told:
        return -1
    lines = [line for line in ending.told.splitlines() if "frames are done already" in line]
    return sum(int(word) for line in lines for word in line.split()[:1] if word.isdigit())
