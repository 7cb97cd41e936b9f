"""`birefvideo matte`: the job."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from birefvideo.cli.errors import LOSSES, STOPPED, Failures, reported
from birefvideo.cli.inputs import find_clips
from birefvideo.cli.parse import path, with_options
from birefvideo.cli.report import JobBar, print_error, print_result, quiet_libraries
from birefvideo.jobs.options import Options

if TYPE_CHECKING:
    from birefvideo.jobs.plan import Target

    Jobs = dict[Path, tuple[Target, ...]]
    """The outputs of every clip."""


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
        Path | None,
        typer.Option("-o", "--out", parser=path, help="File or folder to write; default: beside each input."),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option("--to", help="See `birefvideo formats`; repeatable. Default: prores and green."),
    ] = None,
    review: Annotated[
        bool, typer.Option("--review", help="Also make STEM_review.html: play, scrub and judge the matte in a browser.")
    ] = False,
    receipt: Annotated[
        bool, typer.Option(" /--no-receipt", help="Leave out the receipts (STEM_alpha.json …) that `verify` reads.")
    ] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail where the input is damaged or cut off; else it is told, exit code 3.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    **options: Any,
) -> None:
    """Cut the people out of each INPUT and write alpha video beside it.

    Makes STEM_alpha.mov (ProRes 4444, straight alpha) and STEM_green.mp4, with the input's sound and timing. A stopped
    job continues when the same command is run again. Folders inside folders are not searched.

    Exit codes: 0 done; 1 something failed; 2 a bad option; 3 done, but an input lacks frames; 130 stopped.
    """
    quiet_libraries()
    with reported(debug):
        chosen = Options(**options)
        clips, missing = find_clips(inputs, out)
        jobs = _plan(clips, out, to or [], chosen)
    for line in missing:
        print_error(line)
    failures = Failures(debug)
    choices = {"review": review, "receipts": receipt, "overwrite": overwrite, "strict": strict}
    has_losses = _matte_all(jobs, chosen, failures, quiet, **choices)
    failed, total = len(missing) + len(failures.errors), len(jobs) + len(missing)
    if failed and total > 1:
        print_error(f"{failed} of {total} inputs failed")
        raise typer.Exit(1)
    if failed:
        raise typer.Exit(max(1, failures.exit_code))
    if has_losses:
        raise typer.Exit(LOSSES)


def _plan(clips: list[Path], out: Path | None, to: list[str], options: Options) -> Jobs:
    """Check everything that can be checked before an input is opened; return the outputs of every clip."""
    from birefvideo.jobs.loaded_model import check_machine
    from birefvideo.jobs.plan import check_distinct, plan_targets

    check_machine(options)
    jobs = {clip: plan_targets(clip, out, to) for clip in clips}
    check_distinct(jobs)
    return jobs


def _matte_all(jobs: Jobs, options: Options, failures: Failures, quiet: bool, **choices: bool) -> bool:
    """Matte the clips one after another with one network; an error of one stops no other.

    Returns whether one of them lacks frames.
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
                    print_result(result)
        except KeyboardInterrupt:
            kept = job_folder(targets, clip).exists()
            again = "the same command goes on from the last ten seconds done" if kept else "nothing was finished yet"
            print_error(f"stopped; {again}")
            raise typer.Exit(STOPPED) from None
    return has_losses
