"""`birefvideo verify`: proving outputs, long after or on another machine."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from birefvideo.cli.errors import Failures, reported
from birefvideo.cli.inputs import check_quoted
from birefvideo.cli.parse import parse_times, path
from birefvideo.cli.printing import answer, answer_json
from birefvideo.cli.report import quiet_libraries
from birefvideo.cli.shared_options import AsJson, Debug
from birefvideo.errors import InputError, OptionError
from birefvideo.hints import why_missing

if TYPE_CHECKING:
    from birefvideo.frames import Span
    from birefvideo.media.format_table import Format
    from birefvideo.media.verification.verify_later import Check


def verify(
    outputs: Annotated[
        list[Path], typer.Argument(metavar="OUT", parser=path, help="Files that `birefvideo matte` wrote.")
    ],
    source: Annotated[
        Path | None,
        typer.Option("--source", metavar="IN", parser=path, help="Compare with the clip they were made from."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="FORMAT", help="Their format, if neither a receipt nor the name shows it."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="With --source: the --start that OUT was made with; default: as its receipt says."
        ),
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="The --end that OUT was made with.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Reopen each OUT, decode all of it, and prove frames, times, tags, alpha, colour and sound.

    The receipt beside it (clip_alpha.json) says what it should hold, and its hash shows whether a byte has changed.
    --source compares pictures, times and sound with the clip itself. Exit code 1: a check failed, or nothing says
    that birefvideo made the file.
    """
    quiet_libraries()
    whole: list[dict[str, object]] = []
    failures = Failures(debug)
    with reported(debug):
        check_quoted(outputs)
        span = _span(source, start, end)
        for output in outputs:
            checks = None
            with failures.caught(output):
                checks = _checked(output, source, to, span)
            if checks is None:
                continue
            passed = all(check.passed is not False for check in checks)
            known = {"file": str(output), "passed": passed, "proven_ours": passed and _is_ours(checks)}
            whole.append({**known, "checks": [_as_json(check) for check in checks]})
            if not as_json:
                _print(output, checks)
    if as_json and whole:
        answer_json(whole)
    if failures.errors or not all(one["passed"] for one in whole):
        raise typer.Exit(max(1, failures.exit_code))


def _span(source: Path | None, start: str | None, end: str | None) -> Span | None:
    """Return the part of the source that outputs are said to show; None where nothing is said."""
    from birefvideo.jobs.plan import trimmed_span
    from birefvideo.media.reading.probe import probe

    if start is None and end is None:
        return None
    times = parse_times(start, end)
    if source is None:
        raise OptionError("--start and --end are times of the clip that OUT was made from: name it with --source")
    return trimmed_span(probe(source), times.start, times.end)


def _checked(output: Path, source: Path | None, to: str | None, span: Span | None) -> list[Check]:
    from birefvideo.jobs.receipt import claims_of, read, still_the_same
    from birefvideo.media.format_names import is_named_as_ours
    from birefvideo.media.forms import ALL_FORMS, form_of_file
    from birefvideo.media.reading.stills import is_still
    from birefvideo.media.verification.verify_later import prove

    entry = read(output)
    claims = claims_of(entry)
    if span is not None:
        claims = replace(claims, span=span)
    known = None if to else claims.format
    try:
        format = known or form_of_file(output, to or "", is_still=is_still(output))
    except OptionError:
        if missing := why_missing(output):
            raise InputError(missing) from None
        raise
    checks = [*still_the_same(output, source, entry), *prove(output, format, source, claims)]
    if to or claims.format or is_named_as_ours(output, ALL_FORMS.values()):
        return checks
    return [*checks, _of_unknown_origin(format)]


def _of_unknown_origin(format: Format) -> Check:
    from birefvideo.media.verification.verify_later import Check

    guess = f"it was checked as if made with --to {format.asked_by}; if it was, add that"
    return Check("origin", False, f"neither a receipt nor its name says that birefvideo made it, or as what; {guess}")


def _is_ours(checks: list[Check]) -> bool:
    """Return whether a receipt's hash shows that a file is as birefvideo left it."""
    return any(check.name == "bytes" and check.passed for check in checks)


def _as_json(check: Check) -> dict[str, object]:
    return {"name": check.name, "passed": check.passed, "said": check.finding}


def _print(output: Path, checks: list[Check]) -> None:
    good, bad, open_ = _marks()
    answer(output)
    for check in checks:
        mark = {True: good, False: bad, None: open_}[check.passed]
        answer(f"  {mark} {check.name:8} {check.finding}")
    failed = sum(check.passed is False for check in checks)
    open_count = sum(check.passed is None for check in checks)
    rest = f", {open_count} could not be checked" if open_count else ""
    good_end = "all good" if _is_ours(checks) else "nothing wrong found; without its receipt, who made it is not proven"
    answer(f"  {failed} of {len(checks)} checks failed{rest}" if failed else f"  {good_end}{rest}")


def _marks() -> tuple[str, str, str]:
    """Signs for good, bad and open that the terminal can show."""
    signs = ("✓", "✗", "·")
    try:
        "".join(signs).encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "ok  ", "FAIL", "--  "
    return signs if os.environ.get("TERM") != "dumb" else ("ok  ", "FAIL", "--  ")
