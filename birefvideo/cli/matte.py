"""`birefvideo matte`: the job."""

from __future__ import annotations

import os
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from birefvideo.cli.errors import LOSSES, STOPPED, Failures, reported
from birefvideo.cli.inputs import can_begin, find_clips
from birefvideo.cli.parse import path, with_options
from birefvideo.cli.printing import print_error, tell
from birefvideo.cli.program import heading
from birefvideo.cli.report import JobBar, print_note, print_result, quiet_libraries
from birefvideo.errors import with_flags
from birefvideo.family.variants import EMBEDDED
from birefvideo.jobs.options import Options
from birefvideo.media.format_table import get_formats

if TYPE_CHECKING:
    from birefvideo.jobs.plan import Target

    Jobs = dict[Path, tuple[Target, ...]]
    """The outputs of every clip."""

_COMMON = heading("Common")


@with_options
def matte(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT",
            parser=path,
            help="Clips, folders of clips, or pictures: one, a folder, frames/%05d.png.",
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            metavar="PATH",
            help="File or folder to write; default: beside each input.",
            rich_help_panel=_COMMON,
        ),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="See `birefvideo formats`; repeatable, or prores,webm. Default: prores and green.",
            rich_help_panel=_COMMON,
        ),
    ] = None,
    review: Annotated[
        bool,
        typer.Option(
            "--review",
            help="Also make STEM_review.html: play, scrub and judge the matte in a browser.",
            rich_help_panel=_COMMON,
        ),
    ] = False,
    receipt: Annotated[
        bool,
        typer.Option(
            " /--no-receipt",
            help="Leave out the receipts (STEM_alpha.json …) that `verify` reads.",
            show_default=False,
        ),
    ] = True,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs that exist.", rich_help_panel=_COMMON)
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Fail where the input is damaged or cut off; else it is told, exit code 3.",
            rich_help_panel=_COMMON,
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors and losses only.", rich_help_panel=_COMMON)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    **options: Any,
) -> None:
    """Cut the people out of each INPUT and write alpha video beside it.

    Makes STEM_alpha.mov (ProRes 4444, straight alpha) and STEM_green.mp4, with the input's sound and timing; of a
    picture STEM_alpha.png. A stopped job continues when the same command is run again. Folders inside folders are not
    searched.

    Exit codes: 0 done; 1 something failed; 2 a bad option; 3 done, but frames or sound are lost; 130 stopped.
    """
    quiet_libraries()
    with reported(debug):
        place = None if out is None else path(out)
        is_folder = out is not None and out.endswith((os.sep, os.altsep or os.sep))
        clips, missing = find_clips(inputs, None if is_folder else place)
        get_formats(to or [])
        if not quiet and can_begin(clips):
            tell(_first_words(options.get("model", "auto")))
        chosen = Options(**options)
        jobs = _plan(clips, place, to or [], chosen, into=is_folder)
        _tell_what_is_idle(jobs, chosen, options, quiet)
    for line in missing:
        print_error(line)
    failures = Failures(debug)
    choices = {
        "review": review,
        "receipts": receipt,
        "overwrite": overwrite,
        "skip_done": len(jobs) > 1 or not overwrite,  # a stopped command goes on; a clip named by itself is meant
        "strict": strict,
    }
    has_losses = _matte_all(jobs, chosen, failures, quiet, **choices)
    failed, total = len(missing) + len(failures.errors), len(jobs) + len(missing)
    if failed and total > 1:
        print_error(f"{failed} of {total} inputs failed")
        raise typer.Exit(1)
    if failed:
        raise typer.Exit(max(1, failures.exit_code))
    if has_losses:
        raise typer.Exit(LOSSES)


def _first_words(model: str) -> str:
    """Return what is said at once: loading torch alone takes seconds."""
    return f"loading the {'built-in ' if model == EMBEDDED else ''}model{'' if model == 'auto' else f' {model}'} …"


def _tell_what_is_idle(jobs: Jobs, options: Options, given: Collection[str], quiet: bool) -> None:
    from birefvideo.jobs.no_effect import without_effect

    formats = [target.format for targets in jobs.values() for target in targets]
    for note in without_effect(options, formats, given) if formats and not quiet else ():
        print_note(note)


def _plan(clips: list[Path], out: Path | None, to: list[str], options: Options, *, into: bool) -> Jobs:
    """Check everything that can be checked before an input is opened; return the outputs of every clip."""
    from birefvideo.jobs.check_targets import check_distinct
    from birefvideo.jobs.loaded_model import check_machine
    from birefvideo.jobs.plan import plan_targets

    check_machine(options)
    jobs = {clip: plan_targets(clip, out, to, options, into=into) for clip in clips}
    check_distinct(jobs)
    return jobs


def _matte_all(jobs: Jobs, options: Options, failures: Failures, quiet: bool, **choices: bool) -> bool:
    """Matte the clips one after another with one network; an error of one stops no other.

    Returns whether one of them lacks frames or sound.
    """
    from birefvideo.jobs.loaded_model import LoadedModel
    from birefvideo.jobs.plan import job_folder
    from birefvideo.jobs.run import run

    load = cache(lambda: LoadedModel(options))
    has_losses = False
    for clip, targets in jobs.items():
        try:
            with failures.caught(clip):
                with JobBar(clip, quiet) as bar:
                    result = run(clip, targets, options, load=load, progress=bar.progress, **choices)
                has_losses = has_losses or bool(result.losses)
                if not quiet:
                    print_result(clip, result)
                else:
                    for loss in result.losses:  # an error of the input, if none of the job
                        print_error(f"{clip}: {with_flags(loss)}")
        except KeyboardInterrupt:
            kept = job_folder(targets, clip).exists()
            again = "the same command goes on from the last ten seconds done" if kept else "nothing was finished yet"
            print_error(f"stopped; {again}")
            raise typer.Exit(STOPPED) from None
    return has_losses
