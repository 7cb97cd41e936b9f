"""`birefvideo advise`: which variant for a clip."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from birefvideo.cli.errors import Failures, reported
from birefvideo.cli.inputs import find_clips
from birefvideo.cli.parse import path
from birefvideo.cli.printing import answer_json, answer_lines, print_error, tell
from birefvideo.cli.report import quiet_libraries
from birefvideo.cli.table import PIPED
from birefvideo.errors import OptionError
from birefvideo.family.variants import EMBEDDED, VARIANTS

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
    device: Annotated[str, typer.Option(metavar="DEVICE", help="auto, cuda, cuda:N, mps or cpu.")] = "auto",
    download: Annotated[
        bool, typer.Option("--download", help="Fetch the best variant where it is not here, without asking.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print for programs, with everything measured.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
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
        clips, missing = find_clips(inputs, None)
    for line in missing:
        print_error(line)
    for number, clip in enumerate(clips):
        with reported(debug), failures.caught(clip):
            advice = _advice(clip, commercial=commercial, device=device)
            found.append(advice)
            if not as_json:
                answer_lines([""] * bool(number))
                answer_lines(_wrapped(_lines(advice, clip)))
    if as_json:
        answer_json([advice.as_dict() for advice in found])
    else:
        _fetch(found, download, debug)
    if failures.errors or missing:
        raise typer.Exit(max(1, failures.exit_code))


def _advice(clip: Path, **choices: Any) -> Advice:
    from birefvideo.advice.advise import advise

    return advise(clip, **choices)


def _lines(advice: Advice, clip: Path) -> Iterator[tuple[str, str]]:
    """Yield what to print: a head, and its text."""
    yield f"{advice.source}: ", _choice(advice)
    yield "  why: ", advice.reason
    if advice.talk_unfit:
        yield f"  {EMBEDDED}: ", f"not for this picture: {advice.talk_unfit}"
    if advice.get:
        yield "  get it: ", f"{advice.get}{f'  ({advice.get_note})' if advice.get_note else ''}"
    for number, change in enumerate(advice.changes):
        yield "  would change it: " if not number else "                   ", change
    yield "  run: ", f"birefvideo matte {_quoted(clip)} --model {advice.choice}{_time(advice)}"


def _choice(advice: Advice) -> str:
    if advice.choice == advice.best:
        return advice.choice
    if advice.choice == EMBEDDED and advice.talk_unfit:
        return f"{advice.best}, but {advice.why_not_best}; nothing that fits is usable here, only {EMBEDDED}"
    return f"{advice.choice}; {advice.best} would be best, but {advice.why_not_best}"


def _time(advice: Advice) -> str:
    from birefvideo.advice.advise import duration

    return "" if advice.seconds is None else f"  (about {duration(advice.seconds)})"


def _quoted(clip: Path) -> str:
    import shlex

    return shlex.quote(str(clip))


def _wrapped(lines: Iterator[tuple[str, str]]) -> Iterator[str]:
    """Yield lines that fit the terminal; commands stay whole."""
    width = max(40, min(100, shutil.get_terminal_size((PIPED, 24)).columns))
    for head, text in lines:
        yield from textwrap.wrap(
            text,
            width,
            initial_indent=head,
            subsequent_indent=" " * (len(head) - len(head.lstrip()) + 4),
            break_long_words=False,
            break_on_hyphens=False,
        )


def _fetch(found: list[Advice], download: bool, debug: bool) -> None:
    """Fetch the best variants that are not here, if the user wants them."""
    wanted = list(dict.fromkeys(advice.best for advice in found if advice.get))
    if not wanted:
        return
    if not download:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            return
        names = " and ".join(wanted)
        if not typer.confirm(f"Fetch {names} now?", default=False):
            return
    from birefvideo.cli.models import download_all

    download_all(wanted, False, debug)
    for name in wanted:
        tell(f"{name}: {VARIANTS[name].best_for}")
