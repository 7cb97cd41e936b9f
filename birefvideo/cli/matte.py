"""`birefvideo matte`: the job."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from birefvideo.cli.all_inputs import end, first_words, matte_all, plan_all, tell_what_is_idle
from birefvideo.cli.errors import Failures, print_missing, reported
from birefvideo.cli.events import events_asked_for
from birefvideo.cli.inputs import can_begin, find_clips
from birefvideo.cli.look_ahead import look_ahead
from birefvideo.cli.parse import path, with_options
from birefvideo.cli.preview import preview_all
from birefvideo.cli.printing import tell
from birefvideo.cli.report import quiet_libraries
from birefvideo.cli.shared_options import COMMON, Debug, Overwrite, Receipt
from birefvideo.jobs.options import Options
from birefvideo.media.format_table import get_formats


@with_options()
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
            rich_help_panel=COMMON,
        ),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="See `birefvideo formats`; repeatable, or prores,webm. Default: prores and green.",
            rich_help_panel=COMMON,
        ),
    ] = None,
    review: Annotated[
        bool,
        typer.Option(
            "--review",
            help="Also make STEM_review.html: play, scrub and judge the matte in a browser.",
            rich_help_panel=COMMON,
        ),
    ] = False,
    preview: Annotated[
        bool,
        typer.Option(
            "--preview",
            help="Only make STEM_preview.png of a few frames, and tell what a run would cost.",
            rich_help_panel=COMMON,
        ),
    ] = False,
    receipt: Receipt = True,
    overwrite: Overwrite = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Fail where the input is damaged or cut off; else it is told, exit code 3.",
            rich_help_panel=COMMON,
        ),
    ] = False,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Only tell what would be done, what it takes, and whether it can be; --json: to programs.",
            rich_help_panel=COMMON,
        ),
    ] = False,
    progress: Annotated[
        str,
        typer.Option(
            "--progress",
            metavar="bar|json",
            help="How to show progress on stderr; json: an object a line, and nothing else there.",
            rich_help_panel=COMMON,
        ),
    ] = "bar",
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Tell programs on stdout, an object a line.", rich_help_panel=COMMON),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors and losses only.", rich_help_panel=COMMON)
    ] = False,
    debug: Debug = False,
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
        events = events_asked_for(progress, as_json=as_json, plan=plan, preview=preview)
    quiet = quiet or as_json
    with reported(debug, events=events):
        place = None if out is None else path(out)
        is_folder = out is not None and out.endswith((os.sep, os.altsep or os.sep))
        clips, missing = find_clips(inputs, None if is_folder else place)
        get_formats(to or [])
        chosen = Options(**options)
        if not quiet and can_begin(clips):
            tell(first_words(options.get("model", "auto")))
        jobs = plan_all(clips, place, to or [], chosen, into=is_folder)
        tell_what_is_idle(jobs, chosen, options, quiet, events)
    for line in missing:
        print_missing(line, events)
    failures = Failures(debug, events=events)
    if preview:
        preview_all(jobs, chosen, failures, overwrite=overwrite, quiet=quiet, review=review)
        end(failures, len(missing), len(jobs) + len(missing))
        return
    choices = {
        "review": review,
        "receipts": receipt,
        "overwrite": overwrite,
        "skip_done": len(jobs) > 1 or not overwrite,  # a stopped command goes on; a clip named by itself is meant
        "strict": strict,
    }
    if plan:
        look_ahead(jobs, chosen, failures, **choices)
        end(failures, len(missing), len(jobs) + len(missing))
        return
    has_losses = matte_all(jobs, chosen, failures, quiet, **choices)
    end(failures, len(missing), len(jobs) + len(missing), has_losses=has_losses)
