"""One job for each input of a command: planned together, run one after another, and how the command ends."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from birefvideo.cli.errors import LOSSES, STOPPED, Failures
from birefvideo.cli.printing import print_error
from birefvideo.cli.report import JobBar, print_note, print_result
from birefvideo.errors import with_flags
from birefvideo.family.variants import EMBEDDED
from birefvideo.jobs.options import Options

if TYPE_CHECKING:
    from birefvideo.cli.events import Events
    from birefvideo.jobs.plan import Target

    Jobs = dict[Path, tuple[Target, ...]]
    """The outputs of every input."""


def first_words(model: str) -> str:
    """Return what is said at once: loading torch alone takes seconds."""
    return f"loading the {'built-in ' if model == EMBEDDED else ''}model{'' if model == 'auto' else f' {model}'} …"


def tell_what_is_idle(
    jobs: Jobs, options: Options, given: Collection[str], quiet: bool, events: Events | None = None
) -> None:
    """Print a note for each option that changes none of the outputs."""
    from birefvideo.jobs.no_effect import without_effect

    formats = [target.format for targets in jobs.values() for target in targets]
    for note in without_effect(options, formats, given) if formats else ():
        if events is not None:
            events.warned(None, note)
        if not quiet:
            print_note(note)


def plan_all(clips: list[Path], out: Path | None, to: list[str], options: Options, *, into: bool = False) -> Jobs:
    """Check everything that can be checked before an input is opened; return the outputs of every clip.

    With `into`, `out` is a folder, whatever its name looks like.
    """
    from birefvideo.jobs.check_targets import check_distinct
    from birefvideo.jobs.loaded_model import check_machine
    from birefvideo.jobs.plan import plan_targets

    check_machine(options)
    jobs = {clip: plan_targets(clip, out, to, options, into=into) for clip in clips}
    check_distinct(jobs)
    return jobs


def matte_all(jobs: Jobs, options: Options, failures: Failures, quiet: bool, **choices: bool) -> bool:
    """Matte the clips one after another, with one network where they take the same; an error of one stops no other.

    Returns whether one of them lacks frames or sound.
    """
    from birefvideo.jobs.loaded_model import LastModel
    from birefvideo.jobs.plan import job_folder
    from birefvideo.jobs.run import run

    load = LastModel()
    has_losses = False
    for clip, targets in jobs.items():
        try:
            with failures.caught(clip):
                events = failures.events.of(clip) if failures.events else None
                with JobBar(clip, quiet or events is not None) as bar:
                    progress = events.progress if events else bar.progress
                    result = run(clip, targets, options, load=load, progress=progress, **choices)
                has_losses = has_losses or bool(result.losses)
                if events:
                    events.finished(result)
                if not quiet:
                    print_result(clip, result)
                elif events is None:
                    for loss in result.losses:  # an error of the input, if none of the job
                        print_error(f"{clip}: {with_flags(loss)}")
        except KeyboardInterrupt as error:
            kept = job_folder(targets, clip).exists()
            again = "the same command goes on from there" if kept else "nothing was finished yet"
            failures.stopped(clip, error, f"stopped; {again}")
            raise typer.Exit(STOPPED) from None
    return has_losses


def end(failures: Failures, missing: int, total: int, *, has_losses: bool = False) -> None:
    """End a command as its jobs went.

    Args:
        failures: the errors that were met.
        missing: inputs that no job was planned for, of which each was told.
        total: all inputs.
        has_losses: whether what was made lacks frames.
    """
    failed = missing + len(failures.errors)
    if failed and total > 1:
        print_error(f"{failed} of {total} inputs failed")
        raise typer.Exit(1)
    if failed:
        raise typer.Exit(max(1, failures.exit_code))
    if has_losses:
        raise typer.Exit(LOSSES)
