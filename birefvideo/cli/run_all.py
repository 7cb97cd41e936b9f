"""Running the jobs of a command, one after another or several at once; an error of one stops no other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from birefvideo.cli.errors import STOPPED, Failures
from birefvideo.cli.one_network import OneNetwork
from birefvideo.cli.outcomes import Outcome, Outcomes, of_result
from birefvideo.cli.printing import print_error, tell
from birefvideo.cli.report import JobBar, print_note, print_result, short
from birefvideo.errors import with_flags
from birefvideo.jobs.options import Options
from birefvideo.remote.places import url_of

if TYPE_CHECKING:
    from birefvideo.cli.again import Again
    from birefvideo.jobs.blank import Blanks
    from birefvideo.jobs.delivery import Delivery
    from birefvideo.jobs.engine_wish import EngineWish
    from birefvideo.jobs.engines import JobModel
    from birefvideo.jobs.plan import Target
    from birefvideo.jobs.result import Progress, Result

    Job = tuple[Path, tuple[Target, ...]]
    """An input and its outputs."""

_LOOKS_EVERY = 0.2
"""Seconds between two looks at threads: a wait without end would not be interrupted on every system."""


class Work:
    """Runs jobs with the same options.

    Args:
        options: the jobs' options.
        delivery: what is asked of each besides.
        failures: takes the errors.
        outcomes: takes what became of every input.
        quiet: print errors and losses only.
        command: what words the command for one job, for its review page; None: it is not told.
        engine: what computes; None: this machine.
        blanks: processes that were begun for it.
    """

    def __init__(
        self,
        options: Options,
        delivery: Delivery,
        failures: Failures,
        outcomes: Outcomes,
        *,
        quiet: bool,
        command: Again | None = None,
        engine: EngineWish | None = None,
        blanks: Blanks | None = None,
    ) -> None:
        self._options, self._delivery = options, delivery
        self._failures, self._outcomes, self._quiet = failures, outcomes, quiet
        self._command = command
        self._engine, self._blanks = engine, blanks
        self.stop = threading.Event()
        """Ends the jobs of several threads after their next frame."""
        self._running: dict[Path, tuple[Target, ...]] = {}

    def run(self, jobs: Iterable[Job], at_once: int = 1) -> None:
        """Run jobs as they come.

        Raises:
            Exit: after Ctrl-C; what is finished of the jobs that ran is kept.
        """
        from birefvideo.jobs.job_model import JobModels

        try:
            with JobModels(self._engine, print_error, self._blanks, self.stop.is_set) as load:
                if at_once == 1:
                    self._run_in_turn(jobs, load)
                else:
                    load.begin()
                    self._run_in_threads(jobs, at_once, OneNetwork(load, self.stop))
        except KeyboardInterrupt as error:
            self._tell_stopped(error)
            raise typer.Exit(STOPPED) from None
        except Exception:  # no cluster; or --debug, which ends the jobs beside the one that failed
            for clip in self._running:
                self._failures.stopped(clip, KeyboardInterrupt(), "stopped: another input failed", silent=True)
            raise

    def _run_in_turn(self, jobs: Iterable[Job], load: Callable[[Options], JobModel]) -> None:
        for clip, targets in jobs:
            self._running = {clip: targets}
            with self._told(clip):
                events = self._failures.events
                with JobBar(clip, self._quiet or events is not None) as bar:
                    progress = events.of(clip).progress if events else bar.progress
                    result = self._run(clip, targets, load, progress)
                self._print(clip, result)
            self._running = {}

    def _run_in_threads(self, jobs: Iterable[Job], at_once: int, load: OneNetwork) -> None:
        threads = Threads(self.stop)
        places = Places()

        def run(job: Job) -> None:
            clip, targets = job
            self._running[clip] = targets
            try:
                with self._told(clip), places.taken(clip, targets):
                    result = self._run(clip, targets, load, self._quiet_progress(clip))
                    with threads.printing:
                        if not self._quiet:
                            tell(f"{short(clip)}:")
                        self._print(clip, result)
            finally:
                load.leave()
            del self._running[clip]

        threads.run(jobs, run, at_once)

    def _run(
        self, clip: Path, targets: tuple[Target, ...], load: Callable[[Options], JobModel], progress: Progress
    ) -> Result:
        from birefvideo.jobs.elsewhere import run_anywhere

        delivery = replace(self._delivery, command=self._command(clip, targets) if self._command else None)
        result = run_anywhere(clip, targets, self._options, delivery, load=load, progress=progress)
        self._outcomes.add(of_result(clip, result))
        if self._failures.events:
            self._failures.events.of(clip).finished(result)
        return result

    @contextmanager
    def _told(self, clip: Path) -> Iterator[None]:
        """Print an error of a job, and keep it as what became of its input."""
        self._failures.lines.pop(str(clip), None)
        try:
            with self._failures.caught(clip):
                yield
        except Exception:
            self._running.pop(clip, None)  # it is told
            raise
        if line := self._failures.lines.get(str(clip)):
            self._outcomes.add(Outcome(str(clip), "failed", message=line))

    def _print(self, clip: Path, result: Result) -> None:
        if not self._quiet:
            print_result(clip, result)
            return
        for loss in result.losses if self._failures.events is None else ():  # an error of the input, if none of the job
            print_error(f"{clip}: {with_flags(loss)}")

    def _quiet_progress(self, clip: Path) -> Progress:
        """Return the callbacks of a job beside others: it has no bar, and a stop ends it after a frame."""
        from birefvideo.jobs.result import Progress

        told_to = self._failures.events.of(clip).progress if self._failures.events else None

        def frame(at: Any = None) -> None:
            if self.stop.is_set():
                raise KeyboardInterrupt
            if told_to is not None:
                told_to.frame(at)

        def told(line: str) -> None:
            if not self._quiet:
                print_note(f"{clip.name}: {line}")

        def planned(*_: object) -> None:
            if not self._quiet:
                tell(f"{short(clip)}: begun")

        if told_to is not None:
            return replace(told_to, frame=frame, bytes=frame)
        return Progress(planned=planned, frame=frame, told=told, bytes=frame)

    def _tell_stopped(self, error: KeyboardInterrupt) -> None:
        from birefvideo.jobs.alpha_cache import cache_folder
        from birefvideo.jobs.plan import job_folder

        folders = [
            place(targets, clip) for clip, targets in self._running.items() for place in (job_folder, cache_folder)
        ]
        waiting = [t.path for targets in self._running.values() for t in targets if url_of(t.path) is not None]
        kept = any(place.exists() for place in (*folders, *waiting))
        again = "the same command goes on from there" if kept else "nothing was finished yet"
        if not self._running:
            self._failures.stopped(None, error, "stopped")
        for number, clip in enumerate(self._running):
            self._failures.stopped(clip, error, f"stopped; {again}", silent=number > 0)
            self._outcomes.add(Outcome(str(clip), "stopped", message=again))


class Threads:
    """Threads that take jobs from one place; the first error that a job lets through, or Ctrl-C, stops them."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._taking = threading.Lock()
        self._errors: list[BaseException] = []
        self.printing = threading.Lock()
        """Held by the one that prints several lines."""

    def run(self, jobs: Iterable[Job], run: Callable[[Job], None], at_once: int) -> None:
        """Run all jobs, so many at once.

        Raises:
            BaseException: the first that a job, or the finding of jobs, raised.
        """
        source = iter(jobs)
        over = [threading.Event() for _ in range(at_once)]
        begun: list[threading.Event] = []
        try:
            for number, event in enumerate(over):
                threading.Thread(target=self._work, args=(source, run, event), name=f"job {number}").start()
                begun.append(event)
            # Not by joining them: where Ctrl-C interrupts that, Python takes the thread for ended.
            for event in begun:
                while not event.wait(_LOOKS_EVERY):
                    pass
        except BaseException:
            self._stop.set()
            print_error("stopping …")
            for event in begun:
                event.wait()
            raise
        if self._errors:
            raise self._errors[0]

    def _work(self, source: Iterator[Job], run: Callable[[Job], None], over: threading.Event) -> None:
        try:
            while not self._stop.is_set():
                with self._taking:
                    job = next(source, None)
                if job is None:
                    return
                run(job)
        except BaseException as error:
            self._stop.set()
            self._errors.append(error)
        finally:
            over.set()


class Places:
    """Where jobs keep their parts: two whose outputs have one stem, as a clip and its picture, take turns."""

    def __init__(self) -> None:
        self._locks: dict[str, threading.Lock] = {}
        self._own = threading.Lock()

    @contextmanager
    def taken(self, clip: Path, targets: tuple[Target, ...]) -> Iterator[None]:
        """Wait until no other job has the same place."""
        from birefvideo.jobs.plan import job_folder

        key = str(job_folder(targets, clip).resolve()).casefold()
        with self._own:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            yield
