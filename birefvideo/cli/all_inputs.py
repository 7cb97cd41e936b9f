"""One job for each input of a command: planned together, and how the command ends."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from birefvideo.cli.errors import LOSSES, Failures
from birefvideo.cli.printing import print_error
from birefvideo.cli.report import print_note
from birefvideo.errors import BirefvideoError
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


def plan_all(
    clips: Mapping[Path, Path],
    out: Path | None,
    to: list[str],
    options: Options,
    failures: Failures,
    *,
    into: bool = False,
    before: Jobs | None = None,
) -> Jobs:
    """Check everything that can be checked before an input is opened; return the outputs of every clip.

    A clip whose outputs would take the place of another's, or cannot be made of such a clip, is told and left out.

    Args:
        clips: each with the folder below `out` that its outputs go to.
        out: as the user named it.
        to: names of formats.
        options: of all jobs.
        failures: takes the errors of single clips.
        into: `out` is a folder, whatever its name looks like.
        before: jobs of this command that are under way or over, which keep their outputs; None: there are none yet.

    Raises:
        BirefvideoError: nothing can be made of any clip, for one reason.
    """
    from birefvideo.jobs.check_targets import clashes
    from birefvideo.jobs.elsewhere import fetch_unless_film
    from birefvideo.jobs.loaded_model import check_machine
    from birefvideo.jobs.plan import plan_targets

    if before is None:
        check_machine(options)
    jobs: Jobs = {}
    errors: dict[Path, BirefvideoError] = {}
    for clip, below in clips.items():
        is_below = out is not None and below != Path()
        place = out / below if out is not None else None
        try:
            fetch_unless_film(clip)
            jobs[clip] = plan_targets(clip, place, to, options, into=into or is_below)
        except BirefvideoError as why:
            errors[clip] = why
    if errors and before is None and not jobs and len({error.message for error in errors.values()}) == 1:
        raise next(iter(errors.values()))  # of the command, and not of a clip
    for clip, error in errors.items():
        failures.tell(clip, error)
    found = clashes({**(before or {}), **jobs})
    if before is None and not errors and len(found) == 1 and {*next(iter(found))} == {*jobs}:
        raise next(iter(found.values()))
    for those, error in found.items():
        new = [clip for clip in those if clip in jobs]
        for clip in new:
            del jobs[clip]
            failures.tell(clip, error, silent=clip != new[0])
    return jobs


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
