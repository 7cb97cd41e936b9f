"""What the terminal shows of a job: the line that it starts with, its bar, and its summary."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from birefvideo.cli.printing import printable, tell
from birefvideo.errors import with_flags
from birefvideo.own_files import size_of
from birefvideo.remote.places import called, url_of

if TYPE_CHECKING:
    from birefvideo.jobs.model_identity import ModelIdentity
    from birefvideo.jobs.plan import Plan
    from birefvideo.jobs.progress import FrameProgress
    from birefvideo.jobs.result import Progress, Result


def quiet_libraries() -> None:
    """Keep FFmpeg's own messages off the terminal: what matters in them reaches the user as one line of ours.

    Not by a level: then each message of FFmpeg's threads waits for the interpreter, which may be waiting for them.
    """
    import av.logging

    av.logging.set_level(None)


class JobBar:
    """A progress bar for one clip; a context manager, silent where `quiet`."""

    def __init__(self, clip: Path, quiet: bool) -> None:
        self._clip = clip
        self._quiet = quiet
        self._bar: Any = None

    def __enter__(self) -> JobBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    @property
    def progress(self) -> Progress:
        """The callbacks for jobs.run."""
        from birefvideo.jobs.result import Progress

        if self._quiet:
            return Progress()
        return Progress(self._planned, self._frame, self._resumed, self._stage, self._told, self._transfer)

    def _planned(self, plan: Plan, model: ModelIdentity) -> None:
        from tqdm import tqdm

        from birefvideo.jobs.progress import total_frames

        info = plan.source
        why = f" ({model.reason})" if model.reason else ""
        settings = plan.settings
        times = "" if info.still else f", {_rate(float(info.rate))} fps, {float(_length(plan)):.1f} s"
        tell(
            f"{self._clip.name}: {info.width}×{info.height}{times}; "
            f"model {model.name}{why} on {settings['device']}, {settings['dtype']}"
        )
        total = total_frames(plan)
        tqdm.monitor_interval = 0  # its watchdog thread is for bars that are rarely updated
        # On a terminal the bar goes when it is done; into a log file a line every ten seconds is enough.
        log = not sys.stderr.isatty()
        interval = 10 if log else 0.1
        self._bar = tqdm(total=total, unit=" frames", dynamic_ncols=True, mininterval=interval, leave=log)

    def _frame(self, progress: FrameProgress) -> None:
        self._bar.update(progress.frame - self._bar.n)

    def _resumed(self, frames: int) -> None:
        with self._bar.external_write_mode():
            tell(f"  {frames} frames are done already, from an earlier run")
        self._bar.initial += frames
        self._bar.n += frames
        self._bar.refresh()

    def _stage(self, number: int, count: int) -> None:
        self._bar.initial = 0
        self._bar.reset()
        self._bar.set_description(f"pass {number} of {count}")

    def _transfer(self, kind: str, urls: Sequence[str], size: int | None) -> None:
        size_of_it = "" if size is None else f" ({_megabytes(size)} MB)"
        line = f"{kind} {urls[0]}{f' and {len(urls) - 1} more' if len(urls) > 1 else ''}{size_of_it}"
        if self._bar is None:
            tell(line)
            return
        with self._bar.external_write_mode():
            tell(f"  {line}")

    def _told(self, line: str) -> None:
        with self._bar.external_write_mode():
            print_note(line, indent="  ")


def _length(plan: Plan) -> Fraction:
    """Seconds that the output will last, as far as the container knows."""
    info, span = plan.source, plan.span
    first = info.start if span.start is None else span.start
    last = info.start + info.duration / info.time_base
    if span.end is not None:
        last = min(last, Fraction(span.end)) if info.duration else Fraction(span.end)
    return max(Fraction(0), last - first) * info.time_base


def print_result(clip: Path, result: Result) -> None:
    """Print the closing summary of one clip."""
    if result.was_done:
        tell(f"{clip.name}: done already, by its receipts: {', '.join(map(short, result.outputs))}")
    else:
        _print_outputs(result)
    for warning in result.warnings:
        print_note(warning, indent="  ")


def _print_outputs(result: Result) -> None:
    tell(f"  {_pace(result)}")
    names = [short(path) for path in result.outputs]
    width = max(map(len, names))
    for name, size in zip(names, result.sizes, strict=True):
        tell(f"  wrote {name:{width}}  {_megabytes(size):>6} MB")
    if result.cache is not None:
        tell(f"  kept {short(result.cache)} ({_megabytes(size_of(result.cache))} MB) for another run with --keep-cache")
    if result.review is not None:
        tell(f"  review it in a browser: {short(result.review)}")
    if result.timelines:
        tell(f"  import into an editor: {', '.join(map(short, result.timelines))}")


def print_note(message: str, indent: str = "") -> None:
    """Print what the user should know, in one line."""
    tell(f"{indent}note: {with_flags(message)}")


def _pace(result: Result) -> str:
    """Return how many frames there are, and how fast those of this run came."""
    from birefvideo.media.metadata import counted

    frames = counted(result.frames, "frame")
    kept = f"; the network's alpha of {result.reused} was kept from before" if result.reused else ""
    if not result.computed:
        return f"{frames}, all done by an earlier run"
    new = "" if result.computed == result.frames else f"{result.computed} of them new, "
    rate = result.computed / result.seconds if result.seconds else 0.0
    pace = "" if result.frames == 1 else f" ({new}{rate:.1f} fps)"
    return f"{frames} in {_duration(result.seconds)}{pace}{kept}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}" if size >= 1e6 else f"{max(size, 1000) / 1e6:.3f}"


def short(path: Path) -> str:
    """Return a path as the terminal shows it, relative to the working directory where that is shorter."""
    if url_of(path) is not None:
        return printable(called(path))
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive on Windows
        relative = str(path)
    return printable(min(str(path), relative, key=len))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)} min {rest:.0f} s" if minutes else f"{rest:.1f} s"


def _rate(rate: float) -> str:
    return f"{rate:.3f}".rstrip("0").rstrip(".")
