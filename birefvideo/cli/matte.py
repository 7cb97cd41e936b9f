"""`birefvideo matte`: the job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from birefvideo.cli.again import again
from birefvideo.cli.all_inputs import end, first_words, plan_all, tell_what_is_idle
from birefvideo.cli.completion import complete_formats, complete_presets, complete_timelines
from birefvideo.cli.errors import Failures, print_missing, reported
from birefvideo.cli.events import events_asked_for
from birefvideo.cli.inputs import can_begin
from birefvideo.cli.look_ahead import look_ahead
from birefvideo.cli.outcomes import Outcomes, closing
from birefvideo.cli.parse import checked_jobs, path_or_stream, use_settings, with_options
from birefvideo.cli.presets import PRESETS
from birefvideo.cli.preview import preview_all
from birefvideo.cli.printing import tell
from birefvideo.cli.program import heading
from birefvideo.cli.report import quiet_libraries
from birefvideo.cli.run_all import Work
from birefvideo.cli.shared_options import BATCH, COMMON, Debug, Overwrite, Receipt
from birefvideo.cli.wanted import Coming, Wanted
from birefvideo.editing.kinds import get_kinds
from birefvideo.jobs.blank import begun_for
from birefvideo.jobs.delivery import Delivery
from birefvideo.jobs.engine_wish import EngineWish
from birefvideo.jobs.options import Options
from birefvideo.media.format_table import get_formats


@with_options()
def matte(
    ctx: typer.Context,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT...",
            help="Clips, folders of clips, or pictures: one, a folder, frames/%05d.png; also at URLs: s3://, https://.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            metavar="PATH",
            help="File or folder to write, also at a URL; default: beside each input.",
            rich_help_panel=COMMON,
        ),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="FORMAT",
            autocompletion=complete_formats,
            help="See `birefvideo formats`; repeatable, or prores,webm. Default: prores and green.",
            rich_help_panel=COMMON,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            metavar="NAME",
            callback=use_settings,
            is_eager=True,
            autocompletion=complete_presets,
            help=f"Options that go together: {', '.join(PRESETS)} (see `birefvideo config`).",
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
    timeline: Annotated[
        list[str] | None,
        typer.Option(
            "--timeline",
            metavar="KIND",
            autocompletion=complete_timelines,
            help="Also make STEM_timeline.fcpxml, .otio or .edl for editors, with markers; repeatable, or fcpxml,otio.",
            rich_help_panel=COMMON,
        ),
    ] = None,
    preview: Annotated[
        bool,
        typer.Option(
            "--preview",
            help="Only make STEM_preview.png of a few frames, and tell what a run would cost.",
            rich_help_panel=COMMON,
        ),
    ] = False,
    recursive: Annotated[
        bool,
        typer.Option(
            "--recursive", "-r", help="Search folders inside folders too; -o gets the same tree.", rich_help_panel=BATCH
        ),
    ] = False,
    files_from: Annotated[
        Path | None,
        typer.Option(
            "--files-from",
            metavar="LIST",
            parser=path_or_stream,
            help="Take inputs from a list, one a line; - is stdin.",
            rich_help_panel=BATCH,
        ),
    ] = None,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing",
            help="Leave what receipts prove to be done, and make again what has changed.",
            rich_help_panel=BATCH,
        ),
    ] = False,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs",
            metavar="N",
            callback=checked_jobs,
            help="So many inputs at once, with one network.",
            rich_help_panel=BATCH,
        ),
    ] = 1,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Wait for clips that come into the folders, until Ctrl-C.", rich_help_panel=BATCH),
    ] = False,
    report: Annotated[
        str | None,
        typer.Option(
            "--report",
            metavar="FILE|none",
            help="Where to tell programs what became of each input; default: report.json, of several inputs.",
            rich_help_panel=BATCH,
        ),
    ] = None,
    keep_cache: Annotated[
        bool,
        typer.Option(
            "--keep-cache",
            help="Keep the network's alpha in STEM.birefvideo-cache: runs with other wishes are quick.",
            rich_help_panel=heading("Direct"),
        ),
    ] = False,
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            metavar="local|ray",
            help="What computes: this machine, or a Ray cluster (see docs/scale.md).",
            rich_help_panel=heading("Machine"),
        ),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="HOST:PORT",
            help="Head of the Ray cluster, or auto; default: one that is started here.",
            rich_help_panel=heading("Machine"),
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            help="Workers on the Ray cluster; default: one a GPU, or one a node without GPUs.",
            rich_help_panel=heading("Machine"),
        ),
    ] = None,
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
    picture STEM_alpha.png. A stopped job continues when the same command is run again.

    Exit codes: 0 done; 1 something failed; 2 a bad option; 3 done, but frames or sound are lost; 130 stopped.
    """
    quiet_libraries()
    with reported(debug):
        events = events_asked_for(progress, as_json=as_json, plan=plan, preview=preview)
    failures = Failures(debug, events=events)
    quiet = quiet or as_json
    with reported(debug, events=events):
        wanted = Wanted(inputs or [], files_from, out, recursive=recursive, watch=watch, looks=preview or plan)
        get_formats(to or [])
        kinds = get_kinds(timeline or [])
        wish = EngineWish(engine, address, workers)
        computes_here = engine == "local" and not (preview or plan)
        blanks = begun_for(options.get("device", "") if computes_here else "")
        ctx.call_on_close(blanks.close)
        chosen = Options(**options)
        found = wanted.find()
        if not quiet and (watch or can_begin(list(found.clips))):
            tell("waiting for clips; Ctrl-C ends it" if watch else first_words(options.get("model", "auto")))
        planned = plan_all(found.clips, wanted.out, to or [], chosen, failures, into=wanted.into)
        tell_what_is_idle(planned, chosen, options, quiet, events)
        total = len(found.clips) + len(found.missing)
        outcomes = Outcomes(wanted.report(report, several=watch or total > 1))
    for name, line in found.missing.items():
        print_missing(name, line, events)
    if preview:
        preview_all(planned, chosen, failures, overwrite=overwrite, quiet=quiet, review=review, timeline=kinds)
        end(failures, len(found.missing), total)
        return
    outcomes.add_missing(found.missing)
    outcomes.add_failed(found.clips, failures)
    delivery = Delivery(
        receipts=receipt,
        review=review,
        timeline=kinds,
        overwrite=overwrite,
        skip_done=total > 1 or skip_existing or watch or not overwrite,  # a stopped command goes on; one clip is meant
        renew=skip_existing or watch,
        strict=strict,
        keep_cache=keep_cache,
    )
    if plan:
        look_ahead(planned, chosen, failures, delivery, wish)
        end(failures, len(found.missing), total)
        return
    # To whoever reads what a program had made, the program's own paths say nothing.
    command = again(ctx) if events is None else None
    work = Work(chosen, delivery, failures, outcomes, quiet=quiet, command=command, engine=wish, blanks=blanks)
    with closing(outcomes, planned, quiet=quiet or (total == 1 and not watch)):
        if watch:
            work.run(Coming(wanted, to or [], chosen, failures, outcomes).jobs(work.stop), jobs)
        else:
            work.run(planned.items(), jobs)
    end(failures, len(found.missing), total, has_losses=any(outcome.losses for outcome in outcomes))
