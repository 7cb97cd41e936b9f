"""`birefvideo advise`: which variant for a clip."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from birefvideo.cli.errors import Failures, reported
from birefvideo.cli.inputs import find_clips
from birefvideo.cli.parse import path
from birefvideo.cli.printing import answer_json, answer_lines, print_error, tell
from birefvideo.cli.report import quiet_libraries
from birefvideo.cli.shared_options import Debug
from birefvideo.cli.table import NARROWEST, PIPED
from birefvideo.errors import OptionError
from birefvideo.family.variants import EMBEDDED, VARIANTS
from birefvideo.jobs.options import Options

if TYPE_CHECKING:
    from birefvideo.advice.advise import Advice


def advise(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT", parser=path, help="Clips, folders of clips, or pictures, as of `matte`."),
    ],
    commercial: Annotated[
        bool, typer.Option("--commercial", help="Leave out weights whose licence does not allow commercial use.")
    ] = False,
    start: Annotated[str | None, typer.Option(metavar="TIME", help="Look from here: seconds or [h:]mm:ss.")] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Look up to here.")] = None,
    device: Annotated[str, typer.Option(metavar="DEVICE", help="auto, cuda, cuda:N, mps or cpu.")] = "auto",
    download: Annotated[
        bool, typer.Option("--download", help="Fetch the best variant where it is not here, without asking.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print for programs, with everything measured.")] = False,
    debug: Debug = False,
) -> None:
    """Look at a few frames of each INPUT, and say which model to cut it out with, and why.

    Nothing is fetched without --download, or a yes on a terminal. `matte` takes the same advice by itself where several
    models are on this machine that it can run.
    """
    quiet_libraries()
    failures = Failures(debug)
    found: list[Advice] = []
    with reported(debug):
        if download and as_json:
            raise OptionError("--json only tells: leave out --download, or --json")
        options = Options(start=start, end=end, device=device)
        inputs_found = find_clips(inputs)
    for line in inputs_found.missing.values():
        print_error(line)
    for number, clip in enumerate(inputs_found.clips):
        with reported(debug), failures.caught(clip):
            advice = _advice(clip, options, commercial)
            found.append(advice)
            if not as_json:
                answer_lines([""] * bool(number))
                answer_lines(_paragraphs(advice, clip, options))
    if as_json:
        answer_json([advice.as_dict() for advice in found])
    else:
        _fetch(found, download, debug)
    if failures.errors or inputs_found.missing:
        raise typer.Exit(max(1, failures.exit_code))


def _advice(clip: Path, options: Options, commercial: bool) -> Advice:
    from birefvideo.jobs.advise import advise

    return advise(clip, start=options.start, end=options.end, commercial=commercial, device=options.device)


def _lines(advice: Advice, clip: Path, options: Options) -> Iterator[tuple[str, str]]:
    """Yield what to print under the choice: a word, and what is said there."""
    yield "why", advice.reason
    if advice.talk_unfit:
        yield EMBEDDED, f"not for this picture: {advice.talk_unfit}"
    if advice.get:
        yield "get it", advice.get
    if advice.get_note:
        yield "" if advice.get else "get it", advice.get_note
    yield from zip(("unless", *[""] * len(advice.changes)), advice.changes, strict=False)
    from birefvideo.comparison.command import matte_command

    yield "run", matte_command(clip, options.changed(model=advice.choice))
    if advice.seconds is not None:
        from birefvideo.advice.advise import duration

        yield "", f"about {duration(advice.seconds)} on {advice.device}"


def _choice(advice: Advice) -> str:
    if advice.choice == advice.best:
        return advice.choice
    if advice.choice == EMBEDDED and advice.talk_unfit:
        return f"{advice.best}, but {advice.why_not_best}; nothing that fits is usable here, only {EMBEDDED}"
    return f"{advice.choice}; {advice.best} would be best, but {advice.why_not_best}"


def _paragraphs(advice: Advice, clip: Path, options: Options) -> Iterator[str]:
    """Yield the lines for one clip, as wide as the terminal; commands stay whole."""
    width = max(NARROWEST, min(100, shutil.get_terminal_size((PIPED, 24)).columns))
    yield from textwrap.wrap(f"{advice.source}: {_choice(advice)}", width, subsequent_indent="  ")
    for word, text in _lines(advice, clip, options):
        if text.startswith("birefvideo "):
            yield f"  {word:7} {text}"
            continue
        yield from textwrap.wrap(
            text, width, initial_indent=f"  {word:7} ", subsequent_indent=" " * 10, break_on_hyphens=False
        )


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _fetch(found: list[Advice], download: bool, debug: bool) -> None:
    """Fetch the best variants that are not here, if the user wants them."""
    wanted = list(dict.fromkeys(advice.best for advice in found if advice.get))
    if not wanted:
        return
    if not download:
        if not _on_terminal():
            return
        names = " and ".join(wanted)
        if not typer.confirm(f"Fetch {names} now?", default=False):
            return
    from birefvideo.cli.models import download_all

    download_all(wanted, False, debug)
    for name in wanted:
        tell(f"{name}: {VARIANTS[name].best_for}")
